/**
 * Knows at every moment whether code of a user's bridge runs, and whose: also in its timers, callbacks and promises,
 * which nobody calls by name. So a hang, or a crash of the whole process, is told as `bridge weather`. It watches every
 * callback of the thread and costs a little on each: only an agent that has bridges does.
 */
import { AsyncLocalStorage, createHook } from 'node:async_hooks';
import type { Vitals } from '../contract/vitals.ts';

export interface BridgeMarks {
  /** Runs `work` as that bridge's, with all it starts. */
  run<T>(name: string, work: () => T): T;
}

export function createBridgeMarks(vitals: Vitals): BridgeMarks {
  const bridges = new AsyncLocalStorage<string>();
  const leaves = new Map<number, () => void>();

  createHook({
    before(asyncId) {
      const name = bridges.getStore();
      if (name !== undefined) leaves.set(asyncId, vitals.enter('bridge', `bridge ${name}`));
    },
    after(asyncId) {
      leaves.get(asyncId)?.();
      leaves.delete(asyncId);
    },
  }).enable();

  return {
    run: (name, work) =>
      bridges.run(name, () => {
        const leave = vitals.enter('bridge', `bridge ${name}`);
        try {
          return work();
        } finally {
          leave();
        }
      }),
  };
}
