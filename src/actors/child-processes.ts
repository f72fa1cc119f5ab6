/**
 * The one way an agent starts programs. Each is the head of a process group of its own, has a small environment that
 * names its agent, is told to the supervisor before it exists, and ends with the agent however that ends: by TERM and
 * then KILL when it closes, by KILL in its exit hook, by the supervisor when it had no chance to, and at the next start
 * when everything was killed. A program started past this would outlive its agent unseen.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { WorkerReport } from '../contract/worker-protocol.ts';
import type { Log } from '../logging/log.ts';
import {
  CHILD_VARIABLE,
  childTokenPrefix,
  readMachineBoot,
  readStartTime,
  writeChildRecord,
} from '../storage/child-record.ts';

/** Its environment is what stands in `env` besides the few variables that every program needs. */
export type ChildOptions = Omit<SpawnOptions, 'detached' | 'env'> & {
  readonly env?: Readonly<Record<string, string>>;
};

export interface ChildProcessesOptions {
  readonly agentId: string;
  /** Real path of the agent's directory. */
  readonly dir: string;
  /** Of the agent's journal: tells its starts apart. */
  readonly boot: number;
  /** How many may run at once. */
  readonly max: number;
  readonly clock: Clock;
  readonly log: Log;
  report(message: WorkerReport): void;
}

export interface ChildProcesses {
  /** As that of `node:child_process`. Throws `child.limit` when too many run, `agent.stopping` once it is closed. */
  spawn(command: string, args?: readonly string[], options?: ChildOptions): ChildProcess;
  count(): number;
  /** TERM to every group, KILL to those that remain after `graceMs`; resolves when no head of a group runs. */
  stop(graceMs: number): Promise<void>;
  /** For an exit hook. */
  killAll(): void;
}

interface Running {
  readonly process: ChildProcess;
  readonly command: string;
  readonly startTime: string | undefined;
}

/** For the kernel to end what got KILL; one that sleeps in a system call may take longer. */
const KILLED_MS = 500;
const ENVIRONMENT = ['PATH', 'HOME', 'TZ', 'LANG', 'TMPDIR'] as const;

export function createChildProcesses(options: ChildProcessesOptions): ChildProcesses {
  return new ProcessGroups(options);
}

interface Origin {
  readonly token: string;
  readonly machineBoot: string | undefined;
}

class ProcessGroups implements ChildProcesses {
  readonly #options: ChildProcessesOptions;
  #origin: Origin | undefined;
  readonly #running = new Map<number, Running>();
  #last = 0;
  #isClosed = false;
  #onEmpty: (() => void) | undefined;

  constructor(options: ChildProcessesOptions) {
    this.#options = options;
  }

  /** Worked out with the first program: most agents never start one, and a hash means loading node:crypto. */
  #from(): Origin {
    const { dir, boot } = this.#options;
    const origin = this.#origin ?? {
      token: `${childTokenPrefix(dir)}${boot}`,
      machineBoot: readMachineBoot(),
    };
    this.#origin = origin;
    return origin;
  }

  spawn(command: string, args: readonly string[] = [], options: ChildOptions = {}): ChildProcess {
    const { agentId, max, log, report } = this.#options;
    if (this.#isClosed)
      throw new AppError('agent.stopping', `${agentId} stops and starts no program any more`);
    if (this.#running.size >= max) {
      const message = `${agentId} has ${max} programs running, as many as limits.child_processes allows; wait for one to end`;
      throw new AppError('child.limit', message, { details: { command, max } });
    }
    this.#last += 1;
    const child = this.#last;
    // Before it exists: whoever finds this file looks for programs with the token.
    this.#record();
    report({ type: 'worker.childStarting', child, command });
    let started: ChildProcess;
    try {
      const env = { ...environment(), ...options.env, [CHILD_VARIABLE]: this.#from().token };
      started = spawn(command, args, { ...options, env, detached: true });
    } catch (error) {
      this.#ended(child);
      throw error;
    }
    const { pid } = started;
    // Before the one with a pid, so that a program which does not exist is not an uncaught error of the agent.
    started.on('error', (error) => {
      log.warn('child.error', { command, pid, error });
      if (pid === undefined) this.#ended(child);
    });
    if (pid === undefined) return started;
    const startTime = readStartTime(pid);
    this.#running.set(child, { process: started, command, startTime });
    this.#record();
    report({ type: 'worker.childStarted', child, pid, startTime });
    log.info('child.start', { command, pid });
    started.once('exit', (code, signal) => {
      // What it left running in its group would be nobody's.
      this.#signal(pid, 'SIGKILL');
      this.#ended(child);
      log.info('child.end', { command, pid, code, signal });
    });
    return started;
  }

  count(): number {
    return this.#running.size;
  }

  async stop(graceMs: number): Promise<void> {
    this.#isClosed = true;
    if (this.#running.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    for (const { process: child } of this.#running.values()) this.#signal(child.pid, 'SIGTERM');
    await this.#within(empty, graceMs);
    if (this.#running.size === 0) return;
    this.killAll();
    await this.#within(empty, KILLED_MS);
  }

  killAll(): void {
    this.#isClosed = true;
    for (const { process: child } of this.#running.values()) this.#signal(child.pid, 'SIGKILL');
  }

  #within(work: Promise<void>, timeMs: number): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      const timer = clock.setTimeout(resolve, timeMs);
      void work.then(() => {
        clock.clearTimeout(timer);
        resolve();
      });
    });
  }

  #ended(child: number): void {
    this.#running.delete(child);
    this.#record();
    this.#options.report({ type: 'worker.childEnded', child });
    if (this.#running.size === 0) this.#onEmpty?.();
  }

  /**
   * Stays when all have ended, as something they started may have left their groups: the supervisor looks for the token,
   * then takes it away. A full disk must not keep programs from being ended: the supervisor has its list too.
   */
  #record(): void {
    const { dir, log } = this.#options;
    const children = [...this.#running.values()].flatMap(({ process: child, startTime }) =>
      child.pid === undefined ? [] : [{ pid: child.pid, startTime }],
    );
    try {
      writeChildRecord(dir, { machineBoot: this.#from().machineBoot, children });
    } catch (error) {
      log.warn('child.record_failed', { error });
    }
  }

  #signal(pid: number | undefined, signal: NodeJS.Signals): void {
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // ESRCH: nobody of the group is left, which is what was wanted.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
        this.#options.log.warn('child.signal_failed', { pid, signal, error });
      }
    }
  }
}

/** Nothing else of the agent's own: what a program needs of it is named by whoever starts it. */
function environment(): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ENVIRONMENT) {
    const value = process.env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}
