/**
 * When what was asked of an agent has come true, and when it has failed. Judged by what the agent is, not by what was
 * told of it on the way: events may be missed, and somebody else may have wished something else meanwhile.
 */
import type { FleetAgent } from '../../contract/fleet/schemas.ts';
import type { AgentAction } from '../command-options.ts';

export interface Outcome {
  readonly ok: boolean;
  readonly agent: FleetAgent;
  readonly text: string;
}

/** Undefined: neither yet. `before`: as it was when it was asked; `now`: as it is since then. */
export type Judge = (now: FleetAgent, before: FleetAgent) => Outcome | undefined;

export const JUDGES: Readonly<Record<AgentAction, Judge>> = {
  start: (now) => (now.state === 'running' ? success(now) : failureOf(now)),
  release: (now) => (now.state === 'running' ? success(now) : failureOf(now)),
  stop: (now) => {
    if (now.state === 'stopped') return { ok: true, agent: now, text: 'stopped' };
    if (now.state === 'quarantined') return { ok: true, agent: now, text: 'does not run: quarantined' };
    return now.state === 'wedged' || now.state === 'refused' ? failureOf(now) : undefined;
  },
  restart: (now, before) => {
    if (now.state === 'running') return now.incarnation > before.incarnation ? success(now) : undefined;
    // Of one that was stopped the answer may still say so.
    return now.state === 'stopped' && before.state === 'stopped' ? undefined : failureOf(now);
  },
};

/** Nothing has to be asked for: it is as it should be. */
export function isAlready(action: AgentAction, agent: FleetAgent): Outcome | undefined {
  const { state } = agent;
  if (action === 'start' && state === 'running')
    return { ok: true, agent, text: `runs already${place(agent)}` };
  if (action === 'stop' && state === 'stopped') return { ok: true, agent, text: 'is stopped already' };
  if (action === 'release' && state !== 'quarantined') {
    return { ok: true, agent, text: `is not quarantined (${state})` };
  }
  return undefined;
}

function success(agent: FleetAgent): Outcome {
  return { ok: true, agent, text: `running${place(agent)}` };
}

function place({ port }: FleetAgent): string {
  return port === null ? '' : ` on port ${port}`;
}

function failureOf(agent: FleetAgent): Outcome | undefined {
  const { state, reason, last_error } = agent;
  if (state === 'stopped') return { ok: false, agent, text: 'was stopped by somebody else meanwhile' };
  if (state !== 'quarantined' && state !== 'wedged' && state !== 'refused') return undefined;
  const why = (reason ?? last_error)?.message;
  return { ok: false, agent, text: why === undefined ? state : `${state}: ${why}` };
}
