/**
 * The gateway of the host process: opened before the first agent is looked for, closed after the last one has ended. It
 * is of use and never a condition: what it cannot have (a directory, a port) is a warning, and the agents run without.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Announcement } from '../../contract/fleet/announcement.ts';
import type { Transport } from '../../gateway/transport.ts';
import { createFleetCore, type FleetCoreOptions } from './fleet-core.ts';
import { type ListenerParts, listenOnLoopback, listenOnSocket } from './listeners.ts';
import { announce, exists, openRunDirectory, removeRunFiles, runFiles } from './run-files.ts';
import type { FleetNews, SupervisedFleet } from './supervised-fleet.ts';
import { type KeptToken, keptToken, newToken, replaceToken, tokenFile, writeNewToken } from './token-file.ts';

export interface FleetGatewayOptions extends FleetCoreOptions {
  readonly runDir: string;
  /** Where the search for a port on loopback begins; undefined: none is wished. */
  readonly port: number | undefined;
  readonly onWarning: (message: string) => void;
}

export interface FleetGateway {
  /** Undefined: there is none. */
  readonly socket: string | undefined;
  readonly url: string | undefined;
  /** From here on there are agents. */
  supervise(fleet: SupervisedFleet): void;
  note(news: FleetNews): void;
  /** Whether anybody can ask for anything. */
  isOpen(): boolean;
  /** Tells its clients, and removes its files. */
  close(): Promise<void>;
  /** The same where nothing can be awaited. */
  closeNow(): void;
}

const CLOSE_MS = 500;
/** A disk that answers does so in far less. */
const LAST_LOOK_MS = 300;
const GOING_AWAY = 1001;

export async function openFleetGateway(options: FleetGatewayOptions): Promise<FleetGateway> {
  const core = createFleetCore(options);
  const place = await takePlace(options, core.parts);
  core.isAt(place);
  return {
    socket: place.socket,
    url: place.url,
    supervise: core.supervise,
    note(news) {
      core.note(news);
      // Whoever looks for the fleet of a directory finds it by these.
      if (news.type === 'fleet.settled') place.announce(core.dirs()).catch(place.fail);
    },
    isOpen: () => place.transports.length > 0,
    async close() {
      place.leave();
      // The last that agents wrote is what somebody follows them for.
      await Promise.race([core.lookAgain(), sleep(LAST_LOOK_MS, undefined, { ref: false })]);
      await Promise.all(
        place.transports.map((each) => each.close(GOING_AWAY, 'the supervisor has ended', CLOSE_MS)),
      );
      await core.close();
    },
    closeNow() {
      place.leave();
      for (const transport of place.transports) transport.closeNow();
    },
  };
}

interface Place {
  readonly transports: readonly Transport[];
  readonly socket: string | undefined;
  readonly url: string | undefined;
  announce(dirs: readonly string[]): Promise<void>;
  fail(error: unknown): void;
  /** Removes the files. */
  leave(): void;
}

type Http = NonNullable<Announcement['http']>;

/** What can be had of it; the rest is told. */
async function takePlace(options: FleetGatewayOptions, parts: ListenerParts): Promise<Place> {
  const { runDir, port, facts, onWarning } = options;
  const files = runFiles(runDir, facts.pid);
  const fail = (what: string) => (error: unknown) => {
    onWarning(
      `${what}: ${error instanceof Error ? error.message : String(error)}; the agents run without it`,
    );
    return undefined;
  };
  const why = await openRunDirectory(runDir, facts.pid);
  if (why !== undefined) {
    onWarning(`ps, top and the other commands will not find this fleet: ${why}`);
    return { ...NOWHERE, fail: fail('The fleet cannot be announced') };
  }
  const transports: Transport[] = [];
  const leavings: string[] = [];
  const socket = await listenOnSocket(files.socket, parts).catch(fail('The fleet has no socket'));
  if (socket) {
    transports.push(socket);
    leavings.push(files.socket);
  }
  // What answers there has this process id in another process table: all of that name is its own.
  const isOurName = socket !== undefined || !(await exists(files.socket));
  let http: Http | null = null;
  if (port !== undefined) {
    const listening = await openLoopback(port, options, parts).catch(fail('The fleet has no port'));
    if (listening) transports.push(listening.transport);
    if (listening && !listening.isKept) leavings.unshift(listening.http.token_file);
    http = listening?.http ?? null;
  }
  if (isOurName) leavings.unshift(files.announcement, `${files.announcement}.tmp`);
  const announced = {
    ...{ pid: facts.pid, version: facts.version, started_at: facts.startedAtMs / 1000 },
    ...{ socket: socket ? files.socket : null, http, cwd: facts.cwd },
  };
  let hasLeft = false;
  const place: Place = {
    transports,
    socket: socket && files.socket,
    url: http ? `http://${http.host}:${http.port}` : undefined,
    announce: async (dirs) => {
      if (hasLeft || !isOurName) return;
      try {
        await announce(files, { ...announced, dirs: [...dirs] });
      } catch (error) {
        // What was being written went with the rest, when the end came meanwhile.
        if (!hasLeft) throw error;
      }
      if (hasLeft) removeRunFiles(leavings);
    },
    fail: fail('The fleet cannot be announced'),
    leave: () => {
      hasLeft = true;
      removeRunFiles(leavings);
    },
  };
  if (transports.length > 0) await place.announce(facts.dirs).catch(place.fail);
  return place;
}

interface OpenLoopback {
  readonly transport: Transport;
  readonly http: Http;
  /** The token outlives this process. */
  readonly isKept: boolean;
}

async function openLoopback(
  first: number,
  { runDir, facts, onWarning }: FleetGatewayOptions,
  parts: ListenerParts,
): Promise<OpenLoopback> {
  const isSameEachTime = first !== 0;
  const tokenOf = (port: number): Promise<KeptToken> => {
    if (!isSameEachTime) return newToken();
    const path = tokenFile(runDir, port);
    return keptToken(path, (why) => onWarning(`${path} is not used, and replaced: ${why}`));
  };
  const { transport, token, ...bound } = await listenOnLoopback(first, tokenOf, parts);
  const path = tokenFile(runDir, bound.port);
  try {
    let token_file = path;
    if (isSameEachTime) {
      if (!token.isKept) await replaceToken(path, token.value);
    } else token_file = await writeToken([runFiles(runDir, facts.pid).token, path], token.value);
    return { transport, http: { ...bound, token_file }, isKept: isSameEachTime };
  } catch (error) {
    transport.closeNow();
    throw error;
  }
}

/** Into the first of these that is nobody else's. */
async function writeToken([path = '', ...others]: readonly string[], value: string): Promise<string> {
  try {
    await writeNewToken(path, value);
    return path;
  } catch (error) {
    if (others.length === 0 || (error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return writeToken(others, value);
  }
}

const NOWHERE: Omit<Place, 'fail'> = {
  transports: [],
  socket: undefined,
  url: undefined,
  announce: async () => {},
  leave: () => {},
};
