/** Who has which socket, and how many watchers: from /proc, where there is one. Other users' processes stay unknown. */
import { readdir, readFile, readlink, stat } from 'node:fs/promises';

export interface Listener {
  readonly port: number;
  /** Undefined: another user's. */
  readonly pid: number | undefined;
  readonly program: string | undefined;
}

export interface Descriptors {
  readonly listeners: readonly Listener[];
  /** inotify instances of this user's processes. */
  readonly watchers: number;
}

const LISTENING = '0A';
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];

/** Undefined where there is no /proc. */
export async function readDescriptors(): Promise<Descriptors | undefined> {
  const portByInode = new Map<string, number>();
  try {
    for (const table of TABLES)
      for (const [inode, port] of await listening(table)) portByInode.set(inode, port);
  } catch {
    return undefined; // another system
  }
  const owners = new Map<number, number>();
  let watchers = 0;
  const own = process.getuid?.();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    for (const target of await targetsOf(name)) {
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      const port = inode === undefined ? undefined : portByInode.get(inode);
      if (port !== undefined && !owners.has(port)) owners.set(port, Number(name));
      if (target === 'anon_inode:inotify' && (await uidOf(name)) === own) watchers += 1;
    }
  }
  const listeners = await Promise.all(
    [...new Set(portByInode.values())].map(async (port) => {
      const pid = owners.get(port);
      return { port, pid, program: pid === undefined ? undefined : await programOf(pid) };
    }),
  );
  return { listeners, watchers };
}

async function listening(table: string): Promise<readonly (readonly [inode: string, port: number])[]> {
  const text = await readFile(table, 'latin1').catch((error: NodeJS.ErrnoException) => {
    if (table.endsWith('6')) return ''; // no IPv6 here
    throw error;
  });
  return text.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    if (state !== LISTENING) return [];
    return [[inode, Number.parseInt(local.slice(local.lastIndexOf(':') + 1), 16)] as const];
  });
}

async function targetsOf(pid: string): Promise<readonly string[]> {
  const names = await readdir(`/proc/${pid}/fd`).catch(() => []); // gone, or another user's
  return Promise.all(names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => '')));
}

async function uidOf(pid: string): Promise<number | undefined> {
  return (await stat(`/proc/${pid}`).catch(() => undefined))?.uid;
}

/** Its name alone: a command line may hold secrets. */
async function programOf(pid: number): Promise<string | undefined> {
  return (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => undefined))?.trim();
}
