/**
 * Which fleets run, by what they have announced in the run directory. Only what can be looked at without being part of
 * it: no socket is opened, and what a killed fleet has left stays where it is.
 */
import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Announcement, runDirectory } from '../../contract/fleet/announcement.ts';
import { isAlive } from '../process-facts.ts';

export interface RunDirectory {
  readonly dir: string;
  readonly live: readonly Announcement[];
  /** Files of processes that are gone. */
  readonly stale: readonly string[];
}

const NAME = /^(\d{1,10})\.(json|sock)$/;
const BYTES_MAX = 4 * 1024 * 1024;

export async function readAnnouncements(
  env: Readonly<Record<string, string | undefined>>,
  homeDir: string,
): Promise<RunDirectory> {
  const dir = runDirectory(env, homeDir);
  // None yet, or none of ours: then no fleet can be found there.
  const names = await readdir(dir).catch(() => []);
  const [live, stale]: [Announcement[], string[]] = [[], []];
  for (const name of names) {
    const [, pid, kind] = NAME.exec(name) ?? [];
    if (pid === undefined) continue;
    if (!isAlive(Number(pid))) stale.push(join(dir, name));
    else if (kind === 'json') {
      const announced = await readAnnouncement(join(dir, name));
      if (announced !== undefined) live.push(announced);
    }
  }
  return { dir, live, stale };
}

async function readAnnouncement(file: string): Promise<Announcement | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    const handle = await open(file, O_RDONLY | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0));
    try {
      const { size } = await handle.stat();
      if (size > BYTES_MAX) return undefined;
      return Announcement.parse(JSON.parse(await handle.readFile('utf8')));
    } finally {
      await handle.close();
    }
  } catch {
    // Removed just now, or written by somebody else: no fleet that could be talked to.
    return undefined;
  }
}
