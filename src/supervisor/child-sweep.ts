/**
 * Ends what an agent started and could not end itself: after its worker is gone, and at the start of a supervisor, when
 * everything before was killed. Only what proves to be the agent's is killed: by the token in its environment, or by
 * pid and start time together. Where there is no /proc, groups that the agent reported in this very life are all.
 */
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { WorkerReport } from '../contract/worker-protocol.ts';
import {
  CHILD_VARIABLE,
  childTokenPrefix,
  type RecordedChild,
  readChildRecord,
  readMachineBoot,
  readStartTime,
  removeChildRecord,
} from '../storage/child-record.ts';

/** A program that an agent reported and that has not ended as far as anybody knows. */
export interface WorkerChild {
  readonly child: number;
  readonly command: string;
  /** Undefined between the report that it starts and the one that it has. */
  readonly pid: number | undefined;
  readonly startTime: string | undefined;
}

export type Defect = (error: unknown, where: string) => void;

/** What one incarnation started, kept by its host. */
export interface ChildLedger {
  note(report: WorkerReport): void;
  /** At once, for a process that is about to end itself. */
  kill(): void;
  /** After the worker is gone: resolves when nothing that it started is left. Never rejects. */
  sweep(): Promise<void>;
}

/** A worker's own count is bounded by its limits; code that writes to its port by itself is bounded by this. */
const KNOWN_MAX = 1_000;
/** Something may fork while it is being looked for. */
const PASSES_MAX = 20;
const PASS_PAUSE_MS = 5;

export function createChildLedger(dir: string, onDefect: Defect): ChildLedger {
  let children: readonly WorkerChild[] = [];
  return {
    note: (report) => {
      children = childrenAfter(children, report);
    },
    kill: () => killGroups(children, onDefect),
    sweep: () => sweepChildren(dir, children, onDefect),
  };
}

/** The list after one report; the same list when the report is about something else. */
export function childrenAfter(
  children: readonly WorkerChild[],
  report: { readonly type: string } | WorkerReport,
): readonly WorkerChild[] {
  if (!isChildReport(report)) return children;
  const { child } = report;
  if (report.type === 'worker.childEnded') return children.filter((one) => one.child !== child);
  if (report.type === 'worker.childStarting') {
    if (children.length >= KNOWN_MAX) return children;
    return [...children, { child, command: report.command, pid: undefined, startTime: undefined }];
  }
  const { pid, startTime } = report;
  return children.map((one) => (one.child === child ? { ...one, pid, startTime } : one));
}

type ChildReport = Extract<WorkerReport, { readonly child: number }>;

function isChildReport(report: { readonly type: string }): report is ChildReport {
  return report.type.startsWith('worker.child');
}

/** At once: for a process that is about to end itself. */
function killGroups(children: readonly Pick<WorkerChild, 'pid' | 'startTime'>[], onDefect: Defect) {
  for (const { pid, startTime } of children) {
    if (pid === undefined) continue;
    const runningSince = readStartTime(pid);
    // The number belongs to somebody else by now. With the head gone its number stays taken while its group lives.
    if (runningSince !== undefined && runningSince !== startTime) continue;
    kill(-pid, onDefect);
  }
}

/** Resolves when nothing that agent started is left. Costs one failed open when it started nothing. */
export async function sweepChildren(
  dir: string,
  known: readonly WorkerChild[],
  onDefect: Defect,
): Promise<void> {
  try {
    const record = readChildRecord(dir);
    killGroups(known, onDefect);
    if (record === undefined && known.length === 0) return;
    const boot = readMachineBoot();
    if (boot === undefined) return removeChildRecord(dir);
    if (record?.machineBoot === boot) killGroups(record.children.filter(isSame), onDefect);
    for (let pass = 0; pass < PASSES_MAX; pass += 1) {
      const found = await findByToken(childTokenPrefix(dir));
      for (const pid of found) kill(pid, onDefect);
      if (found.length === 0) return removeChildRecord(dir);
      await delay(PASS_PAUSE_MS);
    }
    onDefect(new Error(`Programs that the agent started do not end`), `children in ${dir}`);
  } catch (error) {
    onDefect(error, `children in ${dir}`);
  }
}

/** After the death of everybody a group without its head could be anybody's: only the token finds those. */
function isSame({ pid, startTime }: RecordedChild): boolean {
  return startTime !== undefined && readStartTime(pid) === startTime;
}

async function findByToken(prefix: string): Promise<readonly number[]> {
  const names = await readdir('/proc');
  const spared = await selfAndAncestors();
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const marked = await Promise.all(pids.map((pid) => hasToken(pid, `${CHILD_VARIABLE}=${prefix}`)));
  return pids.filter((pid, index) => marked[index] === true && !spared.has(pid));
}

async function hasToken(pid: number, text: string): Promise<boolean> {
  try {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1');
    return environment.split('\0').some((entry) => entry.startsWith(text));
  } catch {
    return false; // ended meanwhile, or another user's
  }
}

/** A supervisor that was started by a program of an agent carries its token. */
async function selfAndAncestors(): Promise<ReadonlySet<number>> {
  const pids = new Set<number>();
  for (let pid = process.pid; pid > 1 && !pids.has(pid); ) {
    pids.add(pid);
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
    pid = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  }
  return pids;
}

function kill(pid: number, onDefect: Defect): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // ESRCH: it ended by itself, which is what was wanted.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') onDefect(error, `SIGKILL to ${pid}`);
  }
}
