/** Schemas of the fleet gateway's routes (`routes.ts`). Times are seconds since the Unix epoch, as on every wire here. */
import { z } from 'zod';
import type { RouteSchemas } from '../route.ts';
import { ISOLATIONS } from '../worker-protocol.ts';
import { AGENT_STATES } from './agent-states.ts';
import type { FLEET_ROUTES } from './routes.ts';

const Problem = z.object({ code: z.string(), message: z.string(), details: z.unknown().optional() });

/** What hot reload made of the newest `openagent.yaml`. `invalid`: the agent goes on with the last one that was good. */
const ConfigReload = z.object({
  state: z.enum(['ok', 'invalid', 'restarting']),
  /** When the file was last read anew; null: not since the start. */
  changed_at: z.number().nullable(),
  problem: Problem.nullable(),
});

const TurnCounts = z.object({
  running: z.int().nonnegative(),
  waiting: z.int().nonnegative(),
  /** Ended since the agent's last start, by outcome. */
  done: z.int().nonnegative(),
  failed: z.int().nonnegative(),
  cancelled: z.int().nonnegative(),
  interrupted: z.int().nonnegative(),
});

/** One agent. What only a running one can tell is null in all other states. */
export const FleetAgent = z.object({
  id: z.string(),
  dir: z.string(),
  name: z.string().nullable(),
  state: z.enum(AGENT_STATES),
  /** Why it is in this state, where it is not by wish. */
  reason: Problem.nullable(),
  /** The newest failure, also of one that runs again. */
  last_error: z.object({ ...Problem.shape, at: z.number() }).nullable(),
  host: z.string().nullable(),
  port: z.int().nullable(),
  model: z.string().nullable(),
  transport: z.enum(['uws', 'node']).nullable(),
  transport_note: z.string().nullable(),
  isolation: z.enum(ISOLATIONS).nullable(),
  /** When this incarnation was ready. */
  started_at: z.number().nullable(),
  uptime_seconds: z.number().nonnegative().nullable(),
  /** Starts so far; 1 for the first. */
  incarnation: z.int().nonnegative(),
  /** Starts after the first, for whatever reason. */
  restarts: z.int().nonnegative(),
  restart_in_ms: z.number().nonnegative().nullable(),
  /** Times it hung or stalled since the host's start. */
  hangs: z.int().nonnegative(),
  turns: TurnCounts.nullable(),
  sockets: z.int().nonnegative().nullable(),
  /** JavaScript's heap, and what it holds outside of it, in bytes. */
  heap_bytes: z.int().nonnegative().nullable(),
  external_bytes: z.int().nonnegative().nullable(),
  /** Of one core, over the last few seconds; above 100 with helper threads. Null where it cannot be told. */
  cpu_percent: z.number().nonnegative().nullable(),
  /** How late its event loop's timer was at its last sign of life. */
  lag_ms: z.number().nonnegative().nullable(),
  /** Time since that sign. */
  silent_ms: z.number().nonnegative().nullable(),
  /** Programs it has started and that run. */
  children: z.int().nonnegative(),
  config: ConfigReload,
});
export type FleetAgent = z.output<typeof FleetAgent>;

const Fleet = z.object({
  pid: z.int(),
  version: z.string(),
  node_version: z.string(),
  started_at: z.number(),
  /** As given on the command line. */
  args: z.array(z.string()),
  cwd: z.string(),
  watchdog: z.string(),
  /** Host processes that died before this one under the same launcher. */
  deaths: z.int().nonnegative(),
  socket: z.string().nullable(),
  /** `http://127.0.0.1:<port>`; null where no TCP port was asked for. */
  url: z.string().nullable(),
  agents: z.int().nonnegative(),
});

/** Whether all is well, and if not, whose fault it is. */
const Probe = z.object({
  status: z.enum(['ok', 'starting', 'degraded', 'stopping']),
  agents: z.int().nonnegative(),
  ready: z.int().nonnegative(),
  reasons: z.array(z.object({ agent: z.string(), state: z.enum(AGENT_STATES), reason: z.string() })),
});

/** The answer of an action: what the agent is now, which may be on its way to what was asked for. */
const Acted = z.object({ ok: z.literal(true), agent: FleetAgent });

const LogEntry = z.looseObject({ agent: z.string(), ts: z.number(), event: z.string() });

/** Several ids are separated by commas; none means every agent. */
const AgentIds = z
  .string()
  .max(16_384)
  .default('')
  .transform((text) => text.split(',').filter(Boolean));

export const FleetEvent = z.object({
  /** Counts up by one; a gap means that some were forgotten. */
  seq: z.int().positive(),
  ts: z.number(),
  /** `agent.changed`, `agent.warning`, `agent.incident`, `agent.added`, `agent.removed`, `config.applied`, `config.invalid` … */
  event: z.string(),
  agent: z.string().nullable(),
  /** For people, one line. */
  text: z.string(),
  details: z.record(z.string(), z.unknown()),
});
export type FleetEventEntry = z.output<typeof FleetEvent>;

const IncidentSummary = z.object({
  agent: z.string(),
  /** With the agent's id it names the incident; sorts by time. */
  name: z.string(),
  ts: z.number(),
  event: z.string(),
  text: z.string(),
});

export const FLEET_SCHEMAS = {
  live: { response: z.object({ status: z.literal('ok') }) },
  ready: { response: Probe },
  startedUp: { response: Probe },
  metrics: { response: z.string() },
  getFleet: { response: Fleet },
  listAgents: { response: z.array(FleetAgent) },
  addAgent: { body: z.strictObject({ dir: z.string().min(1).max(4_096) }), response: Acted },
  getAgent: { response: FleetAgent },
  removeAgent: { response: z.object({ ok: z.literal(true) }) },
  startAgent: { response: Acted },
  stopAgent: { response: Acted },
  restartAgent: { response: Acted },
  releaseAgent: { response: Acted },
  readLogs: {
    query: z.object({
      agents: AgentIds,
      /** The beginning of the event's name. */
      event: z.string().max(256).default(''),
      lines: z.coerce.number().int().min(1).max(10_000).default(100),
    }),
    response: z.array(LogEntry),
  },
  listEvents: {
    query: z.object({
      agents: AgentIds,
      event: z.string().max(256).default(''),
      limit: z.coerce.number().int().min(1).max(1_000).default(100),
    }),
    response: z.array(FleetEvent),
  },
  listIncidents: {
    query: z.object({ agents: AgentIds, limit: z.coerce.number().int().min(1).max(1_000).default(50) }),
    response: z.array(IncidentSummary),
  },
  getIncident: { response: z.looseObject({ agent: z.string(), event: z.string(), ts: z.number() }) },
} as const satisfies RouteSchemas<typeof FLEET_ROUTES>;

export type Fleet = z.output<typeof Fleet>;
export type Probe = z.output<typeof Probe>;
export type IncidentSummary = z.output<typeof IncidentSummary>;
