/** What the routes for OpenAI's clients ask of the agent: a turn like any other, for one HTTP request. */
import type { WireError } from '../../contract/errors.ts';
import type { AttachmentInfo } from '../../contract/frames.ts';

export interface Said {
  readonly role: 'user' | 'assistant';
  readonly text: string;
}

/** Of a client that sends it with its question. */
export interface SentImage {
  readonly filename: string;
  readonly bytes: Uint8Array;
}

export interface CompletionRequest {
  /** Idempotency key: the same id is the same turn, however often it is asked for. */
  readonly id: string;
  /** The client chose `id`, and may ask again for the answer. */
  readonly isKeyed: boolean;
  /** As the client called it; undefined: the agent's own. */
  readonly model: string | undefined;
  /** Undefined: one for this request alone. */
  readonly sessionId: string | undefined;
  /** The request whose session goes on; wins over `sessionId`. */
  readonly previousId: string | undefined;
  /** False: a session for this request alone is forgotten when it is answered. */
  readonly keepsSession: boolean;
  /** What was said before, as the client tells it; of no interest where the session remembers something itself. */
  readonly history: readonly Said[];
  readonly text: string;
  /** Of what is asked now. */
  readonly images: readonly SentImage[];
  readonly wantsDeltas: boolean;
}

export interface TokenFigures {
  readonly input: number;
  readonly output: number;
  readonly cached: number;
  readonly reasoning: number;
}

export type CompletionEvent =
  | { readonly type: 'delta'; readonly text: string }
  | {
      readonly type: 'done';
      readonly text: string;
      readonly attachments: readonly AttachmentInfo[] | null;
      /** Runtime id that answered. */
      readonly model: string;
      readonly usage: TokenFigures;
      /** Undefined: the model had said all. */
      readonly cutBy: 'length' | 'content_filter' | undefined;
    }
  | {
      readonly type: 'failed';
      readonly error: WireError;
      /** It is, or was, a turn: asking again would be another one. */
      readonly isTurn: boolean;
    };

export interface CompletionService {
  /** Runtime ids, the agent's own first. */
  models(): readonly string[];
  /** Throws `model.unknown`. */
  modelOf(name: string | undefined): string;
  /**
   * Events come from now on, `done` or `failed` last. Once `gone` is aborted nobody listens: the turn is stopped. Throws
   * `model.unknown`, `completion.not_found`, and codes of `storage` and `upload`.
   */
  begin(
    request: CompletionRequest,
    onEvent: (event: CompletionEvent) => void,
    gone: AbortSignal | undefined,
  ): Promise<{ readonly sessionId: string }>;
}
