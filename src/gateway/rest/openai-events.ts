/**
 * From the events of a turn to an HTTP answer. An answer that is streamed has a status only until its first byte, so that
 * byte waits for the first word, or for a moment: a turn that cannot begin is then refused as any other request is.
 */
import { ERRORS } from '../../contract/errors.ts';
import { type OpenAiError, toOpenAiError } from '../../contract/openai-error.ts';
import { type ByteStream, type JsonReply, reply, replyStream } from '../../contract/route.ts';
import type {
  CompletionEvent,
  CompletionRequest,
  CompletionService,
} from '../services/completion-service.ts';

export interface CompletionContext {
  /** The request's `Idempotency-Key`, or ''. */
  readonly key: string;
  readonly completions: CompletionService;
  readonly gone: AbortSignal;
}

export type Ended = Extract<CompletionEvent, { type: 'done' }>;
export type Failed = Extract<CompletionEvent, { type: 'failed' }>;

const OPEN_MS = 5_000;
/** Sooner than what proxies take for an end. */
const BEAT_MS = 15_000;
const BEAT = ': still at work\n\n';

const EVENT_STREAM_HEADERS = Object.freeze({ 'content-type': 'text/event-stream; charset=utf-8' });

/** Events on their way from the turn to whoever writes them down; one reader. */
export class EventTape {
  readonly #events: CompletionEvent[] = [];
  #wake: (() => void) | undefined;

  readonly push = (event: CompletionEvent): void => {
    this.#events.push(event);
    this.#wake?.();
  };

  /** Undefined: nothing came within this time. */
  async next(withinMs?: number): Promise<CompletionEvent | undefined> {
    if (this.#events.length === 0) {
      await new Promise<void>((resolve) => {
        const timer = withinMs === undefined ? undefined : setTimeout(resolve, withinMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = undefined;
    }
    return this.#events.shift();
  }

  async end(): Promise<Ended | Failed> {
    for (;;) {
      const event = await this.next();
      if (event !== undefined && event.type !== 'delta') return event;
    }
  }
}

export interface Begun {
  readonly tape: EventTape;
  readonly sessionId: string;
  /** What the answer calls its model until it is known. */
  readonly model: string;
}

export async function begin(
  request: CompletionRequest,
  { key, completions, gone }: CompletionContext,
): Promise<Begun> {
  const tape = new EventTape();
  const model = completions.modelOf(request.model);
  // Whoever gave it a key may come again and ask for the answer.
  const { sessionId } = await completions.begin(request, tape.push, key === '' ? gone : undefined);
  return { tape, sessionId, model };
}

/** `x-should-retry`: OpenAI's clients ask again by themselves, which would be another turn, with its own effects. */
function failure({ error, isTurn }: Failed): JsonReply<never> {
  const { code } = error;
  const retryAfter = [429, 503].includes(ERRORS[code].status) ? { 'retry-after': '1' } : {};
  const headers = isTurn ? { 'x-should-retry': 'false' } : retryAfter;
  const answer: OpenAiError = toOpenAiError(error);
  return reply(answer as never, { status: ERRORS[code].status, headers });
}

/** Turns events into the text of a stream of events; says that it ends with what it gives for the last one. */
export interface EventScript {
  begin(): string;
  delta(text: string): string;
  done(event: Ended, said: string): string;
  failed(event: Failed): string;
}

/** The turn's end as one answer, or all of it as a stream of events; a failure before the first word is no stream. */
export async function answerWith<T>(
  tape: EventTape,
  wantsDeltas: boolean,
  { whole, script }: { readonly whole: (end: Ended) => T; readonly script: () => EventScript },
): Promise<T | JsonReply<T>> {
  if (!wantsDeltas) {
    const end = await tape.end();
    return end.type === 'failed' ? failure(end) : whole(end);
  }
  const first = await tape.next(OPEN_MS);
  if (first?.type === 'failed') return failure(first);
  return replyStream(() => streamed(tape, first, script()), { headers: EVENT_STREAM_HEADERS });
}

async function* streamed(
  tape: EventTape,
  first: CompletionEvent | undefined,
  script: EventScript,
): ByteStream & AsyncGenerator<Uint8Array> {
  yield Buffer.from(script.begin());
  let said = '';
  for (let event = first; ; event = await tape.next(BEAT_MS)) {
    if (event === undefined) yield Buffer.from(BEAT);
    else if (event.type === 'delta') {
      said += event.text;
      yield Buffer.from(script.delta(event.text));
    } else if (event.type === 'done') return yield Buffer.from(script.done(event, said));
    else return yield Buffer.from(script.failed(event));
  }
}

/** What is left to say of an answer; nothing where it was said in other words, because markers of files were taken out. */
export function unsaid(text: string, said: string): string {
  return text.startsWith(said) ? text.slice(said.length) : '';
}

export function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
