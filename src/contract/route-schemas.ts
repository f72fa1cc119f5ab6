/**
 * The schemas of the routes in `routes.ts`. An agent thread reaches this module only by `import()`, on the first
 * request with something to validate. Response schemas give handlers their types and documentation its shapes; answers
 * are not checked against them at run time.
 */
import { z } from 'zod';
import type { RouteSchemas } from './route.ts';
import type { Routes } from './routes.ts';
import { ISOLATIONS } from './worker-protocol.ts';

const Health = z.object({
  status: z.literal('ok'),
  agent: z.string(),
  version: z.string(),
  /** Distinct client ids with an open, authenticated WebSocket. */
  connected_clients: z.int().nonnegative(),
});

const AgentInfo = z.object({
  name: z.string(),
  agent_dir: z.string().nullable(),
  /** The port really bound. */
  port: z.int(),
  version: z.string(),
  /** Base name of the agent's directory; unique among the agents of one supervisor, unlike `name`. */
  id: z.string(),
  transport: z.enum(['uws', 'node']),
  /** Why the transport is not the default one. */
  transport_note: z.string().nullable(),
  isolation: z.enum(ISOLATIONS),
  model: z.string(),
  /** Seconds since the Unix epoch, as every time on this wire. */
  started_at: z.number(),
  state: z.string(),
  legacy_rest: z.enum(['off', 'loopback']),
});

export const ROUTE_SCHEMAS = {
  getHealth: { response: Health },
  getAgentInfo: { response: AgentInfo },
  restartAgent: { response: z.object({ ok: z.literal(true) }) },
} as const satisfies RouteSchemas<Routes>;

export type AgentRouteSchemas = typeof ROUTE_SCHEMAS;
export type AgentInfo = z.output<typeof AgentInfo>;
