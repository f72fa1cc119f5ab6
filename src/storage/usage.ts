/** What this month has cost, from the reference's `usage_log`. Months are UTC, as there. */
import type { Database } from './database.ts';

export function spendThisMonth(db: Database, nowMs: number): { models: number; usd: number } {
  const month = new Date(nowMs).toISOString().slice(0, 7);
  return db
    .prepare(
      'SELECT count(DISTINCT model) AS models, coalesce(sum(cost), 0) AS usd FROM usage_log WHERE year_month = ?',
    )
    .get(month) as { models: number; usd: number };
}
