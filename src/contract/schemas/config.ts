/** Schemas of the rows in `routes/config.ts`. The content itself is checked where it is written, by the one schema. */
import { z } from 'zod';
import type { RouteSchemas } from '../route.ts';
import type { CONFIG_ROUTES } from '../routes/config.ts';

/** Sections as they stand in the file; anything where the file holds no mapping. */
const Document = z.unknown();

const Changed = z.object({
  ok: z.literal(true),
  /** Whether it takes effect only when somebody restarts the agent. */
  restart_required: z.boolean(),
  /** `restart`: the supervisor restarts the agent by itself, in a moment. */
  applied: z.enum(['live', 'restart', 'next start', 'nothing']),
  /** What is odd about what was written: unknown keys, settings without effect. */
  warnings: z.array(z.string()),
});

const Version = z.object({
  id: z.string(),
  /** When it was replaced, in seconds since the Unix epoch. */
  replaced_at: z.number(),
  bytes: z.int(),
});

export const CONFIG_SCHEMAS = {
  readConfig: { response: Document },
  replaceConfig: { body: z.unknown(), response: Changed },
  /** Beside the fields of `Changed` the section under its own name, masked. */
  patchConfig: { body: z.unknown(), response: Changed.and(z.record(z.string(), z.unknown())) },
  listConfigVersions: { response: z.object({ versions: z.array(Version) }) },
  readConfigVersion: { response: Document },
  restoreConfigVersion: { response: Changed },
} as const satisfies RouteSchemas<typeof CONFIG_ROUTES>;
