/** One after the other for whoever names the same key. Two requests that write one note would otherwise interleave. */
export interface KeyedLocks {
  /** Runs `work` once everybody who asked before for one of these keys is done. */
  run<T>(keys: readonly string[], work: () => Promise<T>): Promise<T>;
}

export function createKeyedLocks(): KeyedLocks {
  const tails = new Map<string, Promise<void>>();
  return {
    run: async (keys, work) => {
      const wanted = [...new Set(keys)];
      const before = wanted.map((key) => tails.get(key));
      let release = (): void => {};
      const done = new Promise<void>((resolve) => {
        release = resolve;
      });
      // All places are taken in this one step, so that two who want the same two keys cannot wait for each other.
      for (const key of wanted) tails.set(key, done);
      await Promise.all(before);
      try {
        return await work();
      } finally {
        for (const key of wanted) if (tails.get(key) === done) tails.delete(key);
        release();
      }
    },
  };
}
