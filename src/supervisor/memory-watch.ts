/**
 * Judges what an incarnation holds against its limits, from samples and nothing else: it owns no timer and no clock. The
 * soft limit asks for a restart that costs nobody anything, so it waits for a moment of rest, and does not ask where a
 * restart would not help; the hard one protects the neighbours and waits for nobody.
 */

export interface MemoryLimits {
  readonly softBytes: number | undefined;
  readonly hardBytes: number | undefined;
  /** An incarnation younger than this is not restarted by the soft limit: a leak must not become a loop of restarts. */
  readonly stableMs: number;
}

export interface MemorySample {
  /** Monotonic milliseconds since the incarnation was ready. */
  readonly ageMs: number;
  readonly usedBytes: number;
  /** Read while heartbeats were missing: of its turns nothing is known. */
  readonly isBeat: boolean;
  /** No turn runs and none waits. */
  readonly isIdle: boolean;
}

export type MemoryVerdict =
  | 'fine'
  /** It has held more than its soft limit since it was ready: the limit is too low, and a restart would not help. */
  | 'futile'
  /** To be restarted with all courtesy. */
  | 'soft'
  /** To be ended now. */
  | 'hard';

export interface MemoryJudge {
  /** Each verdict but `fine` is given once. */
  look(sample: MemorySample): MemoryVerdict;
}

/** Heartbeats above the soft limit before it counts: a peak that is collected again is no leak. */
const BEATS_OVER = 3;
/** How long a moment of rest is waited for. */
const REST_WAIT_MS = 60_000;

export function createMemoryJudge({ softBytes, hardBytes, stableMs }: MemoryLimits): MemoryJudge {
  let beatsOver = 0;
  let dueMs: number | undefined;
  let hasBeenBelow = false;
  let given: MemoryVerdict = 'fine';

  function lookSoft({ ageMs, usedBytes, isBeat, isIdle }: MemorySample): MemoryVerdict {
    if (softBytes === undefined || !isBeat || given === 'soft') return 'fine';
    if (usedBytes <= softBytes) {
      hasBeenBelow = true;
      beatsOver = 0;
      dueMs = undefined;
      return 'fine';
    }
    beatsOver += 1;
    if (beatsOver < BEATS_OVER) return 'fine';
    if (!hasBeenBelow) return give(given === 'futile' ? 'fine' : 'futile');
    if (ageMs < stableMs) return 'fine';
    dueMs ??= ageMs;
    return isIdle || ageMs - dueMs >= REST_WAIT_MS ? give('soft') : 'fine';
  }

  function give(verdict: MemoryVerdict): MemoryVerdict {
    if (verdict !== 'fine') given = verdict;
    return verdict;
  }

  return {
    look: (sample) => {
      if (given === 'hard') return 'fine';
      if (hardBytes !== undefined && sample.usedBytes > hardBytes) return give('hard');
      return lookSoft(sample);
    },
  };
}
