/**
 * All WebSockets of a gateway: how many there are, who is connected, and the second-by-second look at which terminal
 * frames have arrived. The frame parser brings zod, so it is loaded when the first frame comes that is not a plain one;
 * frames that arrive meanwhile wait in order.
 */

import { unnamedClient } from '../../contract/client-key.ts';
import type { Clock } from '../../contract/clock.ts';
import type { FrameResult, ParseFrame } from '../../contract/frames.ts';
import type { Limits } from '../../contract/limits.ts';
import { readPlainFrame } from '../../contract/plain-frames.ts';
import type { Peer, PeerListener } from '../transport.ts';
import { Connection, type ConnectionContext } from './connection.ts';
import type { Identity } from './identity.ts';
import { createLogFollows, type LogFollowsOptions } from './log-follow.ts';

export type SocketHubOptions = Omit<
  ConnectionContext,
  'logs' | 'nextUnnamed' | 'parse' | 'inOrder' | 'onIdentity' | 'onClosed' | 'watch'
> & {
  /** Part of the keys of clients without a name, so that they never repeat. */
  readonly boot: number;
  readonly followLog: LogFollowsOptions['follow'];
};

export interface SocketHub {
  /** False when one more such socket would be one too many. */
  hasRoom(isAuthenticated: boolean): boolean;
  accept(peer: Peer, isAuthenticated: boolean): PeerListener;
  /** Distinct client ids with an open socket. */
  connectedClients(): number;
  hasAuthenticatedSocket(remoteAddress: string): boolean;
  count(): number;
  /** To every connection that asked for `resources`. */
  sendResourceEvent(frame: string): void;
  /** To every connection that can approve; how many there are. */
  sendApproval(frame: string): number;
}

const LOOK_MS = 1_000;

export function createSocketHub(options: SocketHubOptions): SocketHub {
  const { clock, limits } = options;
  const connections = new Set<Connection>();
  const looks = createLooks(clock);
  const clients = new Map<string, number>();
  const parserQueue = createParserQueue(limits, options.onDefect);
  let unnamed = 0;

  function count(identity: Identity, by: 1 | -1): void {
    const { key } = identity.client;
    const next = (clients.get(key) ?? 0) + by;
    if (next > 0) clients.set(key, next);
    else clients.delete(key);
  }

  const context: ConnectionContext = {
    ...options,
    ...parserQueue,
    logs: createLogFollows({ clock, limits, follow: options.followLog }),
    nextUnnamed: () => unnamedClient(options.boot, ++unnamed),
    onIdentity: (identity) => count(identity, 1),
    onClosed: (connection, identities) => {
      connections.delete(connection);
      looks.forget(connection);
      for (const identity of identities) count(identity, -1);
    },
    watch: looks.watch,
  };

  return {
    hasRoom: (isAuthenticated) => {
      if (connections.size >= limits.sockets) return false;
      if (isAuthenticated) return true;
      const strangers = [...connections].filter((connection) => !connection.isAuthenticated);
      return strangers.length < limits.socketsBeforeAuth;
    },
    accept(peer, isAuthenticated) {
      const connection = new Connection(peer, isAuthenticated, context);
      connections.add(connection);
      return connection;
    },
    connectedClients: () => clients.size,
    hasAuthenticatedSocket: (remoteAddress) =>
      [...connections].some(
        (connection) => connection.isAuthenticated && connection.remoteAddress === remoteAddress,
      ),
    count: () => connections.size,
    sendResourceEvent: (frame) => {
      for (const connection of connections) if (connection.wantsResources) connection.send(frame);
    },
    sendApproval: (frame) => {
      const able = [...connections].filter((connection) => connection.wantsApprovals);
      return able.filter((connection) => connection.send(frame)).length;
    },
  };
}

/** Looks at connections with terminal frames under way, once a second for as long as there are any. */
function createLooks(clock: Clock): {
  watch(connection: Connection): void;
  forget(connection: Connection): void;
} {
  const watched = new Set<Connection>();
  let isLooking = false;

  function look(): void {
    for (const connection of watched) if (!connection.lookAtDeliveries()) watched.delete(connection);
    isLooking = watched.size > 0;
    if (isLooking) clock.setTimeout(look, LOOK_MS);
  }

  return {
    watch(connection) {
      watched.add(connection);
      if (isLooking) return;
      isLooking = true;
      clock.setTimeout(look, LOOK_MS);
    },
    forget: (connection) => void watched.delete(connection),
  };
}

function createParserQueue(
  limits: Limits,
  onDefect: (error: unknown, where: string) => void,
): Pick<ConnectionContext, 'parse' | 'inOrder'> {
  let parser: ParseFrame | undefined;
  let waiting: (() => void)[] | undefined;

  async function load(): Promise<void> {
    const { createFrameParser } = await import('../../contract/frames.ts');
    parser = createFrameParser(limits);
    const works = waiting ?? [];
    waiting = undefined;
    for (const work of works) {
      try {
        work();
      } catch (error) {
        onDefect(error, 'frame');
      }
    }
  }

  /** Behind what waits already, where something does. */
  function whenLoaded(work: (parse: ParseFrame) => void): void {
    const parseAndWork = () => parser && work(parser);
    if (waiting) return void waiting.push(parseAndWork);
    waiting = [parseAndWork];
    load().catch((error: unknown) => onDefect(error, 'frame parser'));
  }

  return {
    parse(text, take) {
      const plain: FrameResult | undefined = readPlainFrame(text, limits.idChars);
      if (plain) take(plain);
      else if (parser) take(parser(text));
      else whenLoaded((parse) => take(parse(text)));
    },
    inOrder(work) {
      if (waiting) waiting.push(work);
      else work();
    },
  };
}
