/** How much one socket may send in any one second: a fixed window, two counters. */
import type { Clock } from '../../contract/clock.ts';
import type { Limits } from '../../contract/limits.ts';

/** The fleet's gateway has limits of its own. */
type FrameLimits = Pick<Limits, 'framesPerSecond' | 'frameBytesPerSecond'>;

const WINDOW_MS = 1_000;

export class FrameRate {
  readonly #limits: FrameLimits;
  readonly #clock: Clock;
  #startMs: number;
  #frames = 0;
  #bytes = 0;

  constructor(limits: FrameLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#startMs = clock.monotonicMs();
  }

  /** Counts one frame; false when it is one too many. */
  allows(bytes: number): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#startMs >= WINDOW_MS) {
      this.#startMs = nowMs;
      this.#frames = 0;
      this.#bytes = 0;
    }
    this.#frames += 1;
    this.#bytes += bytes;
    return this.#frames <= this.#limits.framesPerSecond && this.#bytes <= this.#limits.frameBytesPerSecond;
  }
}
