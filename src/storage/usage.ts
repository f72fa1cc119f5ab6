/** What turns have used, from the reference's `usage_log` and what stands beside it. */
import type { Database } from './database.ts';

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
