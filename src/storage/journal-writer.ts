/**
 * The journal's group commit: what one turn of the event loop wants written goes to disk in one fsynced transaction, and
 * whoever asked hears of it afterwards. One batch at a time; what arrives while it cannot be written joins it.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { Vitals } from '../contract/vitals.ts';
import type { Log } from '../logging/log.ts';
import { sqliteCodeOf, toStorageError } from './database.ts';
import type { JournalStatements } from './journal-statements.ts';
import type { NewTurn, Outcome } from './turn-record.ts';

export type Committed = (error: AppError | undefined) => void;

export type Op =
  | { readonly kind: 'accept'; readonly turn: NewTurn; readonly committed: Committed; readonly atMs: number }
  | { readonly kind: 'running'; readonly id: number }
  | { readonly kind: 'attempt'; readonly id: number; readonly committed: Committed }
  | {
      readonly kind: 'settle';
      readonly id: number;
      readonly outcome: Outcome;
      readonly endedAtMs: number;
      readonly keepOpen: boolean;
      readonly committed: () => void;
    }
  | { readonly kind: 'close'; readonly ids: readonly number[] }
  | {
      readonly kind: 'work';
      readonly write: () => void;
      /** Refused when it cannot be written at once; otherwise kept until it can. */
      readonly isRefusable: boolean;
      readonly committed: Committed | undefined;
    };

/** How long a new turn waits for another program's lock before it is refused. */
const ACCEPT_PATIENCE_MS = 2_000;
const BUSY_RETRY_MS = 25;
const FULL_RETRY_MS = 500;

export interface JournalWriterOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly vitals?: Vitals;
}

export class JournalWriter {
  readonly #sql: JournalStatements;
  readonly #options: JournalWriterOptions;
  #pending: Op[] = [];
  #isScheduled = false;
  #retry: TimerHandle | undefined;
  #isClosed = false;

  constructor(sql: JournalStatements, options: JournalWriterOptions) {
    this.#sql = sql;
    this.#options = options;
  }

  get isIdle(): boolean {
    return this.#pending.length === 0;
  }

  add(op: Op): void {
    this.#pending.push(op);
    if (this.#isScheduled || this.#retry !== undefined) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (this.#retry === undefined) this.flush();
    });
  }

  /** Written with whatever is written next. */
  addLazily(op: Op): void {
    this.#pending.push(op);
  }

  /** Writes what is pending now; false when it could not be written. */
  flush(): boolean {
    if (this.#pending.length === 0 || this.#isClosed) return this.isIdle;
    const batch = this.#pending;
    this.#pending = [];
    let failed: ReadonlyMap<Op, AppError>;
    try {
      failed = this.#write(batch);
    } catch (cause) {
      this.#postpone(batch, cause);
      return false;
    }
    tellAll(batch, (op) => failed.get(op));
    return true;
  }

  /** Writes what is pending, and what that brings, for as long as it takes; after `withinMs` it is left. */
  async close(withinMs: number): Promise<boolean> {
    const { clock } = this.#options;
    const endMs = clock.monotonicMs() + withinMs;
    while (!(this.flush() && this.isIdle) && clock.monotonicMs() < endMs) {
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, BUSY_RETRY_MS));
    }
    this.#isClosed = true;
    clock.clearTimeout(this.#retry);
    return this.isIdle;
  }

  #write(batch: readonly Op[]): ReadonlyMap<Op, AppError> {
    const leave = this.#options.vitals?.enter('storage', `commit of ${batch.length}`);
    try {
      return writeBatch(this.#sql, batch, this.#options.path);
    } finally {
      leave?.();
    }
  }

  /** New turns are refused (at once, or when their patience ends); everything else stays and is tried again. */
  #postpone(batch: readonly Op[], cause: unknown): void {
    const { clock, log, path } = this.#options;
    const error = toStorageError(cause, path);
    const isBusy = error.code === 'storage.locked';
    const nowMs = clock.monotonicMs();
    const isRefused = (op: Op) =>
      (op.kind === 'accept' && (!isBusy || nowMs - op.atMs > ACCEPT_PATIENCE_MS)) ||
      (op.kind === 'work' && op.isRefusable);
    const refused = batch.filter(isRefused);
    this.#pending = [...batch.filter((op) => !isRefused(op)), ...this.#pending];
    if (!isBusy || refused.length > 0) {
      log.error('journal.write_failed', {
        code: error.code,
        error: error.message,
        kept: this.#pending.length,
      });
    }
    if (this.#pending.length > 0) this.#retryIn(isBusy ? BUSY_RETRY_MS : FULL_RETRY_MS);
    const unavailable = new AppError('storage.unavailable', `Not accepted: ${error.message}`, {
      cause: error,
    });
    tellAll(refused, () => unavailable);
  }

  #retryIn(delayMs: number): void {
    if (this.#retry !== undefined) return;
    this.#retry = this.#options.clock.setTimeout(() => {
      this.#retry = undefined;
      this.flush();
    }, delayMs);
  }
}

/** Whoever is told may be wrong; the others of the batch hear of it all the same, or their turns would hang for ever. */
function tellAll(ops: readonly Op[], errorOf: (op: Op) => AppError | undefined): void {
  const defects: unknown[] = [];
  for (const op of ops) {
    try {
      tell(op, errorOf(op));
    } catch (defect) {
      defects.push(defect);
    }
  }
  if (defects.length > 0) throw defects[0];
}

function tell(op: Op, error: AppError | undefined): void {
  if (op.kind === 'accept' || op.kind === 'attempt') op.committed(error);
  else if (op.kind === 'settle') op.committed();
  else if (op.kind === 'work') op.committed?.(error);
}

/**
 * All of the batch in one transaction. A single row that breaks a constraint fails alone (SQLite undoes only that
 * statement); anything that concerns the file (full, locked, damaged) undoes the whole batch and is thrown.
 */
function writeBatch(sql: JournalStatements, batch: readonly Op[], path: string): ReadonlyMap<Op, AppError> {
  const failed = new Map<Op, AppError>();
  const settled = new Set<number>();
  const closed: number[] = [];
  for (const op of batch) {
    if (op.kind === 'close') for (const id of op.ids) closed.push(id);
    if (op.kind !== 'settle') continue;
    settled.add(op.id);
    if (!op.keepOpen) closed.push(op.id);
  }
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
    if (closed.length > 0) sql.close(closed);
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
      return sql.settle(op.id, op.outcome, op.endedAtMs);
    case 'running':
      // Its outcome is in the same transaction, and says it all.
      return settled.has(op.id) ? undefined : sql.markBegun(op.id);
    case 'attempt':
      return sql.markAttempt(op.id);
    case 'close':
      // All of them together, last.
      return;
    case 'work':
      return op.write();
  }
}
