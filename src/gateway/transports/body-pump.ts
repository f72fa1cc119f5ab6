/**
 * Moves a streamed body to a client, no faster than it reads, and lets go of the stream in every case: sent, failed,
 * client gone, client stalled. A stream that is not let go of keeps a file open; one that ends early would leave the
 * client waiting for bytes that were announced.
 */
import type { StreamedBody } from '../transport.ts';

/** A response as its library gives it. */
export interface BodySink {
  /** False: not all of it was taken yet; the pump waits until `drained`. */
  write(piece: Uint8Array): boolean;
  /** All of it was written. */
  end(): void;
  /** Drops the connection. */
  cut(): void;
}

/** Small enough that each of them taken is a sign of life from a slow client. */
const PIECE_BYTES = 64 * 1024;

export class BodyPump {
  readonly #body: StreamedBody;
  readonly #sink: BodySink;
  readonly #stallMs: number;
  #iterator: AsyncIterator<Uint8Array> | undefined;
  #stallTimer: NodeJS.Timeout | undefined;
  #wake: (() => void) | undefined;
  #isAborted = false;

  constructor(body: StreamedBody, sink: BodySink, stallMs: number) {
    this.#body = body;
    this.#sink = sink;
    this.#stallMs = stallMs;
  }

  /** Resolves when the connection is owed nothing more; never rejects. */
  async run(): Promise<void> {
    try {
      this.#iterator = this.#body.open()[Symbol.asyncIterator]();
      if (await this.#sendAll(this.#iterator)) this.#sink.end();
      else if (!this.#isAborted) this.#sink.cut();
    } catch {
      // The stream has told its maker (see `StreamedBody`); the client must see that what it got is not all.
      if (!this.#isAborted) this.#sink.cut();
    } finally {
      this.#letGo();
    }
  }

  /** The client took something. */
  progressed(): void {
    this.#stallTimer?.refresh();
  }

  /** The client has caught up. */
  drained(): void {
    clearTimeout(this.#stallTimer);
    this.#wake?.();
  }

  /** The client is gone: the sink must not be touched any more. */
  abort(): void {
    this.#isAborted = true;
    this.drained();
    this.#letGo();
  }

  /** False: the stream ended too early or gave too much, or nobody listens any more. */
  async #sendAll(iterator: AsyncIterator<Uint8Array>): Promise<boolean> {
    const { length } = this.#body;
    let owedBytes = length ?? Number.POSITIVE_INFINITY;
    while (owedBytes > 0) {
      const { done, value } = await iterator.next();
      if (this.#isAborted) return false;
      if (done) return length === undefined;
      if (value.byteLength > owedBytes) return false;
      owedBytes -= value.byteLength;
      for (let at = 0; at < value.byteLength; at += PIECE_BYTES) {
        if (!this.#sink.write(value.subarray(at, at + PIECE_BYTES))) await this.#untilDrained();
        if (this.#isAborted) return false;
      }
    }
    return true;
  }

  #untilDrained(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#stallTimer = setTimeout(() => this.#sink.cut(), this.#stallMs);
    });
  }

  #letGo(): void {
    const iterator = this.#iterator;
    this.#iterator = undefined;
    // What its cleaning up fails with is told as any failure of the stream is.
    iterator?.return?.().catch(() => {});
  }
}
