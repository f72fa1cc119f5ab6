/** How an agent is seen that no machine supervises: before its first start, or because it was refused. */
import { basename } from 'node:path';
import type { WireError } from '../contract/errors.ts';
import { NO_SUMS } from './agent-sums.ts';
import { CONFIG_AS_STARTED } from './child-facts.ts';
import type { AgentStatus, PreparedAgent } from './fleet.ts';

export function waitingStatus(agent: PreparedAgent): AgentStatus {
  return {
    ...UNKNOWN,
    id: agent.spec.id,
    dir: agent.spec.dir,
    name: agent.settings.name,
    state: 'waiting',
    isolation: agent.isolation,
  };
}

export function refusedStatus(dir: string, reason: WireError): AgentStatus {
  return { ...UNKNOWN, id: basename(dir), dir, state: 'refused', reason };
}

const UNKNOWN = {
  name: undefined,
  reason: undefined,
  host: undefined,
  port: undefined,
  model: undefined,
  transport: undefined,
  transportNote: undefined,
  isolation: undefined,
  incarnation: 0,
  restarts: 0,
  restartInMs: undefined,
  readyAtMs: undefined,
  hangs: 0,
  lastError: undefined,
  config: CONFIG_AS_STARTED,
  beat: undefined,
  sums: NO_SUMS,
  cpuPercent: undefined,
  cpuSeconds: undefined,
  children: 0,
} as const satisfies Partial<AgentStatus>;
