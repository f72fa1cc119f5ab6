/** Schemas of the rows in `routes/logs.ts`. */
import { z } from 'zod';
import type { RouteSchemas } from '../route.ts';
import type { LOG_ROUTES } from '../routes/logs.ts';

const ReadQuery = z.object({
  /** At most `log_entries`; 0 gives one, as in the reference. */
  lines: z.coerce.number().int().min(0).default(100),
  /** The beginning of the event's name. */
  event: z.string().max(256).default(''),
});

const Entry = z.looseObject({ ts: z.number(), event: z.string() });

export const LOG_SCHEMAS = {
  readLogs: { query: ReadQuery, response: z.array(Entry) },
  clearLogs: { response: z.object({ ok: z.literal(true) }) },
} as const satisfies RouteSchemas<typeof LOG_ROUTES>;
