/**
 * The rows of model calls, on disk: the reference's `usage_log`, and `usage_calls` with what that has no column for. A
 * row is written at once in a transaction of its own that does not wait for the disk; the turn's outcome, which follows
 * it into the same write-ahead log, makes both durable. A killed process loses nothing by that. While the file cannot be
 * written rows are kept and tried again: money that was spent must not be forgotten because a disk was full.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';
import type { Log } from '../logging/log.ts';
import { type Database, toStorageError } from '../storage/database.ts';
import type { BudgetEvent, Period } from './budgets.ts';
import type { CostSource } from './prices.ts';

export type CallKind = 'chat' | 'classifier' | 'summary' | 'test';

export interface UsageRow {
  readonly id: string;
  readonly atMs: number;
  /** Runtime id. */
  readonly model: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly sessionId: string | undefined;
  readonly kind: CallKind;
  readonly turnId: string | undefined;
  readonly durationMs: number;
  readonly costUsd: number | undefined;
  readonly costSource: CostSource;
  /** The provider did not say how many tokens; these are guessed from the length of the texts. */
  readonly isEstimated: boolean;
  readonly cacheReadTokens: number | undefined;
  readonly cacheWriteTokens: number | undefined;
  readonly reasoningTokens: number | undefined;
  /** Of a call that failed. */
  readonly errorCode: string | undefined;
}

type Entry = { readonly row: UsageRow } | { readonly mark: BudgetEvent; readonly atMs: number };

const RETRY_MS = 250;
/** Kept while the file cannot be written; some megabytes. */
const KEPT_MAX = 10_000;

export class UsageRecords {
  readonly #db: Database;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #sql: ReturnType<typeof prepare>;
  #pending: Entry[] = [];
  #retry: TimerHandle | undefined;
  #isClosed = false;

  constructor(db: Database, clock: Clock, log: Log) {
    this.#db = db;
    this.#clock = clock;
    this.#log = log;
    this.#sql = prepare(db);
  }

  add(row: UsageRow): void {
    this.#add({ row });
  }

  addMark(mark: BudgetEvent): void {
    this.#add({ mark, atMs: this.#clock.wallMs() });
  }

  spentIn(period: Period): number {
    const written =
      period.kind === 'month' ? this.#sql.spentInMonth(period.key) : this.#sql.spentInDay(period.key);
    const kept = this.#pending.map((entry) =>
      'row' in entry && new Date(entry.row.atMs).toISOString().startsWith(period.key)
        ? (entry.row.costUsd ?? 0)
        : 0,
    );
    return kept.reduce((sum, usd) => sum + usd, written);
  }

  toldIn(period: Period, budgetUsd: number): number {
    return this.#sql.told(period.key, budgetUsd);
  }

  /** Tries once more what could not be written; false when something still could not. */
  flush(): boolean {
    if (this.#pending.length === 0 || this.#isClosed) return this.#pending.length === 0;
    const batch = this.#pending;
    try {
      this.#write(batch);
      this.#pending = [];
      return true;
    } catch (cause) {
      this.#keep(cause);
      return false;
    }
  }

  /** The database may be closed afterwards. */
  close(): boolean {
    const isWritten = this.flush();
    this.#isClosed = true;
    this.#clock.clearTimeout(this.#retry);
    if (!isWritten) this.#log.error('usage.lost', { calls: this.#pending.length });
    return isWritten;
  }

  #add(entry: Entry): void {
    this.#pending.push(entry);
    // Nothing is tried again in between, or a full disk would cost every call a failed write.
    if (this.#retry === undefined) this.flush();
  }

  #write(batch: readonly Entry[]): void {
    const db = this.#db;
    const safety = db.pragma('synchronous', { simple: true }) as number;
    db.pragma('synchronous = NORMAL');
    try {
      this.#sql.begin.run();
      for (const entry of batch) {
        if ('row' in entry) this.#sql.insert(entry.row);
        else this.#sql.mark(entry.mark, entry.atMs);
      }
      this.#sql.commit.run();
    } catch (cause) {
      if (db.inTransaction) db.exec('ROLLBACK');
      throw cause;
    } finally {
      db.pragma(`synchronous = ${safety}`);
    }
  }

  #keep(cause: unknown): void {
    const { code, message } = toStorageError(cause, this.#db.name);
    this.#log.warn('usage.write_failed', { code, error: message, kept: this.#pending.length });
    if (this.#pending.length > KEPT_MAX) {
      const lost = this.#pending.splice(0, this.#pending.length - KEPT_MAX);
      this.#log.error('usage.lost', { calls: lost.length });
    }
    if (this.#retry !== undefined) return;
    this.#retry = this.#clock.setTimeout(() => {
      this.#retry = undefined;
      this.flush();
    }, RETRY_MS);
    // What is left when the agent ends is written by `close`.
    (this.#retry as { unref?: () => void }).unref?.();
  }
}

function prepare(db: Database) {
  const log = db.prepare(
    `INSERT INTO usage_log (id, timestamp, model, input_tokens, output_tokens, cost, session_id, year_month)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const call = db.prepare(
    `INSERT INTO usage_calls (id, kind, turn_id, duration_ms, cost_usd, cost_source, estimated,
       cache_read_tokens, cache_write_tokens, reasoning_tokens, error_code)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const mark = db.prepare('INSERT OR IGNORE INTO budget_marks VALUES (?, ?, ?, ?)');
  const month = db.prepare('SELECT coalesce(sum(cost), 0) FROM usage_log WHERE year_month = ?').pluck();
  const day = db
    .prepare('SELECT coalesce(sum(cost), 0) FROM usage_log WHERE timestamp >= ? AND timestamp < ?')
    .pluck();
  const told = db
    .prepare('SELECT coalesce(max(percent), 0) FROM budget_marks WHERE period = ? AND budget = ?')
    .pluck();
  return {
    begin: db.prepare('BEGIN IMMEDIATE'),
    commit: db.prepare('COMMIT'),
    insert: (row: UsageRow): void => {
      const { id, inputTokens, outputTokens, costUsd = 0, sessionId = null } = row;
      const month = new Date(row.atMs).toISOString().slice(0, 7);
      log.run(id, row.atMs / 1000, row.model, inputTokens, outputTokens, costUsd, sessionId, month);
      call.run(
        ...[id, row.kind, row.turnId ?? null, row.durationMs, row.costUsd ?? null, row.costSource],
        ...[Number(row.isEstimated), row.cacheReadTokens ?? null, row.cacheWriteTokens ?? null],
        ...[row.reasoningTokens ?? null, row.errorCode ?? null],
      );
    },
    mark: ({ key, budgetUsd, percent }: BudgetEvent, atMs: number): void =>
      void mark.run(key, budgetUsd, percent, atMs / 1000),
    spentInMonth: (key: string): number => month.get(key) as number,
    spentInDay: (key: string): number => {
      const startMs = Date.parse(`${key}T00:00:00Z`);
      return day.get(startMs / 1000, startMs / 1000 + 86_400) as number;
    },
    told: (key: string, budgetUsd: number): number => told.get(key, budgetUsd) as number,
  };
}
