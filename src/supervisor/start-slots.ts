/**
 * Bounds how many agents are between spawn and ready. All at once, fifty would share the cores so thinly that each
 * might miss its start timeout.
 */
import PQueue from 'p-queue';
import { fromPromise } from 'xstate';
import type { StartSlot, StartSlotInput } from './child.machine.ts';
import type { PreparedAgent } from './fleet.ts';

export interface StartSlotOptions {
  readonly concurrency: number;
  /** The agent as it shall start now: its configuration may have changed since it last did. */
  prepare(input: StartSlotInput): Promise<PreparedAgent>;
}

/** The actor a child waits with. Leaving the wait gives the place back, whenever that happens. */
export function createStartSlots(options: StartSlotOptions) {
  const queue = new PQueue({ concurrency: options.concurrency });
  return fromPromise<StartSlot, StartSlotInput>(async ({ input, signal }) => {
    const release = await takePlace(queue, signal);
    try {
      return { agent: await options.prepare(input), release };
    } catch (error) {
      release();
      throw error;
    }
  });
}

function takePlace(queue: PQueue, signal: AbortSignal): Promise<() => void> {
  return new Promise((resolve, reject) => {
    // The queue frees the place on abort too: the wait may be left after it was given and before the machine knows.
    queue.add(() => new Promise<void>((release) => resolve(release)), { signal }).catch(reject);
  });
}
