/** `incidents`: what was written down of hangs, stalls and quarantines; `incidents show`: one of them, whole. */
import { type Colors, colorsOf } from './colors.ts';
import type { CommandContext } from './command-context.ts';
import type { IncidentOptions, IncidentsOptions } from './command-options.ts';
import { COMMAND_EXIT_CODES, type CommandExitCode } from './exit-codes.ts';
import type { FleetAnswers } from './fleet-client.ts';
import { formatBytes, formatDuration } from './format.ts';
import { quoted } from './next-step.ts';
import { layTable, type TableColumn } from './table.ts';
import { lineText } from './terminal-text.ts';
import { widthOf, withFleet } from './with-fleet.ts';

type Summary = FleetAnswers['listIncidents'][number];
type Incident = FleetAnswers['getIncident'];

export function runIncidents(options: IncidentsOptions, context: CommandContext): Promise<CommandExitCode> {
  return withFleet(options, context, async (client) => {
    const query = { agents: options.agents.join(','), limit: options.lines };
    const found = await client.request('listIncidents', { query, signal: context.signal });
    context.out.write(listText(found, options, context));
    return COMMAND_EXIT_CODES.done.code;
  });
}

function listText(found: readonly Summary[], { json }: IncidentsOptions, context: CommandContext): string {
  if (json) return found.map((incident) => `${JSON.stringify(incident)}\n`).join('');
  const [first] = found;
  if (first === undefined) return 'nothing was written down\n';
  const colors = colorsOf(context.out, context.env);
  const table = layTable(columnsOf(colors, context.wallMs()), found, widthOf(context));
  const hint = `openagent-supervisor incidents show ${quoted(first.agent)} ${quoted(first.name)}`;
  const below = context.out.isTTY === true ? ['', colors.dim(`the first one whole: ${hint}`)] : [];
  return `${[colors.bold(table.head), ...table.lines, ...below].join('\n')}\n`;
}

function columnsOf(colors: Colors, nowMs: number): readonly TableColumn<Summary>[] {
  const when = ({ ts }: Summary): string => `${formatDuration(Math.max(0, nowMs / 1000 - ts))} ago`;
  return [
    { head: 'agent', text: ({ agent }) => agent, narrowest: 12 },
    { head: 'name', text: ({ name }) => name },
    { head: 'when', text: when, align: 'right', optional: 2 },
    { head: 'event', text: ({ event }) => event, paint: (text) => colors.red(text), optional: 1 },
    { head: 'what', text: ({ text }) => text, narrowest: 20 },
  ];
}

export function runIncident(options: IncidentOptions, context: CommandContext): Promise<CommandExitCode> {
  return withFleet(options, context, async (client) => {
    const { agent, name, json } = options;
    const request = { params: { agent, name }, signal: context.signal };
    const incident = await client.request('getIncident', request);
    const colors = colorsOf(context.out, context.env);
    context.out.write(json ? `${JSON.stringify(incident)}\n` : incidentText(incident, colors));
    return COMMAND_EXIT_CODES.done.code;
  });
}

/** Facts that have a line of their own; what stands in none of the tables here is shown as it is. */
const FACTS: Readonly<Record<string, (value: unknown) => string>> = {
  isolation: String,
  incarnation: String,
  silent_ms: (value) => `${Number(value) / 1000} s`,
  outcome: String,
  heap_used_bytes: (value) => formatBytes(Number(value)),
  heap_total_bytes: (value) => formatBytes(Number(value)),
  loop_utilization: String,
};
/** Lists, each under its name. */
const PARTS: Readonly<Record<string, string>> = {
  stack: 'stack, innermost first',
  activities: 'what it was doing',
  turns: 'turns that ran',
  children: 'programs it had started',
  log: 'its log at that time',
  output: 'what it printed',
};
const HEAD = ['ts', 'event', 'agent', 'text'];
const NAME_CHARS = 'loop_utilization'.length;

function incidentText({ ts, event, agent, ...record }: Incident, colors: Colors): string {
  const { text, ...rest } = record as Record<string, unknown>;
  const time = new Date(ts * 1000).toLocaleString('sv-SE');
  const lines = [`${colors.bold(lineText(agent))}  ${colors.red(lineText(event))}  ${time}`];
  if (typeof text === 'string') lines.push(...text.split('\n').map((line) => `  ${lineText(line)}`));
  for (const [name, value] of Object.entries(rest)) {
    if (HEAD.includes(name) || name in PARTS || value === null) continue;
    lines.push(`  ${lineText(name).padEnd(NAME_CHARS)}  ${lineText(FACTS[name]?.(value) ?? plain(value))}`);
  }
  for (const [name, head] of Object.entries(PARTS)) {
    const items = rest[name];
    if (!Array.isArray(items) || items.length === 0) continue;
    lines.push('', colors.bold(head), ...items.map((item) => `  ${lineText(itemText(item))}`));
  }
  return `${lines.join('\n')}\n`;
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** An activity, a program, or a line as it is. */
function itemText(item: unknown): string {
  if (typeof item !== 'object' || item === null) return String(item);
  const { what, since, pid, command } = item as Record<string, unknown>;
  if (typeof what === 'string') return `${what}${since === undefined ? '' : ` since ${since}`}`;
  if (typeof command === 'string') return `${pid ?? '?'}  ${command}`;
  return JSON.stringify(item);
}
