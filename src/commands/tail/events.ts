/** `events`: what happened to the fleet, and on as it happens. Each has a number, so none is told twice or missed unseen. */

import { AGENT_STATES, type AgentState } from '../../contract/fleet/agent-states.ts';
import type { FleetEventEntry } from '../../contract/fleet/schemas.ts';
import { type Colors, colorsOf, paintAgent, paintState } from '../colors.ts';
import type { CommandContext } from '../command-context.ts';
import type { TailOptions } from '../command-options.ts';
import { COMMAND_EXIT_CODES, type CommandExitCode } from '../exit-codes.ts';
import { findFleet } from '../find-fleet.ts';
import { openFleetClient } from '../fleet-client.ts';
import { fitText, lineText, textWidth } from '../terminal-text.ts';
import { told } from '../with-fleet.ts';
import { type Follower, followFleet } from './follow-fleet.ts';
import { timeText } from './log-text.ts';

const AGENT_COLUMNS_MAX = 24;
const EVENT_COLUMNS = 'agent.commanded'.length;

export function runEvents(options: TailOptions, context: CommandContext): Promise<CommandExitCode> {
  return told(options, context, async () => {
    const fleet = await findFleet(options.fleet, context);
    const show = createShow(options, context);
    if (options.follow) {
      await followFleet(fleet, followEvents(options, context, show), context);
    } else if (options.lines > 0) {
      const { agents, event, lines } = options;
      const query = { agents: agents.join(','), event, limit: lines };
      const client = openFleetClient(fleet.socket);
      for (const entry of await client.request('listEvents', { query, signal: context.signal })) show(entry);
    }
    return COMMAND_EXIT_CODES.done.code;
  });
}

type Show = (event: FleetEventEntry) => void;

function createShow({ json }: TailOptions, { out, env, wallMs }: CommandContext): Show {
  const text = json
    ? (event: FleetEventEntry) => JSON.stringify(event)
    : createEventText(colorsOf(out, env), wallMs);
  return (event) => void out.write(`${text(event)}\n`);
}

function createEventText(colors: Colors, wallMs: () => number): (event: FleetEventEntry) => string {
  let agentColumns = 0;
  return ({ ts, agent, event, text, details }) => {
    const id = lineText(agent ?? '');
    agentColumns = Math.min(AGENT_COLUMNS_MAX, Math.max(agentColumns, textWidth(id)));
    const name =
      agent === null ? ' '.repeat(agentColumns) : paintAgent(agent, fitText(id, agentColumns), colors);
    const state = AGENT_STATES.find((each) => each === details.state);
    const words = lineText(text);
    const shown = state === undefined ? words : paintBeginning(words, state, colors);
    return `${colors.dim(timeText(ts, wallMs()))}  ${name}  ${lineText(event).padEnd(EVENT_COLUMNS)}  ${shown}`;
  };
}

function paintBeginning(words: string, state: AgentState, colors: Colors): string {
  if (!words.startsWith(state)) return words;
  return `${paintState(state, state, colors)}${words.slice(state.length)}`;
}

function followEvents(options: TailOptions, context: CommandContext, show: Show): Follower {
  const { agents, event: prefix = '', lines } = options;
  /** The host whose numbers these are: another one begins anew. */
  let host: number | undefined;
  let lastSeq = 0;
  const isWanted = ({ agent, event }: FleetEventEntry): boolean =>
    event.startsWith(prefix) && (agents.length === 0 || (agent !== null && agents.includes(agent)));

  return {
    async begin(client, follow) {
      const { signal } = context;
      const { started_at } = await client.request('getFleet', { signal });
      if (host === undefined) {
        const events = await client.request('listEvents', { query: { limit: 1_000 }, signal });
        const wanted = events.filter(isWanted);
        for (const event of lines === 0 ? [] : wanted.slice(-lines)) show(event);
        lastSeq = events.at(-1)?.seq ?? 0;
      } else if (host !== started_at) lastSeq = 0;
      host = started_at;
      follow({ type: 'follow', events: { since_seq: lastSeq } });
    },
    frame(frame) {
      if (frame.type !== 'event' || frame.event.seq <= lastSeq) return;
      const missing = frame.event.seq - lastSeq - 1;
      if (missing > 0) tellMissing(missing, context);
      lastSeq = frame.event.seq;
      if (isWanted(frame.event)) show(frame.event);
    },
  };
}

function tellMissing(missing: number, { err, env }: CommandContext): void {
  err.write(`${colorsOf(err, env).yellow('note')}: ${missing} events are no longer kept\n`);
}
