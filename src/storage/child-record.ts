/**
 * How a program that an agent started is known again after the agent, and perhaps everything else, has died: a token in
 * its environment, which all that it starts inherits, and a file in the agent's directory that is written before the
 * program is. Neither a command line nor a bare pid is ever taken for proof, or a stranger could be killed.
 */
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export const CHILD_VARIABLE = 'OPENAGENT_CHILD';
export const CHILD_RECORD = '.children.json';

export interface RecordedChild {
  readonly pid: number;
  readonly startTime: string | undefined;
}

export interface ChildRecord {
  /** Of the machine: a pid and a start time mean nothing after the next one. */
  readonly machineBoot: string | undefined;
  readonly children: readonly RecordedChild[];
}

/** What the tokens of all programs of an agent begin with. `dir` is its real path. */
export function childTokenPrefix(dir: string): string {
  return `${createHash('sha256').update(dir).digest('hex').slice(0, 32)}:`;
}

/** Undefined where there is no /proc, and for a process that is gone. */
export function readStartTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The second field is the program's name in parentheses and may hold anything; the start time is the 22nd.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined; // no /proc, or no such process
  }
}

export function readMachineBoot(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return undefined; // no /proc: nothing can be known again
  }
}

/** By rename; not flushed to the disk, because what ends the page cache ends the programs as well. */
export function writeChildRecord(dir: string, record: ChildRecord): void {
  const file = join(dir, CHILD_RECORD);
  writeFileSync(`${file}.tmp`, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  renameSync(`${file}.tmp`, file);
}

export function removeChildRecord(dir: string): void {
  rmSync(join(dir, CHILD_RECORD), { force: true });
}

/** Undefined when no program of this agent can be left; one that cannot be read names nobody, but says there may be. */
export function readChildRecord(dir: string): ChildRecord | undefined {
  let text: string;
  try {
    text = readFileSync(join(dir, CHILD_RECORD), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return { machineBoot: undefined, children: [] };
  }
  try {
    const { machineBoot, children } = JSON.parse(text) as ChildRecord;
    return { machineBoot, children: children.filter(isRecorded) };
  } catch {
    return { machineBoot: undefined, children: [] }; // somebody edited it; the token is searched for in any case
  }
}

function isRecorded(value: unknown): value is RecordedChild {
  const { pid, startTime } = (value ?? {}) as Partial<RecordedChild>;
  return Number.isSafeInteger(pid) && (pid as number) > 1 && typeof startTime === 'string';
}
