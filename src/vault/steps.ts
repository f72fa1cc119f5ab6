/**
 * Work on the index that takes longer than a conversation may be held up is done a step at a time. Without it one
 * search, or one graph of a large vault, is a pause for every turn of the agent.
 */
import type { Clock } from '../contract/clock.ts';

/** Each `next()` is a step; between two of them anything may happen, to the index too. */
export type Steps<T> = Generator<undefined, T, undefined>;

/** What the thread is held up before others have their turn, about: what one step takes comes on top. */
const SLICE_MS = 0.5;

/** All of it at once. */
export function drain<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** `check` is asked before each step whether it still makes sense; what it throws ends the work. */
export async function inSteps<T>(steps: Steps<T>, clock: Clock, check: () => void): Promise<T> {
  try {
    for (let startMs = clock.monotonicMs(); ; ) {
      check();
      const step = steps.next();
      if (step.done) return step.value;
      if (clock.monotonicMs() - startMs < SLICE_MS) continue;
      await nextTurn();
      startMs = clock.monotonicMs();
    }
  } finally {
    steps.return(undefined as T);
  }
}

export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
