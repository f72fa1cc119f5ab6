/**
 * The bodies of answers, between the network and what reads them. Reading a piece costs ten times what receiving it does,
 * so with fifty answers at once the first word of one would wait behind the next words of all the others. Until an answer
 * has begun to speak its bytes are passed on at once; from then on they wait their turn: one answer in a turn of the event
 * loop, and what has come of it meanwhile as one piece, which costs less than many.
 */
import type { UnderlyingSource } from 'node:stream/web';
import type { Clock } from '../contract/clock.ts';

/** Of one answer: more is left in the network until some of it has been read. */
const HELD_BYTES_MAX = 262_144;
/** What is read in one go: a provider that sends a lot at once must not hold up everybody else. */
const PASSED_BYTES_MAX = 4_096;

/** Nobody sees that a word comes this much later with others; everybody would see more. */
const ROUND_MS = 50;

/** Whose turn it is, among the answers of an agent: one in a millisecond, and more where so many wait that a round took longer. */
export class BodyTurns {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  wait(pass: () => void): void {
    this.#waiting.push(pass);
    if (this.#waiting.length > 1) return;
    if (this.#clock.monotonicMs() - this.#lastMs < 1) this.#clock.setTimeout(this.#next, 1);
    else setImmediate(this.#next);
  }

  readonly #next = (): void => {
    this.#lastMs = this.#clock.monotonicMs();
    const passing = this.#waiting.splice(0, Math.ceil(this.#waiting.length / ROUND_MS));
    if (this.#waiting.length > 0) this.#clock.setTimeout(this.#next, 1);
    for (const pass of passing) pass();
  };
}

export interface PacedBodyOptions {
  readonly turns: BodyTurns;
  /** With all that comes, when it comes. */
  readonly onBytes: () => void;
  readonly isUrgent: () => boolean;
  /** Of the request: nobody wants to read what is still held, nor what would come. */
  readonly signal: AbortSignal | undefined;
}

export function paceBody(
  source: ReadableStream<Uint8Array>,
  options: PacedBodyOptions,
): ReadableStream<Uint8Array> {
  const body = new PacedBody(source, options);
  return new ReadableStream<Uint8Array>(body, { highWaterMark: 0 });
}

class PacedBody implements UnderlyingSource<Uint8Array> {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #options: PacedBodyOptions;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  #isWanted = false;
  #isWaiting = false;
  #end: { readonly error?: unknown } | undefined;
  #goOn: (() => void) | undefined;

  constructor(source: ReadableStream<Uint8Array>, options: PacedBodyOptions) {
    this.#reader = source.getReader();
    this.#options = options;
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    const { signal } = this.#options;
    this.#controller = controller;
    if (signal?.aborted) return this.#abort();
    signal?.addEventListener('abort', this.#abort, { once: true });
    void this.#receive();
  }

  pull(): void {
    this.#isWanted = true;
    this.#look();
  }

  async cancel(reason: unknown): Promise<void> {
    this.#leave();
    this.#goOn?.();
    await this.#reader.cancel(reason);
  }

  /** Not left to `fetch`: on Node 20 an abort was seen not to reach a body that was still coming. */
  readonly #abort = (): void => {
    const error = this.#options.signal?.reason;
    this.#held = [];
    this.#heldBytes = 0;
    this.#end = { error };
    this.#look();
    this.#goOn?.();
    // It was told with the same reason, or will never be told anything.
    this.#reader.cancel(error).catch(() => {});
  };

  /** Settles always: what goes wrong is told to whoever reads. */
  async #receive(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await this.#reader.read();
        if (done || this.#controller === undefined) break;
        this.#options.onBytes();
        this.#held.push(value);
        this.#heldBytes += value.byteLength;
        this.#look();
        if (this.#heldBytes >= HELD_BYTES_MAX) await new Promise<void>((resolve) => (this.#goOn = resolve));
      }
      this.#end ??= {};
    } catch (error) {
      this.#end ??= { error };
    }
    this.#look();
  }

  #look(): void {
    if (this.#held.length === 0) return this.#close();
    if (!this.#isWanted || this.#isWaiting) return;
    if (this.#options.isUrgent()) return this.#pass();
    this.#isWaiting = true;
    this.#options.turns.wait(() => {
      this.#isWaiting = false;
      if (this.#held.length > 0) this.#pass();
    });
  }

  #pass(): void {
    const piece = this.#take();
    this.#heldBytes -= piece.byteLength;
    this.#isWanted = false;
    this.#goOn?.();
    this.#goOn = undefined;
    this.#controller?.enqueue(piece);
  }

  /** As much as is passed in one go, in the order in which it came. */
  #take(): Uint8Array {
    let [count, bytes] = [0, 0];
    while (count < this.#held.length && bytes < PASSED_BYTES_MAX) {
      bytes += (this.#held[count] as Uint8Array).byteLength;
      count += 1;
    }
    const taken = this.#held.splice(0, count);
    const piece = count === 1 ? (taken[0] as Uint8Array) : Buffer.concat(taken, bytes);
    if (bytes <= PASSED_BYTES_MAX) return piece;
    this.#held.unshift(piece.subarray(PASSED_BYTES_MAX));
    return piece.subarray(0, PASSED_BYTES_MAX);
  }

  #close(): void {
    const end = this.#end;
    if (end === undefined) return;
    if ('error' in end) this.#controller?.error(end.error);
    else this.#controller?.close();
    this.#leave();
  }

  #leave(): void {
    this.#options.signal?.removeEventListener('abort', this.#abort);
    this.#controller = undefined;
  }
}
