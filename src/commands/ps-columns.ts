/** The columns of `ps`: what stands in each, and which ones a narrow terminal loses first. */
import type { AgentState } from '../contract/fleet/agent-states.ts';
import type { FleetAgent } from '../contract/fleet/schemas.ts';
import { formatBytes, formatCount, formatDuration, formatMs, formatPercent, NONE } from './format.ts';
import type { TableColumn } from './table.ts';

export interface PsColumnsOptions {
  readonly wide: boolean;
  readonly nowMs: number;
  readonly paintState: (state: AgentState, text: string) => string;
}

type Column = TableColumn<FleetAgent>;

export function psColumns({ wide, nowMs, paintState }: PsColumnsOptions): readonly Column[] {
  return [
    { head: 'id', text: ({ id }) => id, narrowest: 12 },
    ...(wide ? [text('name', ({ name }) => name ?? NONE)] : []),
    { head: 'state', text: ({ state }) => state, paint: (state, agent) => paintState(agent.state, state) },
    figure('up', 1, ({ uptime_seconds }) => formatDuration(uptime_seconds)),
    figure('restarts', 4, ({ restarts }) => formatCount(restarts)),
    figure('hangs', 10, ({ hangs }) => formatCount(hangs)),
    figure('port', 6, ({ port }) => (port === null ? NONE : String(port))),
    figure('run', 5, ({ turns }) => formatCount(turns?.running ?? null)),
    figure('queue', 3, ({ turns }) => formatCount(turns?.waiting ?? null)),
    figure('done', 8, ({ turns }) => formatCount(turns?.done ?? null)),
    figure('failed', 9, (agent) => formatCount(failedTurns(agent))),
    figure('heap', 2, ({ heap_bytes }) => formatBytes(heap_bytes)),
    figure('cpu', 2, ({ cpu_percent }) => (cpu_percent === null ? NONE : `${formatPercent(cpu_percent)}%`)),
    figure('lag', 7, ({ lag_ms }) => formatMs(lag_ms)),
    ...(wide ? wideColumns() : []),
    { ...text('reason', (agent) => reasonOf(agent, nowMs)), narrowest: 20, optional: 7.5, onlyIfAny: true },
  ];
}

function wideColumns(): readonly Column[] {
  return [
    figure('clients', 0, ({ sockets }) => formatCount(sockets)),
    figure('programs', 0, ({ children }) => formatCount(children)),
    text('model', ({ model }) => model ?? NONE),
    text('transport', ({ transport }) => transport ?? NONE),
    text('isolation', ({ isolation }) => isolation ?? NONE),
    text('config', ({ config }) => config.state),
  ];
}

function text(head: string, cell: (agent: FleetAgent) => string): Column {
  return { head, text: cell };
}

function figure(head: string, optional: number, cell: (agent: FleetAgent) => string): Column {
  return { head, text: cell, align: 'right', optional };
}

export function failedTurns({ turns }: FleetAgent): number | null {
  return turns && turns.failed + turns.cancelled + turns.interrupted;
}

/** Why it is as it is; of one that runs, what is wrong with its configuration, else how it failed at last. */
export function reasonOf(agent: FleetAgent, nowMs: number): string {
  const { reason, config, last_error } = agent;
  const head = (message: string): string => message.split('\n', 1)[0] ?? '';
  if (reason !== null) return `${head(reason.message)}${pauseOf(agent)}`;
  if (config.problem !== null) return `openagent.yaml: ${head(config.problem.message)}`;
  if (last_error === null) return pauseOf(agent).trimStart();
  return `${formatDuration(Math.max(0, nowMs / 1000 - last_error.at))} ago: ${head(last_error.message)}`;
}

function pauseOf({ state, restart_in_ms }: FleetAgent): string {
  return state === 'backoff' && restart_in_ms !== null ? ` (starts again in ${formatMs(restart_in_ms)})` : '';
}

const HEALTHY: readonly AgentState[] = ['running', 'starting', 'waiting', 'stopping', 'stopped'];

export function needsAttention({ state, config }: FleetAgent): boolean {
  return !HEALTHY.includes(state) || config.state === 'invalid';
}
