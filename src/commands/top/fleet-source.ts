/**
 * The fleet that is watched, through its ends: when nobody answers any more, the one that took its place is looked for,
 * and another one that happens to run as well is never taken for it.
 */
import { AppError } from '../../contract/errors.ts';
import type { Announcement } from '../../contract/fleet/announcement.ts';
import type { CommandContext } from '../command-context.ts';
import type { AgentAction } from '../command-options.ts';
import { type FoundFleet, findFleet, runningFleets } from '../find-fleet.ts';
import { type FleetClient, openFleetClient } from '../fleet-client.ts';
import type { TopSource } from './watch-fleet.ts';

/** Less than a command gives it: what is shown is a second old at most, or said not to be. */
const TIMEOUT_MS = 3_000;

const ROUTES = {
  start: 'startAgent',
  stop: 'stopAgent',
  restart: 'restartAgent',
  release: 'releaseAgent',
} as const satisfies Record<AgentAction, string>;

/** Rejects where no fleet runs to begin with. */
export async function openFleetSource(
  named: string | undefined,
  context: Pick<CommandContext, 'env' | 'homeDir' | 'cwd' | 'wallMs'>,
): Promise<TopSource> {
  const closing = new AbortController();
  let last: FoundFleet = await findFleet(named, context);
  let current: Promise<FleetClient> | undefined = Promise.resolve(openFleetClient(last.socket));
  let answeredMs = context.wallMs();

  const reopen = async (): Promise<FleetClient> => {
    last = await successorOf(last, answeredMs, context);
    return openFleetClient(last.socket);
  };
  const use = async <T>(work: (client: FleetClient) => Promise<T>): Promise<T> => {
    current ??= reopen();
    const opened = current;
    try {
      const answer = await work(await opened);
      answeredMs = context.wallMs();
      return answer;
    } catch (error) {
      const isGone = AppError.is(error) && (error.code === 'fleet.lost' || error.code === 'fleet.not_found');
      if (isGone && current === opened) current = undefined;
      throw error;
    }
  };
  const poll = { timeoutMs: TIMEOUT_MS, signal: closing.signal };
  return {
    fleet: () => use((client) => client.request('getFleet', poll)),
    agents: () => use((client) => client.request('listAgents', poll)),
    // Not ended by `close`: what was asked for is asked for.
    act: (id, action) => use((client) => client.request(ROUTES[action], { params: { id } })),
    close: () => closing.abort(),
  };
}

/** The same socket, else a fleet with agents of the lost one, else the only one that has started since. */
async function successorOf(
  { socket, announcement }: FoundFleet,
  answeredMs: number,
  context: Pick<CommandContext, 'env' | 'homeDir' | 'cwd'>,
): Promise<FoundFleet> {
  if (announcement === undefined) return { socket, announcement };
  const running = await runningFleets(context);
  const heirs = running.filter((fleet) => isHeir(fleet, announcement));
  const newcomers = running.filter((fleet) => fleet.started_at * 1000 > answeredMs);
  const heir = heirs.at(-1) ?? (newcomers.length === 1 ? newcomers[0] : undefined);
  if (heir !== undefined) return { socket: heir.socket, announcement: heir };
  throw new AppError(
    'fleet.not_found',
    `its process ${announcement.pid} is gone, and no fleet is in its place`,
  );
}

function isHeir(fleet: Announcement, lost: Announcement): boolean {
  return fleet.dirs.some((dir) => lost.dirs.includes(dir));
}
