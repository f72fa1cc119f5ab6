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

/** Where there is one, `performance` is not needed: loading it would be part of each agent's start. */
const hrtime = globalThis.process?.hrtime as NodeJS.HRTime | undefined;

function hrtimeMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000;
}

export const systemClock: Clock = {
  monotonicMs: hrtime ? hrtimeMs : () => performance.now(),
  wallMs: () => Date.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (timer) => clearTimeout(timer as Parameters<typeof clearTimeout>[0]),
};
