/** One message and what comes of it. It outlives its socket: the answer may come over the next one. */
import type { ServerFrame } from '../../../src/contract/frames.ts';
import { AgentError } from './errors.ts';

export type FrameOf<T extends ServerFrame['type']> = Extract<ServerFrame, { type: T }>;
export type ResponseFrame = FrameOf<'response'>;
/** What a turn tells before its end. */
export type TurnUpdate = FrameOf<'queued' | 'status' | 'delta' | 'tool'>;

export interface Turn {
  /** Idempotency key of the message: however often it is sent, it runs once. */
  readonly id: string;
  readonly sessionId: string;
  /** Resolves with the turn's id when the agent has it on disk: from then on it is not lost. */
  readonly accepted: Promise<string>;
  /** The answer. Rejects with an `AgentError` when the turn ends otherwise. */
  readonly response: Promise<ResponseFrame>;
  onUpdate(listener: (update: TurnUpdate) => void): () => void;
}

interface Settle<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

export class PendingTurn implements Turn {
  readonly id: string;
  readonly sessionId: string;
  /** The frame as it is sent, again after a reconnect if need be. */
  readonly frame: string;
  readonly #accepted = createSettle<string>();
  readonly #response = createSettle<ResponseFrame>();
  readonly #listeners = new Set<(update: TurnUpdate) => void>();
  #turnId: string | undefined;
  #deltas = 0;

  constructor(message: { readonly id: string; readonly session_id: string; readonly text: string }) {
    this.id = message.id;
    this.sessionId = message.session_id;
    this.frame = JSON.stringify({ type: 'message', ...message });
  }

  get accepted(): Promise<string> {
    return this.#accepted.promise;
  }

  get response(): Promise<ResponseFrame> {
    return this.#response.promise;
  }

  /** Some frame has spoken of it: it need not be sent again. */
  get isAccepted(): boolean {
    return this.#turnId !== undefined;
  }

  /** What asks the agent to go on telling of it, behind the last piece that came; only of one that it knows. */
  resumeFrame(): string {
    const [session_id, after_seq, turn_id] = [this.sessionId, this.#deltas, this.#turnId];
    return JSON.stringify({ type: 'resume', session_id, after_seq, turn_id });
  }

  onUpdate(listener: (update: TurnUpdate) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** True when the turn has ended with it. */
  take(frame: ServerFrame): boolean {
    if ('turn_id' in frame && frame.turn_id !== undefined) this.#accept(frame.turn_id);
    switch (frame.type) {
      case 'delta':
        // Told again after a reconnect: each piece counts once.
        if (frame.seq <= this.#deltas) return false;
        this.#deltas = frame.seq;
        this.#tell(frame);
        return false;
      case 'queued':
      case 'status':
      case 'tool':
        this.#tell(frame);
        return false;
      case 'response':
        this.#response.resolve(frame);
        return true;
      case 'error':
        this.fail(toError(frame));
        return true;
      default:
        return false;
    }
  }

  fail(error: AgentError): void {
    this.#accepted.reject(error);
    this.#response.reject(error);
  }

  #accept(turnId: string): void {
    this.#turnId = turnId;
    this.#accepted.resolve(turnId);
  }

  #tell(update: TurnUpdate): void {
    for (const listener of this.#listeners) listener(update);
  }
}

function toError(frame: FrameOf<'error'>): AgentError {
  return new AgentError(frame.text, { code: frame.code, details: frame.details, turnId: frame.turn_id });
}

/** Whoever awaits only one of several promises of ours must not be punished for the others. */
export function createSettle<T>(): Settle<T> {
  let settle: Pick<Settle<T>, 'resolve' | 'reject'> | undefined;
  const promise = new Promise<T>((resolve, reject) => {
    settle = { resolve, reject };
  });
  promise.catch(() => {});
  return { promise, ...(settle as Pick<Settle<T>, 'resolve' | 'reject'>) };
}
