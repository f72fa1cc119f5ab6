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

/** Many at once, or one alone. Without it a note that is being written ends up in a folder that has just moved away. */
export interface Gate {
  shared<T>(work: () => Promise<T>): Promise<T>;
  /** Once all who are inside have left; whoever comes meanwhile waits. */
  alone<T>(work: () => Promise<T>): Promise<T>;
}

export function createGate(): Gate {
  const inside = new Set<Promise<unknown>>();
  let closed: Promise<unknown> = Promise.resolve();
  return {
    shared: async (work) => {
      // Another may have closed it while this one waited.
      for (let seen: Promise<unknown> | undefined; seen !== closed; ) {
        seen = closed;
        await seen;
      }
      const done = work();
      const left: Promise<unknown> = done.then(
        () => inside.delete(left),
        () => inside.delete(left),
      );
      inside.add(left);
      return done;
    },
    alone: (work) => {
      const done = closed.then(() => Promise.all(inside)).then(work);
      closed = done.catch(() => {});
      return done;
    },
  };
}
