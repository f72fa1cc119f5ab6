/** `logs`: what agents have written, merged, and on as they write it. */

import { colorsOf } from '../colors.ts';
import type { CommandContext } from '../command-context.ts';
import type { TailOptions } from '../command-options.ts';
import { COMMAND_EXIT_CODES, type CommandExitCode } from '../exit-codes.ts';
import { findFleet } from '../find-fleet.ts';
import { type FleetClient, openFleetClient } from '../fleet-client.ts';
import { lineText } from '../terminal-text.ts';
import { told } from '../with-fleet.ts';
import { type Follow, type Follower, followFleet } from './follow-fleet.ts';
import { createLogJoin, ENTRIES_MAX, type LogEntry, OVERLAP_ENTRIES } from './log-overlap.ts';
import { createLogText } from './log-text.ts';

/** Agents are looked at one after the other: what came within one round is put in the order of time. */
const ROUND_MS = 100;

export function runLogs(options: TailOptions, context: CommandContext): Promise<CommandExitCode> {
  return told(options, context, async () => {
    const fleet = await findFleet(options.fleet, context);
    const print = createPrinter(options, context);
    if (options.follow) await followFleet(fleet, followLogs(options, context, print), context);
    else if (options.lines > 0)
      print(await entriesOf(openFleetClient(fleet.socket), options, options.lines, context));
    return COMMAND_EXIT_CODES.done.code;
  });
}

type Print = (entries: readonly LogEntry[]) => void;

function createPrinter({ json }: TailOptions, { out, env, wallMs }: CommandContext): Print {
  const text = json ? (entry: LogEntry) => JSON.stringify(entry) : createLogText(colorsOf(out, env), wallMs);
  return (entries) => {
    if (entries.length > 0) out.write(entries.map((entry) => `${text(entry)}\n`).join(''));
  };
}

function entriesOf(
  client: FleetClient,
  { agents, event }: TailOptions,
  lines: number,
  { signal }: CommandContext,
): Promise<readonly LogEntry[]> {
  return client.request('readLogs', { query: { agents: agents.join(','), event, lines }, signal });
}

function followLogs(options: TailOptions, context: CommandContext, print: Print): Follower {
  const join = createLogJoin();
  const { agents, event = '', lines } = options;
  let isFirst = true;
  /** Told by the fleet that following has begun. */
  let begun: () => void = () => {};
  /** What came before the answer; undefined: the answer was there. */
  let early: LogEntry[] | undefined;
  const round = createRound(print);

  return {
    async begin(client, follow: (frame: Follow) => void) {
      early = [];
      join.restart();
      const isFollowing = new Promise<void>((resolve) => {
        begun = resolve;
      });
      follow({ type: 'follow', logs: { agents: [...agents], event } });
      await isFollowing;
      const wanted = isFirst ? Math.max(lines, OVERLAP_ENTRIES) : ENTRIES_MAX;
      const entries = await entriesOf(client, options, wanted, context);
      print(join.answered(entries, lines));
      isFirst = false;
      const waiting = early;
      early = undefined;
      for (const entry of waiting) if (join.isNew(entry)) round(entry);
    },
    frame(frame) {
      if (frame.type === 'following') begun();
      if (frame.type === 'log') {
        // The entry may have a field of that name too: the agent's, as it calls itself.
        const { agent: _, ...fields } = frame.entry;
        const entry: LogEntry = { agent: frame.agent, ...fields };
        if (early !== undefined) early.push(entry);
        else if (join.isNew(entry)) round(entry);
      }
      if (frame.type === 'log_skipped') tellSkipped(frame, options, context);
    },
  };
}

function createRound(print: Print): (entry: LogEntry) => void {
  let entries: LogEntry[] = [];
  return (entry) => {
    entries.push(entry);
    if (entries.length > 1) return;
    setTimeout(() => {
      const sorted = entries.sort((a, b) => a.ts - b.ts);
      entries = [];
      print(sorted);
    }, ROUND_MS);
  };
}

function tellSkipped(
  { agent, entries }: { readonly agent: string; readonly entries: number },
  { json }: TailOptions,
  { out, err, env, wallMs }: CommandContext,
): void {
  if (json) {
    out.write(`${JSON.stringify({ agent, ts: wallMs() / 1000, event: 'log_skipped', entries })}\n`);
    return;
  }
  const note = colorsOf(err, env).yellow('note');
  err.write(
    `${note}: ${entries} entries of ${lineText(agent)} were left out: they came faster than they are read\n`,
  );
}
