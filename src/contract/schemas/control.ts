/** Schemas of the rows in `routes/control.ts`. */
import { z } from 'zod';
import type { RouteSchemas } from '../route.ts';
import type { CONTROL_ROUTES } from '../routes/control.ts';
import { ISOLATIONS } from '../worker-protocol.ts';

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

export const CONTROL_SCHEMAS = {
  getHealth: { response: Health },
  getAgentInfo: { response: AgentInfo },
  restartAgent: { response: z.object({ ok: z.literal(true) }) },
} as const satisfies RouteSchemas<typeof CONTROL_ROUTES>;

export type AgentInfo = z.output<typeof AgentInfo>;
