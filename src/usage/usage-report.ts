/** What routes and commands tell of usage: the reference's figures, and beside them what it does not know. */
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { DailyUsage, UsagePricing, UsageSummary } from '../contract/schemas/usage.ts';
import { type Database, toStorageError } from '../storage/database.ts';
import { type BudgetState, type Budgets, periodKey } from './budgets.ts';
import type { Prices } from './prices.ts';

export interface UsageReport {
  summary(): UsageSummary;
  /** The last so many times 24 hours, in UTC days; none for 0 and less. */
  daily(days: number): DailyUsage;
  /** Of the models that were called this month. */
  pricing(): UsagePricing;
}

export interface UsageReportParts {
  readonly db: Database;
  readonly clock: Clock;
  readonly prices: Prices;
  readonly budgets: Budgets;
  /** Brings rows that wait for the disk into the tables, where that is possible. */
  flush(): void;
}

interface ModelSums {
  readonly model: string;
  readonly cost: number;
  readonly calls: number;
  readonly failed: number;
  readonly unpriced: number;
}

/** A row of the reference's has no other half; what it cost is taken as known. */
const SUMS = `count(*) AS calls, coalesce(sum(log.cost), 0) AS cost,
  coalesce(sum(call.error_code IS NOT NULL), 0) AS failed,
  coalesce(sum(call.id IS NOT NULL AND call.cost_usd IS NULL), 0) AS unpriced`;
const ROWS = 'usage_log AS log LEFT JOIN usage_calls AS call ON call.id = log.id';

export function createUsageReport({ db, clock, prices, budgets, flush }: UsageReportParts): UsageReport {
  const readable = readableFrom(db.name);
  const byModel = db.prepare(
    `SELECT log.model AS model, ${SUMS} FROM ${ROWS} WHERE log.year_month = ? GROUP BY log.model ORDER BY log.model`,
  );
  const byDay = db.prepare(
    `SELECT strftime('%Y-%m-%d', log.timestamp, 'unixepoch') AS date, log.model AS model, ${SUMS},
       sum(log.input_tokens) AS input_tokens, sum(log.output_tokens) AS output_tokens,
       coalesce(sum(call.cache_read_tokens), 0) AS cache_read_tokens,
       coalesce(sum(call.cache_write_tokens), 0) AS cache_write_tokens,
       coalesce(sum(call.reasoning_tokens), 0) AS reasoning_tokens
     FROM ${ROWS} WHERE log.timestamp >= ? GROUP BY 1, 2 ORDER BY 1 DESC, cost DESC, 2`,
  );
  const thisMonth = (): readonly ModelSums[] => {
    flush();
    return byModel.all(periodKey('month', clock.wallMs())) as ModelSums[];
  };

  return {
    summary: readable(() => {
      const rows = thisMonth();
      const [month, day] = [budgets.state('month'), budgets.state('day')];
      const total = (key: 'calls' | 'failed') => rows.reduce((sum, row) => sum + row[key], 0);
      return {
        monthly_spend: dollars(month.spentUsd),
        monthly_budget: month.budgetUsd,
        remaining: remaining(month),
        by_model: Object.fromEntries(rows.map(({ model, cost }) => [model, dollars(cost)])),
        daily_spend: dollars(day.spentUsd),
        daily_budget: day.budgetUsd,
        daily_remaining: remaining(day),
        reserved: dollars(budgets.heldUsd),
        calls: total('calls'),
        failed_calls: total('failed'),
        unpriced_calls: Object.fromEntries(
          rows.filter(({ unpriced }) => unpriced > 0).map(({ model, unpriced }) => [model, unpriced]),
        ),
      };
    }),
    daily: readable((days) => {
      if (days <= 0) return { entries: [] };
      flush();
      const rows = byDay.all(clock.wallMs() / 1000 - days * 86_400) as (ModelSums & DailyRow)[];
      return { entries: rows.map(toEntry) };
    }),
    pricing: readable(() => ({
      pricing: Object.fromEntries(thisMonth().map(({ model }) => [model, ratesOf(model, prices, clock)])),
    })),
  };
}

/** What SQLite throws, told as what it means for whoever asked. */
function readableFrom(path: string) {
  return <A extends readonly unknown[], T>(read: (...args: A) => T) =>
    (...args: A): T => {
      try {
        return read(...args);
      } catch (cause) {
        const { message } = toStorageError(cause, path);
        throw new AppError('storage.unavailable', `Usage cannot be read: ${message}`, { cause });
      }
    };
}

type DailyRow = Omit<DailyUsage['entries'][number], 'request_count' | 'failed_count' | 'unpriced_count'>;

function toEntry(row: ModelSums & DailyRow): DailyUsage['entries'][number] {
  const { date, model, cost, calls, failed, unpriced } = row;
  return {
    date,
    model,
    cost: dollars(cost),
    input_tokens: row.input_tokens,
    output_tokens: row.output_tokens,
    request_count: calls,
    cache_read_tokens: row.cache_read_tokens,
    cache_write_tokens: row.cache_write_tokens,
    reasoning_tokens: row.reasoning_tokens,
    failed_count: failed,
    unpriced_count: unpriced,
  };
}

function ratesOf(model: string, prices: Prices, clock: Clock): UsagePricing['pricing'][string] {
  const { input, output, source } = prices.ratesOf(model, clock.wallMs());
  return {
    input_cost_per_million: dollars(input ?? 0),
    output_cost_per_million: dollars(output ?? 0),
    source: source === 'stated' ? 'unknown' : source,
  };
}

function remaining({ budgetUsd, spentUsd }: BudgetState): number | null {
  return budgetUsd > 0 ? dollars(Math.max(0, budgetUsd - spentUsd)) : null;
}

/** Six decimals, as the reference. */
function dollars(usd: number): number {
  return Math.round(usd * 1e6) / 1e6;
}
