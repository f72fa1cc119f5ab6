/** Schemas of the rows in `routes/usage.ts`. Money is dollars, rounded to six decimals. */
import { z } from 'zod';
import type { RouteSchemas } from '../route.ts';
import type { USAGE_ROUTES } from '../routes/usage.ts';

const dollars = () => z.number().nonnegative();
const whole = () => z.int().nonnegative();

const Summary = z.object({
  /** Of this UTC month. */
  monthly_spend: dollars(),
  /** 0: none. */
  monthly_budget: dollars(),
  /** Null: there is no budget. */
  remaining: dollars().nullable(),
  /** Cost of this month by model. */
  by_model: z.record(z.string(), dollars()),
  /** Of this UTC day. */
  daily_spend: dollars(),
  daily_budget: dollars(),
  daily_remaining: dollars().nullable(),
  /** Set aside for calls that are running. */
  reserved: dollars(),
  /** Of this month, classifiers and failed ones among them. */
  calls: whole(),
  failed_calls: whole(),
  /** Calls of this month that stand with a cost of 0 because nobody knows the price, by model. */
  unpriced_calls: z.record(z.string(), whole()),
});

const DailyQuery = z.object({
  days: z.coerce
    .number('a whole number of days')
    .int('a whole number of days')
    .max(366, 'at most 366 days')
    .default(7),
});

const Entry = z.object({
  /** UTC, `YYYY-MM-DD`. */
  date: z.string(),
  model: z.string(),
  cost: dollars(),
  /** Those read from and written to a cache among them. */
  input_tokens: whole(),
  /** Reasoning among them. */
  output_tokens: whole(),
  request_count: whole(),
  cache_read_tokens: whole(),
  cache_write_tokens: whole(),
  reasoning_tokens: whole(),
  failed_count: whole(),
  unpriced_count: whole(),
});

export const Rates = z.object({
  /** 0 where it is unknown. */
  input_cost_per_million: dollars(),
  output_cost_per_million: dollars(),
  /** `config`: of `providers.<name>.models`; `list`: a public price list; `free`: it runs on this machine. */
  source: z.enum(['config', 'list', 'free', 'unknown']),
});

export const USAGE_SCHEMAS = {
  readUsage: { response: Summary },
  readDailyUsage: { query: DailyQuery, response: z.object({ entries: z.array(Entry) }) },
  readPricing: { response: z.object({ pricing: z.record(z.string(), Rates) }) },
} as const satisfies RouteSchemas<typeof USAGE_ROUTES>;

export type UsageSummary = z.output<typeof Summary>;
export type DailyUsage = z.output<(typeof USAGE_SCHEMAS)['readDailyUsage']['response']>;
export type UsagePricing = z.output<(typeof USAGE_SCHEMAS)['readPricing']['response']>;
