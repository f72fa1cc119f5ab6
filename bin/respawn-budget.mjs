/**
 * What the launcher decides by, without a process in it: how often a host may die before it is given up, and when its
 * silence is one. Both distrust the launcher itself: a machine that slept makes everybody look late.
 */

/** More than `intensity` deaths within `periodMs`, and the host is given up: whatever kills it will go on doing so. */
export function createRespawnBudget({
  intensity = 5,
  periodMs = 60_000,
  delayMsMin = 250,
  delayMsMax = 5_000,
} = {}) {
  let deaths = [];
  const within = (nowMs) => deaths.filter((at) => at > nowMs - periodMs);
  return {
    /** How long to wait before the next start, in milliseconds; undefined: not any more. */
    died(nowMs) {
      deaths = [...within(nowMs), nowMs];
      if (deaths.length > intensity) return undefined;
      return deaths.length === 1 ? 0 : Math.min(delayMsMax, delayMsMin * 2 ** (deaths.length - 2));
    },
    /** The last death is somebody else's fault: an agent pays for it with its own budget. */
    forgive() {
      deaths = deaths.slice(0, -1);
    },
    recent: (nowMs) => within(nowMs).length,
    /** Whether one more death would be survived. */
    mayDie: (nowMs) => within(nowMs).length < intensity,
  };
}

/** A host is silent when it has said nothing for `silentMs` of a time in which it could have. */
export function createSilence(nowMs, { tickMs = 1_000, lateMs = 500, silentMs = 10_000 } = {}) {
  let heardMs = nowMs;
  let tickedMs = nowMs;
  return {
    heard(now) {
      heardMs = now;
    },
    /**
     * To be called each `tickMs`. `isExcused` is asked only when it matters: is the host stopped, or waiting for a
     * disk? Then, and when this call itself comes late, the time starts anew.
     */
    tick(now, isExcused) {
      const isLate = now - tickedMs > tickMs + lateMs;
      tickedMs = now;
      if (now - heardMs <= tickMs + lateMs) return false;
      if (isLate || isExcused()) heardMs = now;
      return now - heardMs >= silentMs;
    },
  };
}
