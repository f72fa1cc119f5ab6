/**
 * How long the talk with stuck JavaScript may take. One that does not even pause is in native code and is given up
 * soon; from then on it is known to answer, and a busy machine or a full heap only makes it slow.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';

/** Until it is paused. */
const PAUSE_MS = 1_500;
/** From then on, until it is read and told to end. */
const READ_MS = 2_000;

export interface Deadline {
  readonly passed: Promise<void>;
  /** It is paused. */
  extend(): void;
  clear(): void;
}

export function startDeadline(clock: Clock): Deadline {
  let timer: TimerHandle;
  let pass = (): void => {};
  const passed = new Promise<void>((resolve) => {
    pass = resolve;
  });
  const startOf = (ms: number): void => {
    clock.clearTimeout(timer);
    timer = clock.setTimeout(pass, ms);
  };
  startOf(PAUSE_MS);
  return { passed, extend: () => startOf(READ_MS), clear: () => clock.clearTimeout(timer) };
}
