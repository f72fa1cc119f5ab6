/**
 * The files by which a running fleet is found: its socket and its announcement, in a directory that belongs to this user
 * alone. Whoever may open the socket may do everything, so a directory that others may write is not used.
 */
import { rmSync } from 'node:fs';
import { lstat, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Announcement } from '../../contract/fleet/announcement.ts';

export interface RunFiles {
  readonly socket: string;
  readonly announcement: string;
  /** Of a port that is another one each time; see `token-file.ts`. */
  readonly token: string;
}

/** A path that is too long for the system is cut by it without a word, and the socket would be somewhere else. */
export const SOCKET_PATH_BYTES = process.platform === 'linux' ? 107 : 103;
const OF_A_HOST = /^(\d{1,10})\.(?:sock|json|json\.tmp|token)$/;
const OTHERS_WRITE = 0o022;
/** A socket of this machine answers at once, if anybody does. */
const ANSWER_MS = 500;
/** `ENOTSOCK`: some file of that name. */
const DEAD: readonly (string | undefined)[] = ['ECONNREFUSED', 'ENOENT', 'ENOTSOCK'];

export function runFiles(dir: string, pid: number): RunFiles {
  const path = (ending: string): string => join(dir, `${pid}.${ending}`);
  return { socket: path('sock'), announcement: path('json'), token: path('token') };
}

/** Why the directory cannot be used, with the mend; undefined when it can. */
export async function openRunDirectory(dir: string, pid: number): Promise<string | undefined> {
  const { socket } = runFiles(dir, pid);
  if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES) {
    return `the path of its socket, ${socket}, is longer than the ${SOCKET_PATH_BYTES} bytes a socket may have: set OPENAGENT_RUN_DIR to a shorter directory`;
  }
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const { uid, mode } = await stat(dir);
    if (process.getuid && uid !== process.getuid()) {
      return `${dir} belongs to another user: set OPENAGENT_RUN_DIR to a directory of your own`;
    }
    if ((mode & OTHERS_WRITE) !== 0) return `other users may write into ${dir}: chmod 700 ${dir}`;
    await removeLeftovers(dir, pid);
    return undefined;
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    return `${dir} cannot be used (${said}): make it writable, or set OPENAGENT_RUN_DIR to another directory`;
  }
}

/**
 * Of hosts that were killed. One whose process is gone but whose socket answers lives behind another process table; one
 * whose process is there but whose socket is dead is another process, which was given the same id.
 */
async function removeLeftovers(dir: string, ownPid: number): Promise<void> {
  const names = await readdir(dir);
  const pids = new Set(names.map((name) => Number(OF_A_HOST.exec(name)?.[1] ?? 0)));
  pids.delete(0);
  for (const pid of pids) {
    const { socket } = runFiles(dir, pid);
    // One that lives and has no socket may have had no luck with it, or be about to make it.
    if (pid !== ownPid && isAlive(pid) && !(await exists(socket))) continue;
    if (await answers(socket)) continue;
    const files = names.filter((name) => OF_A_HOST.exec(name)?.[1] === String(pid));
    for (const name of files) await rm(join(dir, name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** False only where it is certain. */
export function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
}

/** False only where it is certain: too few descriptors here, or a full queue there, say nothing. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (isThere: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(isThere);
    };
    const timer = setTimeout(() => settle(true), ANSWER_MS);
    socket.once('connect', () => settle(true));
    socket.once('error', (error: NodeJS.ErrnoException) => settle(!DEAD.includes(error.code)));
  });
}

/** Whole or not at all: it is read by whoever looks for a fleet. */
export async function announce({ announcement }: RunFiles, what: Announcement): Promise<void> {
  const temporary = `${announcement}.tmp`;
  await writeFile(temporary, `${JSON.stringify(what, undefined, 2)}\n`, { mode: 0o600 });
  await rename(temporary, announcement);
}

/** At the end, also where nothing can be awaited any more. First what tells of it. */
export function removeRunFiles(paths: readonly string[]): void {
  for (const path of paths) {
    try {
      rmSync(path, { force: true });
    } catch {
      // The directory is gone, or no longer ours: the next start in it removes what is left.
    }
  }
}
