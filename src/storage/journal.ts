/**
 * The turn journal: everything that happens to a turn is written here before anyone is told. Writes made during one
 * turn of the event loop share one fsynced transaction; callbacks run after it. If the disk is full or another program
 * holds the database, new turns are refused, while outcomes are kept and tried again: a client is never told something
 * that is not on disk, and never loses an answer because the disk was full for a while.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { Log } from '../logging/log.ts';
import { type Database, sqliteCodeOf, toStorageError } from './database.ts';
import { createJournalStatements, type JournalStatements } from './journal-statements.ts';
import { type NewTurn, type OpenTurn, type Outcome, turnRowId } from './turn-record.ts';

export type Committed = (error: AppError | undefined) => void;

export interface Journal {
  /** Number of this start of the agent, 1 for the first; part of every turn id. */
  readonly boot: number;
  nextTurnId(): number;
  /** Refusable: `committed` gets `storage.unavailable` when the row could not be written. */
  accept(turn: NewTurn, committed: Committed): void;
  /** Written with whatever is written next; a crash that loses it only means that the turn counts as accepted. */
  markRunning(id: number): void;
  /** Durable before `committed` runs: from here on the turn is never run again by itself. */
  markEffect(id: number, committed: Committed): void;
  /** Retried until it is durable; only then `committed` runs, so the terminal frame waits for the disk. */
  settle(id: number, outcome: Outcome, endedAtMs: number, keepOpen: boolean, committed: () => void): void;
  /** Nothing is left to do for these turns. Written lazily. */
  closeTurns(ids: readonly number[]): void;
  /** Counts a new attempt at a turn that a crash interrupted; durable before `committed`. */
  markAttempt(id: number, committed: Committed): void;
  /** The turn with this client's idempotency key, if any. */
  findByMessage(clientKey: string, messageId: string): { id: number; text: string | null } | undefined;
  outcomeOf(id: number): { frame: string; endedAtMs: number } | undefined;
  openTurns(): readonly OpenTurn[];
  /** Cuts turns that ended before `beforeMs` to their outcome; at most `rowsMax` rows a call. True when more remain. */
  trim(beforeMs: number, rowsMax: number): boolean;
  /** A passive checkpoint: short, never waits for readers. */
  checkpoint(): void;
  /** True while nothing waits to be written. */
  isIdle(): boolean;
  /** Writes what is pending at once; for draining and closing. False when something still could not be written. */
  flush(): boolean;
}

type Op =
  | { readonly kind: 'accept'; readonly turn: NewTurn; readonly committed: Committed; readonly atMs: number }
  | { readonly kind: 'running'; readonly id: number }
  | { readonly kind: 'effect'; readonly id: number; readonly committed: Committed }
  | { readonly kind: 'attempt'; readonly id: number; readonly committed: Committed }
  | {
      readonly kind: 'settle';
      readonly id: number;
      readonly outcome: Outcome;
      readonly endedAtMs: number;
      readonly keepOpen: boolean;
      readonly committed: () => void;
    }
  | { readonly kind: 'close'; readonly ids: readonly number[] };

export interface JournalOptions {
  readonly db: Database;
  readonly path: string;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** How long a new turn waits for another program's lock before it is refused. */
const ACCEPT_PATIENCE_MS = 2_000;
const BUSY_RETRY_MS = 25;
const FULL_RETRY_MS = 500;

export function createJournal(options: JournalOptions): Journal {
  const { db, clock } = options;
  const sql = createJournalStatements(db);
  const boot = sql.beginBoot(clock.wallMs() / 1000, options.version);
  let counter = 0;
  const writer = createWriter(options, sql);

  return {
    boot,
    nextTurnId: () => turnRowId(boot, ++counter),
    accept: (turn, committed) => writer.add({ kind: 'accept', turn, committed, atMs: clock.monotonicMs() }),
    markRunning: (id) => writer.addLazily({ kind: 'running', id }),
    markEffect: (id, committed) => writer.add({ kind: 'effect', id, committed }),
    markAttempt: (id, committed) => writer.add({ kind: 'attempt', id, committed }),
    settle: (id, outcome, endedAtMs, keepOpen, committed) =>
      writer.add({ kind: 'settle', id, outcome, endedAtMs, keepOpen, committed }),
    closeTurns: (ids) => writer.addLazily({ kind: 'close', ids }),
    findByMessage: sql.findByMessage,
    outcomeOf: sql.outcomeOf,
    openTurns: sql.openTurns,
    trim: sql.trim,
    checkpoint: () => void db.pragma('wal_checkpoint(PASSIVE)'),
    isIdle: writer.isIdle,
    flush: writer.flush,
  };
}

/** The group commit. One batch at a time; what arrives while it cannot be written joins it. */
function createWriter(options: JournalOptions, sql: JournalStatements) {
  const { clock, log } = options;
  let pending: Op[] = [];
  let isScheduled = false;
  let retry: TimerHandle | undefined;

  function schedule(): void {
    if (isScheduled || retry !== undefined) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      if (retry === undefined) commit();
    });
  }

  function retryIn(delayMs: number): void {
    if (retry !== undefined) return;
    retry = clock.setTimeout(() => {
      retry = undefined;
      commit();
    }, delayMs);
  }

  function commit(): boolean {
    if (pending.length === 0) return true;
    const batch = pending;
    pending = [];
    let failed: ReadonlyMap<Op, AppError>;
    try {
      failed = writeBatch(sql, batch, options.path);
    } catch (cause) {
      postpone(batch, toStorageError(cause, options.path), sqliteCodeOf(cause));
      return false;
    }
    for (const op of batch) tell(op, failed.get(op));
    return true;
  }

  /** New turns are refused (at once, or when their patience ends); everything else stays and is tried again. */
  function postpone(batch: readonly Op[], error: AppError, sqliteCode: string | undefined): void {
    const isBusy = sqliteCode?.startsWith('SQLITE_BUSY') === true;
    const nowMs = clock.monotonicMs();
    const isRefused = (op: Op) =>
      (op.kind === 'accept' && (!isBusy || nowMs - op.atMs > ACCEPT_PATIENCE_MS)) || op.kind === 'effect';
    pending = [...batch.filter((op) => !isRefused(op)), ...pending];
    const refused = batch.filter(isRefused);
    if (!isBusy || refused.length > 0) {
      log.error('journal.write_failed', { code: error.code, error: error.message, kept: pending.length });
    }
    if (pending.length > 0) retryIn(isBusy ? BUSY_RETRY_MS : FULL_RETRY_MS);
    const unavailable = new AppError('storage.unavailable', `Not accepted: ${error.message}`, {
      cause: error,
    });
    for (const op of refused) tell(op, unavailable);
  }

  return {
    add(op: Op): void {
      pending.push(op);
      schedule();
    },
    addLazily(op: Op): void {
      pending.push(op);
    },
    isIdle: () => pending.length === 0,
    flush: () => commit(),
  };
}

function tell(op: Op, error: AppError | undefined): void {
  if (op.kind === 'accept' || op.kind === 'effect' || op.kind === 'attempt') op.committed(error);
  else if (op.kind === 'settle') op.committed();
}

/**
 * All of the batch in one transaction. A single row that breaks a constraint fails alone (SQLite undoes only that
 * statement); anything that concerns the file (full, locked, damaged) undoes the whole batch and is thrown.
 */
function writeBatch(sql: JournalStatements, batch: readonly Op[], path: string): ReadonlyMap<Op, AppError> {
  const failed = new Map<Op, AppError>();
  const settled = new Set<number>();
  for (const op of batch) if (op.kind === 'settle') settled.add(op.id);
  sql.begin();
  try {
    for (const op of batch) {
      try {
        writeOp(sql, op, settled);
      } catch (cause) {
        if (!sqliteCodeOf(cause)?.startsWith('SQLITE_CONSTRAINT')) throw cause;
        failed.set(op, toStorageError(cause, path));
      }
    }
    sql.commit();
  } catch (cause) {
    sql.rollback();
    throw cause;
  }
  return failed;
}

function writeOp(sql: JournalStatements, op: Op, settled: ReadonlySet<number>): void {
  switch (op.kind) {
    case 'accept':
      return sql.insert(op.turn);
    case 'settle':
      return sql.settle(op.id, op.outcome, op.endedAtMs, op.keepOpen);
    case 'running':
      // Its outcome is in the same transaction: one update says it all.
      return settled.has(op.id) ? undefined : sql.markRunning(op.id);
    case 'effect':
      return sql.markEffect(op.id);
    case 'attempt':
      return sql.markAttempt(op.id);
    case 'close':
      for (const id of op.ids) sql.close(id);
  }
}
