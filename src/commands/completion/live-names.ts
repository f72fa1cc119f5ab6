/** What only a running fleet can complete: its agents, and fleets themselves. Never an error: there is just nothing. */
import type { CommandContext } from '../command-context.ts';
import { findFleet, runningFleets } from '../find-fleet.ts';
import { openFleetClient } from '../fleet-client.ts';

export interface Candidate {
  readonly value: string;
  readonly description: string;
}

/** Somebody has pressed a key and waits. */
const ANSWER_MS = 1_000;

export async function agentNames(
  fleet: string | undefined,
  context: CommandContext,
): Promise<readonly Candidate[]> {
  try {
    const { socket } = await findFleet(fleet, context);
    const agents = await openFleetClient(socket).request('listAgents', { timeoutMs: ANSWER_MS });
    return agents.map(({ id, state }) => ({ value: id, description: state }));
  } catch {
    return []; // no fleet, several, or one that does not answer
  }
}

export async function fleetNames(context: CommandContext): Promise<readonly Candidate[]> {
  const fleets = await runningFleets(context);
  return fleets.map(({ pid, cwd, dirs }) => ({
    value: String(pid),
    description: `${dirs.length} agents in ${cwd}`,
  }));
}
