/** `ps`: every agent a line, or everything about some. */
import type { FleetAgent } from '../contract/fleet/schemas.ts';
import { findAgents } from './agent-names.ts';
import { type Colors, colorsOf, paintState } from './colors.ts';
import type { CommandContext } from './command-context.ts';
import type { PsOptions } from './command-options.ts';
import { COMMAND_EXIT_CODES, type CommandExitCode } from './exit-codes.ts';
import { needsAttention, psColumns, reasonOf } from './ps-columns.ts';
import { agentDetails } from './ps-details.ts';
import { layTable } from './table.ts';
import { lineText } from './terminal-text.ts';
import { widthOf, withFleet } from './with-fleet.ts';
import { wrapWords } from './wrap-words.ts';

/** Reasons that stand below the table because they were cut in it. */
const NOTES_MAX = 8;

export function runPs(options: PsOptions, context: CommandContext): Promise<CommandExitCode> {
  return withFleet(options, context, async (client) => {
    const all = await client.request('listAgents', { signal: context.signal });
    const agents = options.agents.length === 0 ? all : findAgents(options.agents, all);
    context.out.write(asText(agents, options, context));
    return COMMAND_EXIT_CODES.done.code;
  });
}

function asText(agents: readonly FleetAgent[], options: PsOptions, context: CommandContext): string {
  if (options.json) return agents.map((agent) => `${JSON.stringify(agent)}\n`).join('');
  const colors = colorsOf(context.out, context.env);
  const nowMs = context.wallMs();
  if (options.agents.length > 0) {
    return `${agents.map((agent) => agentDetails(agent, { nowMs, colors, width: widthOf(context) })).join('\n\n')}\n`;
  }
  if (agents.length === 0) return 'no agents; add one: openagent-supervisor add <dir>\n';
  return psTable(agents, {
    ...{ colors, nowMs, wide: options.wide, width: options.wide ? undefined : widthOf(context) },
  });
}

export interface PsLook {
  readonly colors: Colors;
  readonly nowMs: number;
  readonly wide: boolean;
  /** Undefined: as wide as it takes. */
  readonly width: number | undefined;
}

export function psTable(agents: readonly FleetAgent[], { colors, nowMs, wide, width }: PsLook): string {
  const columns = psColumns({ wide, nowMs, paintState: (state, text) => paintState(state, text, colors) });
  const table = layTable(columns, agents, width);
  const lines = [colors.bold(table.head), ...table.lines];
  if (width === undefined) return `${lines.join('\n')}\n`;
  const cut = agents.filter((agent) => needsAttention(agent) && table.isCut(agent));
  return `${[...lines, ...notesOf(cut, width, nowMs)].join('\n')}\n`;
}

/** What had no room in the table and has to be read all the same. */
function notesOf(agents: readonly FleetAgent[], width: number, nowMs: number): readonly string[] {
  if (agents.length === 0) return [];
  const notes = agents
    .slice(0, NOTES_MAX)
    .flatMap((agent) =>
      wrapWords(`${lineText(agent.id)}: ${lineText(reasonOf(agent, nowMs))}`, width, '    '),
    );
  const more = agents.length - NOTES_MAX;
  return ['', ...notes, ...(more > 0 ? [`and ${more} more: openagent-supervisor ps <agent>`] : [])];
}
