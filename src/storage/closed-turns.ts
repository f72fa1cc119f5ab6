/**
 * The turns that nothing is left to do for, as ranges of their ids. Turns are closed nearly in the order in which they
 * were accepted, so that a million of them are one row: closing a turn touches neither its own row nor that of its
 * outcome, and a start finds what is open in the gaps between the ranges, without looking at the rest.
 */
import type { Database } from './database.ts';

export interface ClosedTurns {
  /** In a transaction of the caller. The ids come in any order; it may know some of them already. */
  add(ids: readonly number[]): void;
}

interface Range {
  readonly first: number;
  readonly last: number;
}

/** Ranges that nothing but ids without a turn lies between become one: a start leaves such a gap, and so does a refusal. */
const IS_APART = 'SELECT 1 FROM turns WHERE id > ? AND id < ? LIMIT 1';

/** A column that is 1 as long as something is left to do for the turn `id`. */
export const isOpen = (id: string): string =>
  `(SELECT last FROM turns_closed WHERE first <= ${id} ORDER BY first DESC LIMIT 1) < ${id}`;

/** Where open turns are, from `lo` to `hi`. No id is 0, which is closed from the beginning. */
export const GAPS = `SELECT last + 1 AS lo, lead(first, 1, ${Number.MAX_SAFE_INTEGER}) OVER (ORDER BY first) - 1 AS hi
  FROM turns_closed`;

export function createClosedTurns(db: Database): ClosedTurns {
  const upTo = db.prepare(
    'SELECT first, last FROM turns_closed WHERE first <= ? ORDER BY first DESC LIMIT 1',
  );
  const remove = db.prepare('DELETE FROM turns_closed WHERE first = ?');
  const put = db.prepare('INSERT INTO turns_closed (first, last) VALUES (?, ?)');

  /** Takes in whatever it overlaps or touches, so that ranges stay apart. */
  function addRange(range: Range): void {
    let { first, last } = range;
    for (;;) {
      const other = upTo.get(last + 1) as Range | undefined;
      if (other === undefined || other.last < first - 1) break;
      if (other.first <= first && other.last >= last) return;
      remove.run(other.first);
      first = Math.min(first, other.first);
      last = Math.max(last, other.last);
    }
    put.run(first, last);
  }

  return {
    add: (ids) => {
      for (const range of toRanges(ids)) addRange(range);
    },
  };
}

function toRanges(ids: readonly number[]): readonly Range[] {
  const ranges: { first: number; last: number }[] = [];
  let current: { first: number; last: number } | undefined;
  for (const id of Float64Array.from(ids).sort()) {
    if (current && id <= current.last + 1) current.last = id;
    else {
      current = { first: id, last: id };
      ranges.push(current);
    }
  }
  return ranges;
}

/** Once at a start, before anything is closed. */
export function joinClosedRanges(db: Database): void {
  const ranges = db.prepare('SELECT first, last FROM turns_closed ORDER BY first').all() as Range[];
  if (ranges.length < 2) return;
  const isApart = db.prepare(IS_APART);
  const remove = db.prepare('DELETE FROM turns_closed WHERE first = ?');
  const widen = db.prepare('UPDATE turns_closed SET last = ? WHERE first = ?');
  const join = db.transaction(() => {
    let [wide] = ranges as [Range];
    for (const next of ranges.slice(1)) {
      if (isApart.get(wide.last, next.first) !== undefined) {
        wide = next;
        continue;
      }
      remove.run(next.first);
      widen.run(next.last, wide.first);
      wide = { first: wide.first, last: next.last };
    }
  });
  join.immediate();
}
