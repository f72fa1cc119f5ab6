/**
 * The turn journal: everything that happens to a turn is written here before anyone is told. Writes made during one
 * turn of the event loop share one fsynced transaction; callbacks run after it. If the disk is full or another program
 * holds the database, new turns are refused, while outcomes are kept and tried again: a client is never told something
 * that is not on disk, and never loses an answer because the disk was full for a while.
 */
import type { SessionId } from '../contract/client-key.ts';
import type { Clock } from '../contract/clock.ts';
import type { Vitals } from '../contract/vitals.ts';
import type { Log } from '../logging/log.ts';
import { type Database, withoutSyncs, withStorageErrors } from './database.ts';
import { createJournalStatements } from './journal-statements.ts';
import { type Committed, JournalWriter } from './journal-writer.ts';
import { type EndedTurn, type NewTurn, type OpenTurn, type Outcome, turnRowId } from './turn-record.ts';

export interface Journal {
  /** Number of this start of the agent, 1 for the first; part of every turn id. */
  readonly boot: number;
  nextTurnId(): number;
  /** Every turn accepted so far has an id up to this one. */
  lastTurnId(): number;
  /** Refusable: `committed` gets `storage.unavailable` when the row could not be written. */
  accept(turn: NewTurn, committed: Committed): void;
  /** Written with whatever is written next; a crash that loses it only means that the turn counts as accepted. */
  markRunning(id: number): void;
  /** Retried until it is durable; only then `committed` runs, so the terminal frame waits for the disk. */
  settle(id: number, outcome: Outcome, endedAtMs: number, keepOpen: boolean, committed: () => void): void;
  /** Nothing is left to do for these turns. Written lazily. */
  closeTurns(ids: readonly number[]): void;
  /**
   * `work` in the next commit, behind what was asked for before it; kept and tried again until it is durable. `what` says
   * which row of docs/journal.md it is.
   */
  write(what: JournalWork, work: () => void, committed?: Committed): void;
  /** The same, but refused with `storage.unavailable` when it cannot be written at once. */
  writeOrRefuse(what: JournalWork, work: () => void, committed: Committed): void;
  /** Counts a new attempt at a turn that a crash interrupted; durable before `committed`. */
  markAttempt(id: number, committed: Committed): void;
  /** The turn with this client's idempotency key, if any. */
  findByMessage(clientKey: string, messageId: string): { id: number; text: string | null } | undefined;
  outcomeOf(id: number): { frame: string; endedAtMs: number } | undefined;
  /** Undefined also where the turn is another client's. */
  endedTurn(id: number, clientKey: string): EndedTurn | undefined;
  /** Among the latest turns of the agent. */
  lastTurnOf(clientKey: string, sessionId: SessionId): EndedTurn | undefined;
  openTurns(): readonly OpenTurn[];
  /** Cuts turns that ended before `beforeMs` to their outcome; at most `rowsMax` rows a call. True when more remain. */
  trim(beforeMs: number, rowsMax: number): boolean;
  /** A passive checkpoint: short, never waits for readers. */
  checkpoint(): void;
  /** True while nothing waits to be written. */
  isIdle(): boolean;
  /** Writes what is pending at once. False when something still could not be written. */
  flush(): boolean;
  /** The same before the database is closed: tried again for `withinMs`, and nothing is written afterwards. */
  close(withinMs: number): Promise<boolean>;
}

export type JournalWork = 'step' | 'call' | 'answer' | 'delta' | 'memory' | 'session';

export interface JournalOptions {
  readonly db: Database;
  readonly path: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Marked while the database is at work: a slow disk must not be taken for a hang. */
  readonly vitals?: Vitals;
}

export function createJournal(options: JournalOptions): Journal {
  const { db, path, clock } = options;
  // Damage that opening the file did not meet shows here, or when the open turns are read.
  const { sql, boot } = withStorageErrors(path, () => {
    const statements = createJournalStatements(db);
    const begin = () => statements.beginBoot(clock.wallMs() / 1000, options.version);
    return { sql: statements, boot: withoutSyncs(db, begin) };
  });
  // From here on a commit is durable when it returns, and with it everything written before.
  db.pragma('synchronous = FULL');
  let counter = 0;
  const writer = new JournalWriter(sql, options);
  const marked = <T>(detail: string, work: () => T): T => {
    const leave = options.vitals?.enter('storage', detail);
    try {
      return work();
    } finally {
      leave?.();
    }
  };

  return {
    boot,
    nextTurnId: () => turnRowId(boot, ++counter),
    lastTurnId: () => turnRowId(boot, counter),
    accept: (turn, committed) => writer.add({ kind: 'accept', turn, committed, atMs: clock.monotonicMs() }),
    markRunning: (id) => writer.addLazily({ kind: 'running', id }),
    markAttempt: (id, committed) => writer.add({ kind: 'attempt', id, committed }),
    settle: (id, outcome, endedAtMs, keepOpen, committed) =>
      writer.add({ kind: 'settle', id, outcome, endedAtMs, keepOpen, committed }),
    write: (_what, write, committed) => writer.add({ kind: 'work', write, isRefusable: false, committed }),
    writeOrRefuse: (_what, write, committed) =>
      writer.add({ kind: 'work', write, isRefusable: true, committed }),
    closeTurns: (ids) => writer.addLazily({ kind: 'close', ids }),
    findByMessage: sql.findByMessage,
    outcomeOf: sql.outcomeOf,
    endedTurn: sql.endedTurn,
    lastTurnOf: sql.lastTurnOf,
    openTurns: () => withStorageErrors(path, sql.openTurns),
    trim: (beforeMs, rowsMax) => marked('trim', () => sql.trim(beforeMs, rowsMax)),
    checkpoint: () => marked('checkpoint', () => void db.pragma('wal_checkpoint(PASSIVE)')),
    isIdle: () => writer.isIdle,
    flush: () => writer.flush(),
    close: (withinMs) => writer.close(withinMs),
  };
}
