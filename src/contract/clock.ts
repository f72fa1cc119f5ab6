/**
 * Time as everything here receives it. `monotonicMs` measures windows and deadlines and never jumps; `wallMs` is for
 * people, files and the database. XState takes the same object as its `clock`.
 */
export interface Clock {
  /** Milliseconds since some fixed point; unaffected by changes of the system's clock. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch. */
  wallMs(): number;
  setTimeout(callback: () => void, delayMs: number): TimerHandle;
  clearTimeout(timer: TimerHandle): void;
}

/** Opaque: what `setTimeout` gave, to be handed to `clearTimeout`. */
export type TimerHandle = unknown;

export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as Parameters<typeof clearTimeout>[0]),
};
