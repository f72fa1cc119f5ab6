/**
 * What processor time each agent uses, read from outside, so also of one that hangs: that is when it is asked for. Linux
 * counts it per thread and tells it in /proc; elsewhere nothing is known. One loop reads for all agents. The kernel
 * answers such a read from memory, in some 10 µs: to have it done by another thread would cost ten times as much, and
 * descriptors that stay open would be missing elsewhere.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import type { Clock, TimerHandle } from '../contract/clock.ts';
import type { ChildSnapshot } from './child-facts.ts';

export interface CpuUse {
  /** Of one core, over the last few seconds; an agent process with helper threads may have more than 100. */
  readonly cpuPercent: number | undefined;
  /** Over all incarnations since the host's start. */
  readonly cpuSeconds: number | undefined;
}

export interface CpuWatch {
  of(id: string): CpuUse;
  /** It is supervised no more; another one of that name begins anew. */
  forget(id: string): void;
  stop(): void;
}

export interface CpuWatchOptions {
  readonly clock: Clock;
  readonly children: () => Iterable<{ getSnapshot(): ChildSnapshot }>;
  readonly lookMs?: number;
  /** Throws when there is none. */
  readonly readStat?: (path: string) => string;
}

const LOOK_MS = 2_000;
/** The kernel tells user space in hundredths of a second, whatever it counts in itself. */
const TICKS_PER_SECOND = 100;
/** Of the fields behind the name, which may hold blanks and brackets itself. */
const [USER_TICKS, SYSTEM_TICKS, START_TIME] = [11, 12, 19];
const UNKNOWN: CpuUse = { cpuPercent: undefined, cpuSeconds: undefined };

interface Stat {
  readonly ticks: number;
  /** When it was started: the system gives numbers of threads again. */
  readonly startTime: string;
}

interface Watched {
  readonly incarnation: number;
  /** Of the incarnations before this one. */
  readonly earlierTicks: number;
  stat: Stat | undefined;
  atMs: number;
  use: CpuUse;
}

export function startCpuWatch(options: CpuWatchOptions): CpuWatch {
  const { clock, children, lookMs = LOOK_MS, readStat = readShort } = options;
  const watched = new Map<string, Watched>();
  let timer: TimerHandle;

  function look(): void {
    timer = clock.setTimeout(look, lookMs);
    for (const child of children()) {
      const { context } = child.getSnapshot();
      const { id } = context.agent.spec;
      const one = watchedNow(watched.get(id), context.incarnation);
      watched.set(id, one);
      const path = pathOf(context);
      note(one, path === undefined ? undefined : readStatOf(path), clock.monotonicMs());
    }
  }

  function readStatOf(path: string): Stat | undefined {
    try {
      return toStat(readStat(path));
    } catch {
      return undefined; // it has ended
    }
  }

  // Elsewhere there is nothing to read.
  if (process.platform === 'linux' || options.readStat) timer = clock.setTimeout(look, lookMs);
  return {
    of: (id) => watched.get(id)?.use ?? UNKNOWN,
    forget: (id) => void watched.delete(id),
    stop: () => clock.clearTimeout(timer),
  };
}

const buffer = Buffer.allocUnsafe(1_024);

/** A third of what `readFileSync` takes, which asks for the size first and does not believe the answer. */
function readShort(path: string): string {
  const file = openSync(path, 'r');
  try {
    return buffer.toString('latin1', 0, readSync(file, buffer, 0, buffer.length, 0));
  } finally {
    closeSync(file);
  }
}

/** Undefined: it is gone, or not heard of yet. */
function pathOf({ agent, beat }: ChildSnapshot['context']): string | undefined {
  if (beat?.task === undefined) return undefined;
  return agent.isolation === 'thread' ? `/proc/self/task/${beat.task}/stat` : `/proc/${beat.task}/stat`;
}

function watchedNow(before: Watched | undefined, incarnation: number): Watched {
  if (before?.incarnation === incarnation) return before;
  const earlierTicks = (before?.earlierTicks ?? 0) + (before?.stat?.ticks ?? 0);
  return { incarnation, earlierTicks, stat: undefined, atMs: 0, use: before?.use ?? UNKNOWN };
}

function note(watched: Watched, stat: Stat | undefined, nowMs: number): void {
  const before = watched.stat;
  if (stat === undefined || (before && before.startTime !== stat.startTime)) {
    watched.use = { ...watched.use, cpuPercent: undefined };
    return;
  }
  const tookMs = nowMs - watched.atMs;
  const usedMs = before && ((stat.ticks - before.ticks) / TICKS_PER_SECOND) * 1_000;
  watched.use = {
    cpuPercent: usedMs === undefined || tookMs <= 0 ? undefined : (usedMs * 100) / tookMs,
    cpuSeconds: (watched.earlierTicks + stat.ticks) / TICKS_PER_SECOND,
  };
  watched.stat = stat;
  watched.atMs = nowMs;
}

function toStat(text: string): Stat | undefined {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[USER_TICKS]) + Number(fields[SYSTEM_TICKS]);
  return Number.isFinite(ticks) ? { ticks, startTime: fields[START_TIME] ?? '' } : undefined;
}
