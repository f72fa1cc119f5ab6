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
  let marked: string | undefined;
  let leave = (): void => {};
  let isClearing = false;

  function mark(name: string | undefined): void {
    if (name === marked) return;
    leave();
    marked = name;
    leave = name === undefined ? () => {} : vitals.enter('bridge', `bridge ${name}`);
  }

  /**
   * Not at once: a chain of promises would change the mark with each link, and most of its time would be ours. Ticks run
   * when all promises have, and before anything else does.
   */
  function clearSoon(): void {
    if (marked === undefined || isClearing) return;
    isClearing = true;
    bridges.exit(() => process.nextTick(clear));
  }

  function clear(): void {
    isClearing = false;
    mark(undefined);
  }

  createHook({ before: () => mark(bridges.getStore()), after: clearSoon }).enable();

  return {
    run: (name, work) =>
      bridges.run(name, () => {
        mark(name);
        try {
          return work();
        } finally {
          clearSoon();
        }
      }),
  };
}
