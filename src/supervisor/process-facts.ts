/** What can be told of another process by looking at it: whether it lives, since when, with which environment. */
import { readFile } from 'node:fs/promises';

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's may not be signalled, and lives.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The kernel counts in these whatever its own clock does. */
const TICKS_PER_SECOND = 100;

/** On the wall clock; undefined where there is no /proc, and for a process that is gone. */
export async function startedAtMs(pid: number): Promise<number | undefined> {
  try {
    const [stat, system] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'latin1'),
      readFile('/proc/stat', 'latin1'),
    ]);
    const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
    const bootSeconds = Number(/^btime (\d+)$/m.exec(system)?.[1]);
    const ms = (bootSeconds + ticks / TICKS_PER_SECOND) * 1000;
    return Number.isFinite(ms) ? ms : undefined;
  } catch {
    return undefined; // no /proc, or no such process
  }
}

/** Undefined: another user's, gone, or no /proc. */
export async function environmentOf(pid: number): Promise<Readonly<Record<string, string>> | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/environ`, 'utf8');
    const entries = text.split('\0').flatMap((entry) => {
      const at = entry.indexOf('=');
      return at > 0 ? [[entry.slice(0, at), entry.slice(at + 1)] as const] : [];
    });
    return entries.length === 0 ? undefined : Object.fromEntries(entries);
  } catch {
    return undefined; // see above
  }
}
