/**
 * Whether the host's agents are what they should be, for who asks every second: `/readyz` and `/startupz`. An agent that
 * is stopped does not count against it: somebody wished that, or its restart policy says so. Each other that does not
 * run does, whatever the cause, one on its way to a stop or a restart too.
 */
import type { AgentState } from '../../contract/fleet/agent-states.ts';
import type { Probe } from '../../contract/fleet/schemas.ts';
import type { AgentStatus } from '../fleet.ts';
import type { FleetPhase } from './supervised-fleet.ts';

/** Whether agents that should run do; 'ok' only then. */
export function readiness(phase: FleetPhase, agents: readonly AgentStatus[]): Probe {
  const missing = agents.filter(({ state }) => state !== 'running' && state !== 'stopped');
  const healthy = missing.length === 0 ? 'ok' : 'degraded';
  const status = phase === 'settled' ? healthy : phase;
  return { ...counts(agents), status, reasons: missing.map(toReason) };
}

/** Whether the first start is over: from then on it is true for ever. */
export function startup(phase: FleetPhase, hasSettled: boolean, agents: readonly AgentStatus[]): Probe {
  if (hasSettled) return { ...counts(agents), status: 'ok', reasons: [] };
  const undecided = agents.filter(({ state }) => state === 'waiting' || state === 'starting');
  const status = phase === 'stopping' ? 'stopping' : 'starting';
  return { ...counts(agents), status, reasons: undecided.map(toReason) };
}

/** When to ask again, in seconds. */
export const RETRY_SECONDS = { ok: 0, starting: 1, degraded: 5, stopping: 5 } as const satisfies Record<
  Probe['status'],
  number
>;

function counts(agents: readonly AgentStatus[]): Pick<Probe, 'agents' | 'ready'> {
  return { agents: agents.length, ready: agents.filter(({ state }) => state === 'running').length };
}

function toReason({ id, state, reason }: AgentStatus): Probe['reasons'][number] {
  return { agent: id, state, reason: reason?.message ?? STATE_TEXTS[state] };
}

const STATE_TEXTS: Readonly<Record<AgentState, string>> = {
  waiting: 'waits for its start',
  starting: 'is starting',
  running: 'runs',
  hung: 'gives no sign of life',
  stalled: 'is in a call that does not return',
  stopping: 'is on its way to a stop or a restart',
  backoff: 'starts again after a pause',
  wedged: 'does not end',
  quarantined: 'was given up',
  stopped: 'was stopped',
  refused: 'was refused',
};
