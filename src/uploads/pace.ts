/**
 * Uploads are in no hurry; the turns of the same thread, and their commits on the same disk, are. Between two pieces of
 * an upload the event loop goes round a few times: next to nothing where it has nothing else to do, and most of the
 * thread where turns are running. Uploads queue up for this, so that many of them take no more than one does.
 */
import type { Clock } from '../contract/clock.ts';
import type { ByteStream } from '../contract/route.ts';

/** Taken at once. */
const PIECE_BYTES = 128 * 1024;
const ROUNDS = 4;
/** Rounds may be long on a busy machine or a slow disk, and uploads have to come to an end there too. */
const REST_MS = 10;

export class Pace {
  readonly #clock: Clock;
  #last: Promise<void> = Promise.resolve();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The same, no faster than it should be. */
  async *through(body: ByteStream): AsyncGenerator<Uint8Array, void, undefined> {
    let bytes = 0;
    for await (const chunk of body) {
      yield chunk;
      bytes += chunk.byteLength;
      if (bytes < PIECE_BYTES) continue;
      bytes = 0;
      this.#last = this.#last.then(() => this.#rest());
      await this.#last;
    }
  }

  async #rest(): Promise<void> {
    const endMs = this.#clock.monotonicMs() + REST_MS;
    for (let round = 0; round < ROUNDS; round += 1) {
      await new Promise<void>((resolve) => void setImmediate(resolve));
      if (this.#clock.monotonicMs() >= endMs) return;
    }
  }
}
