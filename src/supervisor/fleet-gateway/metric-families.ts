/**
 * Every metric: its name, what it says, and where its figures come from. docs/metrics.md is this table for people. Labels
 * have bounded values: agents that there are, states and outcomes of a table. A figure that is not known is left out,
 * never told as zero.
 */
import { AGENT_STATES } from '../../contract/fleet/agent-states.ts';
import { TURN_SECONDS } from '../../contract/worker-protocol.ts';
import type { AgentStatus } from '../fleet.ts';
import type { HostFigures } from './host-figures.ts';

export interface Sample {
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
  /** Of a histogram's parts. */
  readonly metricName?: string;
}

export interface Family {
  readonly name: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  readonly labels: readonly string[];
  readonly help: string;
  samples(facts: Facts): readonly Sample[];
}

/** All that one text is made of, at one moment. */
export interface Facts {
  readonly agents: readonly AgentStatus[];
  readonly nowMs: number;
  readonly host: HostFigures;
}

type Figure = number | undefined;

/** Longer values of labels are cut: they come from configuration. */
const LABEL_CHARS_MAX = 128;
const OUTCOMES = ['done', 'failed', 'cancelled', 'interrupted'] as const;

function ofAgents(
  type: 'gauge' | 'counter',
  name: string,
  help: string,
  read: (agent: AgentStatus, facts: Facts) => Figure,
): Family {
  return {
    ...{ name: `openagent_agent_${name}`, type, labels: ['agent'], help },
    samples: (facts) => facts.agents.flatMap((agent) => sample({ agent: agent.id }, read(agent, facts))),
  };
}

/** One sample of each agent for each of a few kinds. */
function ofAgentsBy<K extends string>(
  [type, name, label, kinds]: readonly ['gauge' | 'counter', string, string, readonly K[]],
  help: string,
  read: (agent: AgentStatus, kind: K) => number,
): Family {
  return {
    ...{ name: `openagent_agent_${name}`, type, labels: ['agent', label], help },
    samples: ({ agents }) =>
      agents.flatMap((agent) =>
        kinds.map((kind) => ({ labels: { agent: agent.id, [label]: kind }, value: read(agent, kind) })),
      ),
  };
}

function ofHost(
  type: 'gauge' | 'counter',
  name: string,
  help: string,
  read: (host: HostFigures) => Figure,
): Family {
  return {
    ...{ name: `openagent_host_${name}`, type, labels: [], help },
    samples: ({ host }) => sample({}, read(host)),
  };
}

function sample(labels: Sample['labels'], value: Figure): readonly Sample[] {
  return value === undefined || !Number.isFinite(value) ? [] : [{ labels, value }];
}

const toLabel = (value: string | undefined): string => (value ?? '').slice(0, LABEL_CHARS_MAX);

const AGENT_INFO: Family = {
  name: 'openagent_agent_info',
  type: 'gauge',
  labels: ['agent', 'isolation', 'transport', 'port', 'model'],
  help: 'Always 1: how the agent runs and where it listens; only while it is up',
  samples: ({ agents }) =>
    agents.flatMap(({ id, isolation, transport, port, model }) =>
      port === undefined
        ? []
        : sample(
            {
              ...{ agent: id, isolation: toLabel(isolation), transport: toLabel(transport) },
              ...{ port, model: toLabel(model) },
            },
            1,
          ),
    ),
};

const DURATION = 'openagent_agent_turn_duration_seconds';
const TURN_DURATION: Family = {
  name: DURATION,
  type: 'histogram',
  labels: ['agent'],
  help: 'Time from the moment a turn is accepted to its durable outcome',
  samples: ({ agents }) => agents.flatMap(durationSamples),
};

function durationSamples({ id: agent, sums: { turns } }: AgentStatus): readonly Sample[] {
  let count = 0;
  const buckets = turns.took.map((took, at) => {
    count += took;
    const labels = { agent, le: TURN_SECONDS[at] ?? '+Inf' };
    return { labels, value: count, metricName: `${DURATION}_bucket` };
  });
  return [
    ...buckets,
    { labels: { agent }, value: turns.tookMs / 1_000, metricName: `${DURATION}_sum` },
    { labels: { agent }, value: count, metricName: `${DURATION}_count` },
  ];
}

const AGENT_FAMILIES: readonly Family[] = [
  AGENT_INFO,
  ofAgentsBy(
    ['gauge', 'state', 'state', AGENT_STATES],
    '1 for the state the agent is in, 0 for every other one',
    ({ state }, one) => (state === one ? 1 : 0),
  ),
  ofAgents('gauge', 'start_time_seconds', 'When the agent became ready, since the Unix epoch', (agent) =>
    inSeconds(agent.readyAtMs),
  ),
  ofAgents(
    'counter',
    'restarts_total',
    'Starts after the first, for whatever reason',
    (agent) => agent.restarts,
  ),
  ofAgents('counter', 'hangs_total', 'Times it hung or stalled', (agent) => agent.hangs),
  ofAgents(
    'gauge',
    'config_invalid',
    '1 while its openagent.yaml is invalid and the last good one is in use',
    ({ config }) => (config.state === 'invalid' ? 1 : 0),
  ),
  ofAgents(
    'counter',
    'turns_accepted_total',
    'Messages that became durable turns',
    ({ sums }) => sums.turns.accepted,
  ),
  ofAgentsBy(
    ['counter', 'turns_total', 'outcome', OUTCOMES],
    'Turns with a durable outcome, by outcome',
    ({ sums }, outcome) => sums.turns[outcome],
  ),
  ofAgents(
    'gauge',
    'turns_running',
    'Turns that have begun and are not over',
    ({ beat }) => beat?.turnsRunning,
  ),
  ofAgents('gauge', 'turns_waiting', 'Turns that wait for their place', ({ beat }) => beat?.turnsWaiting),
  TURN_DURATION,
  ofAgents(
    'counter',
    'model_calls_total',
    'Calls to models, failed ones too; echo is not counted',
    ({ sums }) => sums.models.calls,
  ),
  ofAgents(
    'counter',
    'model_call_failures_total',
    'Calls to models that failed, were stopped or cut off',
    ({ sums }) => sums.models.failedCalls,
  ),
  ofAgentsBy(
    ['counter', 'model_tokens_total', 'direction', ['input', 'output']],
    'Tokens sent to models and received from them',
    ({ sums: { models } }, direction) => (direction === 'input' ? models.inputTokens : models.outputTokens),
  ),
  ofAgents(
    'counter',
    'model_cost_dollars_total',
    'Cost of calls to models whose price is known',
    ({ sums }) => sums.models.costUsd,
  ),
  ofAgents(
    'counter',
    'cpu_seconds_total',
    'Processor time of its thread, or of its process; Linux only',
    (agent) => agent.cpuSeconds,
  ),
  ofAgents('gauge', 'heap_bytes', "JavaScript's heap that is in use", ({ beat }) => beat?.memory.heapUsed),
  ofAgents(
    'gauge',
    'external_memory_bytes',
    'What JavaScript holds outside of its heap, buffers counted',
    ({ beat }) => beat?.memory.external,
  ),
  ofAgents(
    'gauge',
    'event_loop_lag_seconds',
    "How late its event loop's timer was at its last sign of life",
    ({ beat }) => inSeconds(beat?.lagMs),
  ),
  ofAgents(
    'gauge',
    'silent_seconds',
    'Time since its last sign of life',
    ({ beat }, { nowMs }) => beat && Math.max(0, nowMs - beat.atMs) / 1_000,
  ),
  ofAgents('gauge', 'sockets', 'Open WebSockets', ({ beat }) => beat?.sockets),
  ofAgents('gauge', 'children', 'Programs it has started and that run', (agent) => agent.children),
];

const BUILD_INFO: Family = {
  name: 'openagent_build_info',
  type: 'gauge',
  labels: ['version', 'node'],
  help: 'Always 1: versions of the host and of Node',
  samples: ({ host }) => sample({ version: host.version, node: process.version }, 1),
};

const HOST_FAMILIES: readonly Family[] = [
  BUILD_INFO,
  ofHost('gauge', 'start_time_seconds', 'When the host process started, since the Unix epoch', (host) =>
    inSeconds(host.startedAtMs),
  ),
  ofHost(
    'counter',
    'deaths_total',
    'Host processes that died under the same launcher',
    (host) => host.deaths,
  ),
  ofHost(
    'counter',
    'cpu_seconds_total',
    'Processor time of the host process, agents that are threads counted',
    (host) => host.cpuSeconds,
  ),
  ofHost(
    'counter',
    'event_loop_busy_seconds_total',
    'Time in which the event loop of its main thread was at work',
    (host) => inSeconds(host.busyMs),
  ),
  ofHost(
    'gauge',
    'event_loop_lag_mean_seconds',
    'Delay of timers of its main thread since the text before, on average',
    (host) => inSeconds(host.lag?.meanMs),
  ),
  ofHost('gauge', 'event_loop_lag_p99_seconds', 'The same, of which one in a hundred was later', (host) =>
    inSeconds(host.lag?.p99Ms),
  ),
  ofHost('gauge', 'event_loop_lag_max_seconds', 'The same, the latest', (host) => inSeconds(host.lag?.maxMs)),
  ofHost(
    'gauge',
    'resident_memory_bytes',
    'Memory of the host process, agents that are threads counted',
    (host) => host.residentBytes,
  ),
  ofHost(
    'gauge',
    'heap_bytes',
    "JavaScript's heap of its main thread that is in use",
    (host) => host.heapBytes,
  ),
  ofHost(
    'gauge',
    'external_memory_bytes',
    'What its main thread holds outside of that heap',
    (host) => host.externalBytes,
  ),
  ofHost(
    'gauge',
    'open_file_descriptors',
    'Descriptors that the host process has open; Linux only',
    (host) => host.watches?.descriptors,
  ),
  ofHost(
    'gauge',
    'inotify_instances',
    'Inotify instances of the host process; a user has 128 as a rule; Linux only',
    (host) => host.watches?.instances,
  ),
  ofHost(
    'gauge',
    'inotify_watches',
    'Inotify watches of the host process, of a number that its user shares; Linux only',
    (host) => host.watches?.watches,
  ),
  ofHost('gauge', 'vault_folders_watched', 'Folders of vaults that are watched', (host) => host.vaultFolders),
  ofHost('gauge', 'gateway_clients', 'Open connections of the fleet gateway', (host) => host.gatewayClients),
];

function inSeconds(ms: Figure): Figure {
  return ms === undefined ? undefined : ms / 1_000;
}

export const METRIC_FAMILIES: readonly Family[] = [...HOST_FAMILIES, ...AGENT_FAMILIES];
