/** What a task's expression says now: pure, so that every policy can be held against every clock. */
import type { MissedPolicy } from '../contract/schedule-settings.ts';
import type { Expression } from './cron-expression.ts';

/** A time is missed when it is this long ago: until then the agent may be late, by a restart or a busy machine. */
export const LATE_MS = 60_000;
/** Clocks set back by less repeat nothing (people correct them, and summer time ends); by more, the new time counts. */
export const SET_BACK_MS = 3 * 3_600_000;

export interface Situation {
  readonly expression: Expression;
  /** The first time that nothing has been decided about. */
  readonly nextMs: number;
  readonly nowMs: number;
  readonly missed: MissedPolicy;
  /** The run before is still going. */
  readonly isBusy: boolean;
  /** With `all`: times that are made up for at the most. */
  readonly missedMax: number;
}

export interface Decision {
  /** The time to make a run of now. */
  readonly runMs: number | undefined;
  /** What `nextMs` becomes; undefined: the task is over. */
  readonly nextMs: number | undefined;
  /** Times went by without a run: this is the first of them. */
  readonly missedMs: number | undefined;
}

export function decide(situation: Situation): Decision {
  const { expression, nextMs, nowMs, missed, isBusy } = situation;
  const waits: Decision = { runMs: undefined, nextMs, missedMs: undefined };
  if (nextMs > nowMs) return waits;
  if (expression.onceMs !== undefined) {
    return isBusy ? waits : { runMs: nextMs, nextMs: undefined, missedMs: undefined };
  }
  if (isBusy && missed !== 'skip') return waits;
  if (missed === 'all') {
    const runMs = firstOfLast(situation);
    return { runMs, nextMs: expression.next(runMs), missedMs: runMs > nextMs ? nextMs : undefined };
  }
  const lastMs = Math.max(nextMs, expression.last(nowMs) ?? nextMs);
  const afterMs = expression.next(nowMs);
  if (missed === 'once') return { runMs: lastMs, nextMs: afterMs, missedMs: undefined };
  const isLate = nowMs - lastMs > LATE_MS;
  if (isBusy || isLate) return { runMs: undefined, nextMs: afterMs, missedMs: nextMs };
  return { runMs: lastMs, nextMs: afterMs, missedMs: lastMs > nextMs ? nextMs : undefined };
}

/** Each of them costs a tenth of a millisecond to find. */
const MADE_UP_MAX = 1_000;

/** The first time that has not been decided about, but for those before the last `missedMax`. */
function firstOfLast({ expression, nextMs, nowMs, missedMax }: Situation): number {
  const countMax = Math.min(missedMax, MADE_UP_MAX);
  // No expression has more than one time a minute.
  if (nowMs - nextMs < countMax * 60_000) return nextMs;
  let firstMs = nowMs + 1;
  for (let count = 0; count < countMax; count += 1) {
    const beforeMs = expression.last(firstMs - 1);
    if (beforeMs === undefined || beforeMs <= nextMs) return nextMs;
    firstMs = beforeMs;
  }
  return firstMs;
}

/**
 * What to make, at a start, of the time that an earlier one has left: it stays, unless it is none of the expression's
 * (any more), or the clock has been set back by much since.
 */
export function takeUp(
  expression: Expression,
  nextMs: number | undefined,
  nowMs: number,
): number | undefined {
  if (expression.onceMs !== undefined) return expression.onceMs;
  if (nextMs === undefined || expression.next(nextMs - 1) !== nextMs) return expression.next(nowMs);
  if (nextMs <= nowMs) return nextMs;
  const beforeMs = expression.last(nextMs - 1);
  return beforeMs !== undefined && beforeMs - nowMs >= SET_BACK_MS ? expression.next(nowMs) : nextMs;
}
