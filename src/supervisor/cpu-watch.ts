/**
 * What processor time each agent uses, read from outside, so also of one that hangs: that is when it is asked for. Linux
 * counts it per thread and tells it in /proc; elsewhere nothing is known. One loop reads for all agents, one after the
 * other, through descriptors that stay open: such a descriptor belongs to that one thread, so a number that the system
 * gives to another one later never brings a stranger's figures.
 */
import { open } from 'node:fs/promises';
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

/** A file of /proc that stays open. Both reject, or throw, once the thread it tells of has ended. */
export interface StatFile {
  read(): Promise<string>;
  close(): Promise<void>;
}

export interface CpuWatchOptions {
  readonly clock: Clock;
  readonly children: () => Iterable<{ getSnapshot(): ChildSnapshot }>;
  readonly lookMs?: number;
  readonly openStat?: (path: string) => Promise<StatFile>;
  readonly onDefect: (error: unknown, where: string) => void;
}

const LOOK_MS = 2_000;
/** The kernel tells user space in hundredths of a second, whatever it counts in itself. */
const TICKS_PER_SECOND = 100;
/** Of the fields behind the name, which may hold blanks and brackets itself. */
const [USER_TICKS, SYSTEM_TICKS] = [11, 12];
const STAT_BYTES_MAX = 1_024;
const UNKNOWN: CpuUse = { cpuPercent: undefined, cpuSeconds: undefined };

interface Watched {
  incarnation: number;
  file: StatFile | undefined;
  /** Of the incarnations before this one. */
  earlierTicks: number;
  ticks: number;
  atMs: number;
  use: CpuUse;
}

export function startCpuWatch(options: CpuWatchOptions): CpuWatch {
  if (process.platform !== 'linux' && !options.openStat)
    return { of: () => UNKNOWN, forget: () => {}, stop: () => {} };
  return new Watch(options);
}

class Watch implements CpuWatch {
  readonly #options: CpuWatchOptions;
  readonly #watched = new Map<string, Watched>();
  #timer: TimerHandle;
  #isStopped = false;

  constructor(options: CpuWatchOptions) {
    this.#options = options;
    this.#plan();
  }

  of(id: string): CpuUse {
    return this.#watched.get(id)?.use ?? UNKNOWN;
  }

  forget(id: string): void {
    const watched = this.#watched.get(id);
    if (watched) this.#close(watched);
    this.#watched.delete(id);
  }

  stop(): void {
    this.#isStopped = true;
    this.#options.clock.clearTimeout(this.#timer);
    for (const watched of this.#watched.values()) this.#close(watched);
  }

  #plan(): void {
    const { clock, lookMs = LOOK_MS, onDefect } = this.#options;
    this.#timer = clock.setTimeout(() => {
      this.#lookAll()
        .catch((error: unknown) => onDefect(error, 'processor time'))
        .finally(() => {
          if (!this.#isStopped) this.#plan();
        });
    }, lookMs);
  }

  async #lookAll(): Promise<void> {
    for (const child of [...this.#options.children()]) {
      if (this.#isStopped) return;
      await this.#look(child.getSnapshot());
    }
  }

  async #look({ context }: ChildSnapshot): Promise<void> {
    const { agent, incarnation, beat } = context;
    const { id } = agent.spec;
    const watched = this.#watched.get(id) ?? this.#begin(id);
    if (watched.incarnation !== incarnation) this.#turnTo(watched, incarnation);
    // Gone, or not heard of yet.
    if (beat?.task === undefined) return this.#rest(watched);
    try {
      watched.file ??= await this.#open(beat.task, agent.isolation);
      this.#note(watched, await watched.file.read());
    } catch {
      this.#rest(watched); // It has ended; the next look may find its successor.
    }
    if (this.#isStopped || this.#watched.get(id) !== watched) this.#close(watched);
  }

  #begin(id: string): Watched {
    const watched = { incarnation: 0, file: undefined, earlierTicks: 0, ticks: 0, atMs: 0, use: UNKNOWN };
    this.#watched.set(id, watched);
    return watched;
  }

  #turnTo(watched: Watched, incarnation: number): void {
    this.#rest(watched);
    watched.incarnation = incarnation;
    watched.earlierTicks += watched.ticks;
    watched.ticks = 0;
    watched.atMs = 0;
  }

  #rest(watched: Watched): void {
    this.#close(watched);
    watched.use = { ...watched.use, cpuPercent: undefined };
  }

  #close(watched: Watched): void {
    // Only read from: nothing can be lost by it.
    watched.file?.close().catch(() => {});
    watched.file = undefined;
  }

  #open(task: number, isolation: 'thread' | 'process'): Promise<StatFile> {
    const { openStat = openStatFile } = this.#options;
    return openStat(isolation === 'thread' ? `/proc/self/task/${task}/stat` : `/proc/${task}/stat`);
  }

  #note(watched: Watched, stat: string): void {
    const ticks = ticksIn(stat);
    if (ticks === undefined) return;
    const nowMs = this.#options.clock.monotonicMs();
    const seconds = (ticks - watched.ticks) / TICKS_PER_SECOND;
    const tookMs = nowMs - watched.atMs;
    const isFirst = watched.atMs === 0;
    watched.use = {
      cpuPercent: isFirst || tookMs <= 0 ? undefined : Math.max(0, (seconds * 100_000) / tookMs),
      cpuSeconds: (watched.earlierTicks + ticks) / TICKS_PER_SECOND,
    };
    watched.ticks = ticks;
    watched.atMs = nowMs;
  }
}

function ticksIn(stat: string): number | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[USER_TICKS]) + Number(fields[SYSTEM_TICKS]);
  return Number.isFinite(ticks) ? ticks : undefined;
}

async function openStatFile(path: string): Promise<StatFile> {
  const handle = await open(path, 'r');
  const buffer = Buffer.allocUnsafe(STAT_BYTES_MAX);
  return {
    read: async () => {
      const { bytesRead } = await handle.read(buffer, 0, STAT_BYTES_MAX, 0);
      return buffer.toString('latin1', 0, bytesRead);
    },
    close: () => handle.close(),
  };
}
