/**
 * A request's body on its way from a socket to whoever reads it. The bounds are here and nowhere else: how much waits in
 * memory while the reader is busy, how large the body may be, how long a client may take. Without them one client that
 * sends fast fills the memory, and one that sends nothing holds a connection for ever.
 */
import type { ByteStream } from '../../contract/route.ts';
import { BodyQueue, type Ownership } from './body-queue.ts';
import { bodyTooLarge, clientGone, clientStalled, PROGRESS_BYTES } from './rules.ts';

/** The socket as its library gives it. */
export interface BodySource {
  pause(): void;
  resume(): void;
  /** Drops the connection. */
  cut(): void;
}

export interface BodyBounds {
  readonly bytesMax: number;
  /** The request's `content-length`, '' for none. */
  readonly announced: string;
  readonly stallMs: number;
  readonly chunks: Ownership;
}

/** The client waits from here on … */
const PAUSE_BYTES = 256 * 1024;
/** … to here, so that it does not have to start and stop with every chunk. */
const RESUME_BYTES = 64 * 1024;

export class IncomingBody implements ByteStream {
  readonly #source: BodySource;
  readonly #bounds: BodyBounds;
  readonly #stallTimer: NodeJS.Timeout;
  readonly #queue: BodyQueue;
  #bytes = 0;
  #bytesAtProgress = 0;
  #isPaused = false;
  #isDiscarding = false;
  #isComplete = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(source: BodySource, bounds: BodyBounds) {
    this.#source = source;
    this.#bounds = bounds;
    this.#queue = new BodyQueue(bounds.chunks);
    this.#stallTimer = setTimeout(() => this.#stall(), bounds.stallMs);
    if (Number(bounds.announced) > bounds.bytesMax) this.#fail(bodyTooLarge(bounds.bytesMax));
  }

  /** True when this made enough of a difference for the client's time to start anew. */
  push(chunk: Uint8Array): boolean {
    this.#bytes += chunk.byteLength;
    if (this.#bytes > this.#bounds.bytesMax) this.#fail(bodyTooLarge(this.#bounds.bytesMax));
    if (!this.#isDiscarding && chunk.byteLength > 0) this.#keep(chunk);
    if (this.#isPaused || this.#bytes - this.#bytesAtProgress < PROGRESS_BYTES) return false;
    this.#bytesAtProgress = this.#bytes;
    this.#stallTimer.refresh();
    return true;
  }

  /** The last byte was pushed. */
  complete(): void {
    this.#isComplete = true;
    clearTimeout(this.#stallTimer);
    this.#wakeReader();
  }

  /** The client went away. */
  abort(): void {
    clearTimeout(this.#stallTimer);
    if (!this.#isComplete) this.#fail(clientGone());
  }

  /** Whatever comes is dropped from here on, so that the answer is not lost in a reset connection. */
  discard(): void {
    this.#isDiscarding = true;
    this.#queue.clear();
    // Behind the last byte uWS would start a clock for a client that owes nothing: `release` reads on then.
    if (!this.#isComplete) this.#readOn();
  }

  /** The request is about to be answered. */
  release(): void {
    this.#fail(new Error('The request was answered before its body was read'));
    this.#readOn();
  }

  /** The source is no longer there to be cut. */
  forget(): void {
    clearTimeout(this.#stallTimer);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const chunk = this.#queue.take();
        if (chunk !== undefined) {
          if (this.#queue.bytes <= RESUME_BYTES && !this.#isComplete) this.#readOn();
          yield chunk;
          // Not where the reader leaves in the middle: what it does with the chunk may still be going on.
          this.#queue.giveBack();
          continue;
        }
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#isComplete) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.discard();
    }
  }

  /** To the end, in one piece. */
  async gather(): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of this) chunks.push(chunk);
    const [first] = chunks;
    if (chunks.length !== 1 || first === undefined) return Buffer.concat(chunks);
    return Buffer.from(first.buffer, first.byteOffset, first.byteLength);
  }

  #keep(chunk: Uint8Array): void {
    this.#queue.add(chunk);
    if (this.#queue.bytes > PAUSE_BYTES && !this.#isPaused) {
      this.#isPaused = true;
      // Whose turn it is: while we are busy, the client's time does not run.
      clearTimeout(this.#stallTimer);
      this.#source.pause();
    }
    this.#wakeReader();
  }

  #readOn(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#bytesAtProgress = this.#bytes;
    if (!this.#isComplete) this.#stallTimer.refresh();
    this.#source.resume();
  }

  /** The first failure is the cause. */
  #fail(error: Error): void {
    if (this.#failure === undefined && !this.#isDiscarding) this.#failure = error;
    this.discard();
    this.#wakeReader();
  }

  #stall(): void {
    this.#fail(clientStalled(this.#bounds.stallMs));
    this.#source.cut();
  }

  #wakeReader(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
