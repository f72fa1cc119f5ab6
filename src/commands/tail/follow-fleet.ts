/**
 * Stays with a fleet that may end and start again: a host that died is started by its launcher within a second, and
 * whoever watches its log wants to see just that.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AppError, type ErrorCode } from '../../contract/errors.ts';
import type { FleetClientFrame, FleetServerFrame } from '../../contract/fleet/frames.ts';
import { colorsOf } from '../colors.ts';
import type { CommandContext } from '../command-context.ts';
import { type FoundFleet, runningFleets } from '../find-fleet.ts';
import { type FleetClient, openFleetClient } from '../fleet-client.ts';
import { lineText } from '../terminal-text.ts';

export interface Follower {
  /** The socket is open and nothing is followed yet; `connect` tells what comes from now on. */
  begin(client: FleetClient, follow: (frame: Follow) => void): Promise<void>;
  frame(frame: FleetServerFrame): void;
}

export type Follow = Extract<FleetClientFrame, { type: 'follow' }>;

const DELAY_MS_MIN = 250;
const DELAY_MS_MAX = 5_000;

/** Until `context.signal`. Rejects when the very first connection cannot be had, or the fleet refuses what is asked. */
export async function followFleet(
  first: FoundFleet,
  follower: Follower,
  context: CommandContext,
): Promise<void> {
  const { signal } = context;
  const say = (text: string): void => {
    context.err.write(`${colorsOf(context.err, context.env).yellow('note')}: ${lineText(text)}\n`);
  };
  let fleet = first;
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    if (!isFirst) {
      fleet = await whenBack(fleet, context);
      if (signal.aborted) return;
      say(`the fleet is there again${pidText(fleet)}`);
    }
    try {
      const reason = await followOnce(fleet, follower, context);
      if (!signal.aborted) say(`the fleet has gone away (${reason}); waiting for it`);
    } catch (error) {
      if (signal.aborted) return;
      if (isFirst || !AppError.is(error) || error.code !== 'fleet.lost') throw error;
      say('the fleet has gone away again; waiting for it');
    }
  }
}

/** Resolves with the reason when the connection has ended. */
async function followOnce(
  fleet: FoundFleet,
  follower: Follower,
  { signal, out }: CommandContext,
): Promise<string> {
  const client = openFleetClient(fleet.socket);
  const ended = settleable<string>();
  const socket = await client.connect({
    onClose: ended.resolve,
    onFrame: (frame) => {
      if (frame.type === 'error')
        return ended.reject(AppError.fromWire({ ...frame, code: frame.code as ErrorCode }));
      follower.frame(frame);
      if (out.writableNeedDrain === true) {
        socket.pause();
        out.once?.('drain', socket.resume);
      }
    },
  });
  const end = (): void => ended.resolve('');
  signal.addEventListener('abort', end);
  try {
    await Promise.race([ended.promise, follower.begin(client, (frame) => socket.send(frame))]);
    return await ended.promise;
  } finally {
    signal.removeEventListener('abort', end);
    socket.close();
  }
}

async function whenBack(fleet: FoundFleet, context: CommandContext): Promise<FoundFleet> {
  let waitMs = DELAY_MS_MIN;
  while (!context.signal.aborted) {
    await delay(waitMs, undefined, { signal: context.signal }).catch(() => {}); // aborted: the loop ends
    waitMs = Math.min(DELAY_MS_MAX, waitMs * 2);
    const back = await successorOf(fleet, context);
    if (back !== undefined) return back;
  }
  return fleet;
}

/** The same one, or one that has taken over its directories: a new host has another process id and socket. */
async function successorOf(fleet: FoundFleet, context: CommandContext): Promise<FoundFleet | undefined> {
  const running = await runningFleets(context);
  const { announcement, socket } = fleet;
  const same = running.find((each) => each.socket === socket);
  const dirs = new Set(announcement?.dirs);
  const heir = same ?? running.find((each) => each.dirs.some((dir) => dirs.has(dir)));
  return heir && { socket: heir.socket, announcement: heir };
}

function pidText({ announcement }: FoundFleet): string {
  return announcement === undefined ? '' : ` (host process ${announcement.pid})`;
}

function settleable<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<T>((resolveIt, rejectIt) => {
    resolve = resolveIt;
    reject = rejectIt;
  });
  return { promise, resolve, reject };
}
