/**
 * A file of a multipart body, from the parser to whoever takes it. The parser hands out pieces of a chunk that is valid
 * only until the next one is asked for, and its streams keep some of them for later: here is known when none is in use.
 */
import type { BusboyFileStream } from '@fastify/busboy';

export class FileContent implements AsyncIterable<Uint8Array> {
  readonly #file: BusboyFileStream;
  /** Called when everything that came so far was taken. */
  readonly #onTaken: () => void;
  #pieces: Uint8Array[] = [];
  #receivedBytes = 0;
  #isInUse = false;
  #isOver = false;
  #isLetGo = false;
  #failure: { readonly error: unknown } | undefined;
  #wake: (() => void) | undefined;

  constructor(file: BusboyFileStream, onTaken: () => void) {
    this.#file = file;
    this.#onTaken = onTaken;
    file.on('data', (piece: Uint8Array) => this.#receive(piece));
    file.on('end', () => this.end());
    file.on('error', (error: unknown) => this.fail(error));
  }

  /** All that the parser has seen of it was taken, and nobody looks at it any more. */
  get isTaken(): boolean {
    if (this.#isLetGo) return true;
    return this.#receivedBytes >= this.#file.bytesRead && this.#pieces.length === 0 && !this.#isInUse;
  }

  end(): void {
    this.#isOver = true;
    this.#wakeReader();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wakeReader();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure.error;
        const piece = this.#pieces.shift();
        if (piece !== undefined) {
          this.#isInUse = true;
          yield piece;
          this.#isInUse = false;
          if (this.isTaken) this.#onTaken();
        } else if (this.#isOver && this.#receivedBytes >= this.#file.bytesRead) return;
        else await this.#untilMore();
      }
    } finally {
      this.letGo();
    }
  }

  /** Nobody wants more of it; what still comes is dropped. */
  letGo(): void {
    this.#isLetGo = true;
    this.#pieces = [];
    this.#onTaken();
  }

  #receive(piece: Uint8Array): void {
    this.#receivedBytes += piece.byteLength;
    if (!this.#isLetGo) this.#pieces.push(piece);
    this.#wakeReader();
  }

  #untilMore(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #wakeReader(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}
