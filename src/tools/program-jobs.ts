/**
 * Programs that tools have started: each without a shell, in a process group of its own, belonging to one session, with
 * a bound on its time and on what is kept of its output. They end with the agent, by whoever gave `spawn`.
 */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { StringDecoder } from 'node:string_decoder';
import type { Clock, TimerHandle } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import { ProgramOutput } from './program-output.ts';

/** Starts it as the head of a process group, with a small environment. */
export type SpawnProgram = (
  command: string,
  args: readonly string[],
  options: Pick<SpawnOptions, 'stdio' | 'cwd'>,
) => ChildProcess;

export interface ProgramPlan {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly sessionId: string | number | null;
  readonly timeoutMs: number;
}

export interface JobsOptions {
  readonly spawn: SpawnProgram;
  readonly clock: Clock;
  readonly outputChars: number;
}

export type JobEnd =
  | { readonly reason: 'exit'; readonly code: number | null; readonly signal: string | null }
  | { readonly reason: 'timeout' | 'killed' | 'flood' }
  | { readonly reason: 'failed'; readonly error: Error };

const RUNNING_MAX = 8;
const ENDED_KEPT = 16;
const TERM_MS = 2_000;
/** For what was printed last to arrive. */
const CLOSE_MS = 500;
/** Printed in all: more than that nobody reads, and each piece costs the agent time. */
const PRINTED_CHARS = 64 * 1024 * 1024;

export class Job {
  readonly id: string;
  readonly plan: ProgramPlan;
  readonly output: ProgramOutput;
  /** Undefined: it runs. */
  end: JobEnd | undefined;
  readonly ended: Promise<JobEnd>;
  readonly #clock: Clock;
  readonly #child: ChildProcess;
  readonly #listeners = new Set<() => void>();
  #settle: (end: JobEnd) => void = () => {};
  #why: JobEnd | undefined;
  #deadline: TimerHandle;
  #killing: TimerHandle;

  constructor(id: string, plan: ProgramPlan, { spawn, clock, outputChars }: JobsOptions) {
    this.id = id;
    this.plan = plan;
    this.#clock = clock;
    this.output = new ProgramOutput(outputChars);
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
    const { command, args, cwd, timeoutMs } = plan;
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], cwd });
    this.#follow();
    this.#deadline = clock.setTimeout(() => this.#stop({ reason: 'timeout' }), timeoutMs);
  }

  /** False: it does not read any more. */
  write(text: string, isEnd: boolean): boolean {
    const { stdin } = this.#child;
    if (this.end !== undefined || stdin === null || !stdin.writable) return false;
    if (text !== '') stdin.write(text);
    if (isEnd) stdin.end();
    return true;
  }

  kill(): void {
    this.#stop({ reason: 'killed' });
  }

  /** Something was printed behind that position, or it has ended, or the time is over. */
  changed(position: number, timeMs: number, signal: AbortSignal): Promise<void> {
    if (this.end !== undefined || this.output.end > position) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const finish = (): void => {
        this.#clock.clearTimeout(timer);
        this.#listeners.delete(finish);
        signal.removeEventListener('abort', finish);
        if (signal.aborted) reject(signal.reason);
        else resolve();
      };
      const timer = this.#clock.setTimeout(finish, timeMs);
      this.#listeners.add(finish);
      signal.addEventListener('abort', finish, { once: true });
    });
  }

  #follow(): void {
    const child = this.#child;
    for (const stream of [child.stdout, child.stderr]) {
      const decoder = new StringDecoder('utf8');
      stream?.on('data', (piece: Buffer) => this.#printed(decoder.write(piece)));
      // It has ended: told by `exit`.
      stream?.on('error', () => undefined);
    }
    child.stdin?.on('error', () => undefined); // It does not read any more: nobody has to.
    child.once('error', (error) => {
      if (child.pid === undefined) this.#finish({ reason: 'failed', error });
    });
    child.once('exit', (code, signal) => {
      const end: JobEnd = this.#why ?? { reason: 'exit', code, signal };
      // Something that left the group may hold the pipes open for ever.
      const timer = this.#clock.setTimeout(() => this.#finish(end), CLOSE_MS);
      child.once('close', () => {
        this.#clock.clearTimeout(timer);
        this.#finish(end);
      });
    });
  }

  #printed(text: string): void {
    this.output.add(text);
    if (this.output.end > PRINTED_CHARS) this.#stop({ reason: 'flood' });
    this.#tell();
  }

  #stop(why: JobEnd): void {
    if (this.end !== undefined || this.#why !== undefined) return;
    this.#why = why;
    this.#signal('SIGTERM');
    this.#killing = this.#clock.setTimeout(() => this.#signal('SIGKILL'), TERM_MS);
  }

  /** Only while its head runs: later the number may be that of somebody else's group. */
  #signal(signal: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // It has ended by itself meanwhile.
    }
  }

  #finish(end: JobEnd): void {
    if (this.end !== undefined) return;
    this.end = end;
    this.#clock.clearTimeout(this.#deadline);
    this.#clock.clearTimeout(this.#killing);
    this.#settle(end);
    this.#tell();
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

export class ProgramJobs {
  readonly #options: JobsOptions;
  #jobs: Job[] = [];
  #last = 0;

  constructor(options: JobsOptions) {
    this.#options = options;
  }

  /** Throws `child.limit` when too many run. */
  start(plan: ProgramPlan): Job {
    const running = this.#jobs.filter(({ end }) => end === undefined);
    if (running.length >= RUNNING_MAX) {
      const message = `${RUNNING_MAX} programs run already: wait for one to end, or end one with shell_kill`;
      throw new AppError('child.limit', message);
    }
    this.#last += 1;
    const job = new Job(`job-${this.#last}`, plan, this.#options);
    const ended = this.#jobs.filter(({ end }) => end !== undefined).slice(-ENDED_KEPT);
    this.#jobs = [...this.#jobs.filter((each) => each.end === undefined || ended.includes(each)), job];
    return job;
  }

  /** Only those of the session: another one may belong to somebody else. */
  of(sessionId: string | number | null): readonly Job[] {
    return this.#jobs.filter(({ plan }) => plan.sessionId === sessionId);
  }
}
