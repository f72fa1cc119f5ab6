/**
 * Watches what one incarnation holds, also while it gives no sign of life: whoever fills the memory in a loop sends no
 * heartbeat. It belongs to the host of a worker, which alone can look into that thread or process, and costs nothing
 * where no limit is set.
 */
import { readFileSync } from 'node:fs';
import type { Clock } from '../contract/clock.ts';
import type { WireError } from '../contract/errors.ts';
import type { Heartbeat, MemoryUse, WorkerReport } from '../contract/worker-protocol.ts';
import type { ChildSpec } from './child-spec.ts';
import { createMemoryJudge, type MemoryVerdict } from './memory-watch.ts';

/** Made by the host of a worker, never sent by it. */
export type WorkerMemory = { readonly type: 'memory.soft' | 'memory.hard'; readonly error: WireError };

export interface MemorySampler {
  note(report: WorkerReport): void;
  stop(): void;
}

export interface MemorySamplerOptions {
  readonly spec: ChildSpec;
  readonly clock: Clock;
  /** What it holds now, asked for while heartbeats are missing. Undefined when that cannot be known. */
  read(): Promise<number | undefined>;
  /** What it holds by its own account, or a better measure of it. */
  toBytes(memory: MemoryUse): number;
  report(event: WorkerMemory | Extract<WorkerReport, { type: 'worker.warning' }>): void;
}

const LOOK_MS = 250;
/** Without a heartbeat for this long it is looked at from outside. */
const SILENT_MS = 1_500;
/** Pause after a question that was not answered: asking keeps the inspector from all others. */
const UNANSWERED_MS = 2_000;
const MB = 1024 * 1024;

export function createMemorySampler(options: MemorySamplerOptions): MemorySampler {
  const { memorySoftBytes, memoryHardBytes } = options.spec;
  if (memorySoftBytes === undefined && memoryHardBytes === undefined)
    return { note: () => {}, stop: () => {} };
  return new Sampler(options);
}

class Sampler implements MemorySampler {
  readonly #options: MemorySamplerOptions;
  readonly #judge;
  #timer: unknown;
  #readyMs = 0;
  #beatMs = 0;
  #isReading = false;
  #askAgainMs = 0;
  #isStopped = false;

  constructor(options: MemorySamplerOptions) {
    this.#options = options;
    const { memorySoftBytes, memoryHardBytes, stableMs } = options.spec;
    this.#judge = createMemoryJudge({ softBytes: memorySoftBytes, hardBytes: memoryHardBytes, stableMs });
  }

  note(report: WorkerReport): void {
    if (this.#isStopped) return;
    if (report.type === 'worker.ready') {
      this.#readyMs = this.#options.clock.monotonicMs();
      this.#beatMs = this.#readyMs;
      this.#plan();
    } else if (report.type === 'worker.heartbeat' && this.#timer !== undefined) {
      this.#beatMs = this.#options.clock.monotonicMs();
      this.#judgeBeat(report.beat);
    }
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== undefined) this.#options.clock.clearTimeout(this.#timer);
  }

  #plan(): void {
    const { clock } = this.#options;
    if (this.#timer !== undefined) clock.clearTimeout(this.#timer);
    this.#timer = clock.setTimeout(() => {
      if (this.#isStopped) return;
      this.#plan();
      const nowMs = clock.monotonicMs();
      const isDue = nowMs - this.#beatMs >= SILENT_MS && nowMs >= this.#askAgainMs;
      if (isDue && !this.#isReading) this.#readSilent();
    }, LOOK_MS);
  }

  #readSilent(): void {
    this.#isReading = true;
    void this.#options
      .read()
      .catch(() => undefined) // It has ended or does not answer: there is nothing to be known.
      .then((usedBytes) => {
        this.#isReading = false;
        if (usedBytes === undefined) this.#askAgainMs = this.#options.clock.monotonicMs() + UNANSWERED_MS;
        else this.#look(usedBytes, { isBeat: false, isIdle: false });
      });
  }

  #judgeBeat({ memory, turnsRunning, turnsWaiting }: Heartbeat): void {
    const isIdle = turnsRunning === 0 && turnsWaiting === 0;
    this.#look(this.#options.toBytes(memory), { isBeat: true, isIdle });
  }

  #look(usedBytes: number, seen: { readonly isBeat: boolean; readonly isIdle: boolean }): void {
    if (this.#isStopped) return;
    const ageMs = this.#options.clock.monotonicMs() - this.#readyMs;
    const verdict = this.#judge.look({ ageMs, usedBytes, ...seen });
    if (verdict === 'fine') return;
    const error = toError(verdict, usedBytes, this.#options.spec);
    if (verdict === 'futile') this.#options.report({ type: 'worker.warning', warning: error });
    else this.#options.report({ type: `memory.${verdict}`, error });
  }
}

function toError(verdict: Exclude<MemoryVerdict, 'fine'>, usedBytes: number, spec: ChildSpec): WireError {
  const [key, limitBytes] =
    verdict === 'hard' ? ['memory_hard_mb', spec.memoryHardBytes] : ['memory_soft_mb', spec.memorySoftBytes];
  const limitMb = Math.round((limitBytes ?? 0) / MB);
  const then = {
    futile: 'as it has since its start, so a restart would not help; raise the limit',
    soft: 'it is restarted',
    hard: 'it was ended at once',
  }[verdict];
  const held = `The agent holds ${Math.ceil(usedBytes / MB)} MB, more than supervisor.${key} (${limitMb})`;
  return { code: 'agent.memory', message: `${held}; ${then}`, details: { usedBytes, limitBytes } };
}

/** Pages of a process that are in memory, its shared ones too. Undefined where there is no /proc. */
export function readResidentBytes(pid: number | undefined): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined; // no /proc, or it has ended
  }
}
