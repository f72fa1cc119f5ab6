/**
 * Which running fleet a command means. Every host announces itself by a file in the run directory; one that was killed
 * leaves its file behind, so a fleet counts only when its process lives and its socket takes a connection.
 */
import { readdir, readFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { isAbsolute, join, relative, resolve } from 'node:path';
import { AppError } from '../contract/errors.ts';
import { Announcement, runDirectory } from '../contract/fleet/announcement.ts';
import { lineText } from './terminal-text.ts';

export interface Place {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  readonly cwd: string;
}

export interface FoundFleet {
  readonly socket: string;
  /** Undefined where only a socket was named. */
  readonly announcement: Announcement | undefined;
}

type Listening = Announcement & { readonly socket: string };

/** `named`: the value of `--fleet`, a process id or the path of a socket. */
export async function findFleet(named: string | undefined, place: Place): Promise<FoundFleet> {
  if (named !== undefined && !/^\d+$/.test(named)) return findSocket(named, place);
  const fleets = await runningFleets(place);
  if (named !== undefined) {
    const fleet = fleets.find(({ pid }) => pid === Number(named));
    if (fleet === undefined) throw new AppError('fleet.not_found', noneWithPid(named, fleets));
    return found(fleet);
  }
  const [first, ...others] = fleets;
  if (first === undefined) throw new AppError('fleet.not_found', noneAtAll(place));
  if (others.length === 0) return found(first);
  const here = fleets.filter((fleet) => fleet.dirs.some((dir) => isNear(place.cwd, dir)));
  if (here.length === 1) return found(here[0] as Listening);
  throw new AppError('fleet.ambiguous', severalOf(fleets));
}

/** Of those that run and listen; the oldest first. */
export async function runningFleets(place: Place): Promise<readonly Listening[]> {
  const announced = (await announcements(runDirectory(place.env, place.homeDir))).filter(isListening);
  const lives = await Promise.all(announced.map(({ pid, socket }) => isAlive(pid) && takes(socket)));
  return announced.filter((_, at) => lives[at]).sort((a, b) => a.started_at - b.started_at);
}

async function announcements(dir: string): Promise<readonly Announcement[]> {
  const names = await readdir(dir).catch(() => []); // nobody has announced anything yet
  const files = names.filter((name) => /^\d+\.json$/.test(name));
  const read = await Promise.all(files.map((name) => readAnnouncement(join(dir, name))));
  return read.filter((announcement) => announcement !== undefined);
}

async function readAnnouncement(file: string): Promise<Announcement | undefined> {
  try {
    return Announcement.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return undefined; // removed meanwhile, half a file of a host that was killed, or of another version
  }
}

const isListening = (announcement: Announcement): announcement is Listening => announcement.socket !== null;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // it lives, and is somebody else's
  }
}

/** A host that is busy takes it all the same: the system does that. */
function takes(socket: string): Promise<boolean> {
  return new Promise((resolveTaken) => {
    const connection = createConnection(socket);
    const end = (isTaken: boolean): void => {
      connection.destroy();
      resolveTaken(isTaken);
    };
    connection.once('connect', () => end(true));
    connection.once('error', () => end(false));
  });
}

async function findSocket(named: string, { cwd }: Place): Promise<FoundFleet> {
  const socket = resolve(cwd, named);
  if (await takes(socket)) return { socket, announcement: undefined };
  const message = `nobody listens at ${lineText(socket)}; --fleet wants the process id or the socket of a running fleet`;
  throw new AppError('fleet.not_found', message);
}

const found = (announcement: Listening): FoundFleet => ({ socket: announcement.socket, announcement });

/** The agent's directory is at or below `cwd`, or `cwd` is within it. */
function isNear(cwd: string, dir: string): boolean {
  return contains(cwd, dir) || contains(dir, cwd);
}

function contains(outer: string, inner: string): boolean {
  const path = relative(outer, inner);
  return path === '' || !(path === '..' || path.startsWith('../') || isAbsolute(path));
}

function noneAtAll(place: Place): string {
  const dir = lineText(runDirectory(place.env, place.homeDir));
  return `no fleet runs (none is announced in ${dir}); start one: openagent-supervisor agents/*`;
}

function noneWithPid(pid: string, fleets: readonly Listening[]): string {
  const running =
    fleets.length === 0 ? 'none runs' : `these do:\n${fleets.map((fleet) => line(fleet)).join('\n')}`;
  return `no fleet's host has the process id ${pid}; ${running}`;
}

function severalOf(fleets: readonly Listening[]): string {
  const lines = fleets.map((fleet) => line(fleet)).join('\n');
  return `${fleets.length} fleets run; say which by --fleet <pid>, or go to a directory of one:\n${lines}`;
}

function line({ pid, started_at, cwd, dirs }: Listening): string {
  const since = new Date(started_at * 1000).toISOString().slice(0, 19);
  const agents = dirs.length === 1 ? '1 agent' : `${dirs.length} agents`;
  return lineText(`  --fleet ${pid}  since ${since}Z  ${agents} in ${cwd}`);
}
