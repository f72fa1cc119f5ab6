/** Schemas of the rows in `routes/docs.ts`. */
import { z } from 'zod';
import type { RouteSchemas } from '../route.ts';
import type { DOCS_ROUTES } from '../routes/docs.ts';

const Info = z.looseObject({ title: z.string(), version: z.string() });
const Named = z.record(z.string(), z.unknown());

const OpenApi = z.object({
  openapi: z.literal('3.1.0'),
  info: Info,
  servers: z.array(z.unknown()),
  tags: z.array(z.unknown()),
  paths: Named,
  components: Named,
});

const AsyncApi = z.object({
  asyncapi: z.literal('3.0.0'),
  info: Info,
  defaultContentType: z.string(),
  servers: Named,
  channels: Named,
  operations: Named,
  components: Named,
  /** What a client may ask for in `auth`. */
  'x-capabilities': z.array(z.string()),
  /** Why a socket ends, by close code. */
  'x-close-codes': z.record(z.string(), z.string()),
  /** Defaults; `auth_ok` has the agent's own. */
  'x-limits': z.record(z.string(), z.number()),
});

export const DOCS_SCHEMAS = {
  getOpenApi: { response: OpenApi },
  getAsyncApi: { response: AsyncApi },
  getDocs: { response: z.string().meta({ contentMediaType: 'text/html' }) },
} as const satisfies RouteSchemas<typeof DOCS_ROUTES>;
