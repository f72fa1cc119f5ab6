/** `ps <agent>`: everything that is known of one agent, and what to do about it. */
import type { FleetAgent } from '../contract/fleet/schemas.ts';
import { type Colors, paintState } from './colors.ts';
import { formatBytes, formatDuration, formatMs, formatPercent } from './format.ts';
import { nextStep } from './next-step.ts';
import { lineText } from './terminal-text.ts';
import { wrapWords } from './wrap-words.ts';

type Fact = readonly [name: string, value: string];

const NAME_CHARS = 'last error'.length;

export interface DetailsLook {
  readonly nowMs: number;
  readonly colors: Colors;
  /** Undefined: as wide as it takes. */
  readonly width: number | undefined;
}

export function agentDetails(agent: FleetAgent, { nowMs, colors, width }: DetailsLook): string {
  const facts = [...identity(agent), ...life(agent, nowMs), ...figures(agent), ...troubles(agent, nowMs)];
  const next = nextStep(agent);
  if (next !== undefined) facts.push(['next', next]);
  const head = `${colors.bold(lineText(agent.id))}  ${paintState(agent.state, agent.state, colors)}`;
  return [head, ...facts.flatMap((fact) => factLines(fact, width))].join('\n');
}

function identity({
  dir,
  name,
  model,
  isolation,
  host,
  port,
  transport,
  transport_note,
}: FleetAgent): Fact[] {
  const facts: Fact[] = [['directory', dir]];
  if (name !== null) facts.push(['name', name]);
  if (port !== null) {
    const address = host?.includes(':') ? `[${host}]` : (host ?? '127.0.0.1');
    const how = [transport, transport_note].filter((part) => part !== null).join(', ');
    facts.push(['url', `http://${address}:${port}${how === '' ? '' : ` (${how})`}`]);
  }
  if (model !== null) facts.push(['model', model === 'echo' ? 'echo (no real model)' : model]);
  if (isolation !== null) facts.push(['isolation', isolation]);
  return facts;
}

function life(agent: FleetAgent, nowMs: number): Fact[] {
  const { uptime_seconds, started_at, incarnation, restarts, hangs, restart_in_ms } = agent;
  const facts: Fact[] = [];
  if (uptime_seconds !== null) {
    const since = started_at === null ? '' : `, since ${timeText(started_at)}`;
    facts.push(['up', `${formatDuration(uptime_seconds)}${since}`]);
  }
  facts.push(['starts', `${incarnation} (restarts ${restarts}, hangs ${hangs})`]);
  if (restart_in_ms !== null) facts.push(['again in', formatMs(restart_in_ms)]);
  const { state, changed_at, problem } = agent.config;
  const read = changed_at === null ? '' : `, read anew ${ago(changed_at, nowMs)}`;
  const use = state === 'invalid' ? ' (the last good one is in use)' : '';
  facts.push(['config', `${state}${use}${read}`]);
  if (problem !== null) facts.push(['', problemText(problem, `${agent.dir}/openagent.yaml`)]);
  return facts;
}

function figures({ turns, sockets, heap_bytes, external_bytes, cpu_percent, ...agent }: FleetAgent): Fact[] {
  const facts: Fact[] = [];
  if (turns !== null) {
    const ended = `${turns.done} done, ${turns.failed} failed, ${turns.cancelled} cancelled, ${turns.interrupted} interrupted`;
    facts.push(['turns', `${turns.running} running, ${turns.waiting} waiting; since its start ${ended}`]);
  }
  if (sockets !== null) facts.push(['clients', String(sockets)]);
  if (heap_bytes !== null) {
    facts.push(['heap', `${formatBytes(heap_bytes)}, outside of it ${formatBytes(external_bytes)}`]);
  }
  if (cpu_percent !== null) facts.push(['cpu', `${formatPercent(cpu_percent)} % of one core`]);
  if (agent.lag_ms !== null) {
    const silent = agent.silent_ms === null ? '' : `; last sign of life ${formatMs(agent.silent_ms)} ago`;
    facts.push(['lag', `${formatMs(agent.lag_ms)}${silent}`]);
  }
  if (agent.children > 0) facts.push(['programs', String(agent.children)]);
  return facts;
}

function troubles({ reason, last_error, dir }: FleetAgent, nowMs: number): Fact[] {
  const facts: Fact[] = [];
  const file = `${dir}/openagent.yaml`;
  if (reason !== null) facts.push(['reason', problemText(reason, file)]);
  if (last_error !== null) {
    facts.push(['last error', `${ago(last_error.at, nowMs)}: ${problemText(last_error, file)}`]);
  }
  return facts;
}

interface Problem {
  readonly code: string;
  readonly message: string;
  readonly details?: unknown;
}

/** Configuration is told with the place to look at, as editors and terminals understand it. */
function problemText({ code, message, details }: Problem, file: string): string {
  const line = lineOf(details);
  const place = line === undefined || message.includes(file) ? '' : `\n${file}:${line}`;
  return `${message} (${code})${place}`;
}

function lineOf(details: unknown): number | undefined {
  if (typeof details !== 'object' || details === null || !('line' in details)) return undefined;
  return typeof details.line === 'number' ? details.line : undefined;
}

function ago(seconds: number, nowMs: number): string {
  return `${formatDuration(Math.max(0, nowMs / 1000 - seconds))} ago`;
}

/** As logs have it, in the reader's own time. */
function timeText(seconds: number): string {
  return new Date(seconds * 1000).toLocaleString('sv-SE');
}

function factLines([name, value]: Fact, width: number | undefined): readonly string[] {
  const indent = ' '.repeat(NAME_CHARS + 4);
  const [first = '', ...more] = value.split('\n').map(lineText);
  const start = `  ${name.padEnd(NAME_CHARS)}  ${first}`;
  return [start, ...more.map((line) => indent + line)].flatMap((line) => wrapWords(line, width, indent));
}
