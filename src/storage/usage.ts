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

/** Tokens of the calls that a turn has made since then. */
export function usageOfTurn(
  db: Database,
  turnId: string,
  sinceMs: number,
): { input: number; output: number; cached: number; reasoning: number } {
  return db
    .prepare(
      `SELECT coalesce(sum(log.input_tokens), 0) AS input, coalesce(sum(log.output_tokens), 0) AS output,
         coalesce(sum(call.cache_read_tokens), 0) AS cached, coalesce(sum(call.reasoning_tokens), 0) AS reasoning
       FROM usage_log AS log JOIN usage_calls AS call ON call.id = log.id
       WHERE log.timestamp >= ? AND call.turn_id = ?`,
    )
    .get(sinceMs / 1000, turnId) as { input: number; output: number; cached: number; reasoning: number };
}
