/**
 * Joins the log entries that were there with those that are followed. Following begins first, so that none is left out;
 * entries written in between are then in both, and must be shown once. An entry has no number: it is told by what is in
 * it, and by the order, which is the same in both.
 */
import type { FleetAnswers } from '../fleet-client.ts';

export type LogEntry = FleetAnswers['readLogs'][number];

/** Cheap enough, and more than can be written between the beginning of following and the answer. */
export const OVERLAP_ENTRIES = 1_000;
export const ENTRIES_MAX = 10_000;

export interface LogJoin {
  /** The answer: what of it is to be shown. `shown`: how many of the newest at most, when nothing was shown before. */
  answered(entries: readonly LogEntry[], shown: number): readonly LogEntry[];
  /** Whether an entry that was followed is new. */
  isNew(entry: LogEntry): boolean;
  /** Following begins anew: what was shown stays shown. */
  restart(): void;
}

export function createLogJoin(): LogJoin {
  /** By agent: what the answer held that may still come by the other way. */
  let answered = new Map<string, string[]>();
  let oldestTs = Number.NEGATIVE_INFINITY;
  /** By agent: the newest one that was shown. */
  const last = new Map<string, string>();

  const isNew = (entry: LogEntry): boolean => {
    const keys = answered.get(entry.agent);
    if (keys === undefined) return true;
    const at = keys.indexOf(keyOf(entry));
    if (at >= 0) {
      keys.splice(0, at + 1);
      return false;
    }
    if (entry.ts < oldestTs) return false; // older than all that was answered: there were too many
    answered.delete(entry.agent);
    return true;
  };

  return {
    answered(entries, shown) {
      answered = new Map();
      for (const entry of entries) {
        answered.set(entry.agent, [...(answered.get(entry.agent) ?? []), keyOf(entry)]);
      }
      oldestTs = entries.length >= OVERLAP_ENTRIES ? (entries[0]?.ts ?? oldestTs) : Number.NEGATIVE_INFINITY;
      const fresh = last.size === 0 ? newest(entries, shown) : unseen(entries, last);
      for (const entry of entries) last.set(entry.agent, keyOf(entry));
      return fresh;
    },
    isNew(entry) {
      const isIt = isNew(entry);
      if (isIt) last.set(entry.agent, keyOf(entry));
      return isIt;
    },
    restart() {
      answered = new Map();
    },
  };
}

function newest(entries: readonly LogEntry[], count: number): readonly LogEntry[] {
  return count === 0 ? [] : entries.slice(-count);
}

/** After the last one that was shown; all, where that is not among them: it was cleared, or there were too many. */
function unseen(entries: readonly LogEntry[], last: ReadonlyMap<string, string>): readonly LogEntry[] {
  const seenTo = new Map<string, number>();
  for (const [at, entry] of entries.entries()) {
    if (last.get(entry.agent) === keyOf(entry)) seenTo.set(entry.agent, at);
  }
  return entries.filter((entry, at) => at > (seenTo.get(entry.agent) ?? -1));
}

/** The agent's own field of that name is another one in the answer than in what is followed. */
function keyOf({ agent: _, ...fields }: LogEntry): string {
  return JSON.stringify(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}
