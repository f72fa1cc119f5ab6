/**
 * From directories to a running fleet, and back: finds agents, prepares each (configuration, then the directory's lock),
 * hands it to the fleet the moment it is ready, and lets one that cannot be prepared fail alone. Holds the locks until
 * the fleet has stopped. It does not touch the process: how that ends is the host's business, told by `ended`.
 */
import { basename } from 'node:path';
import PQueue from 'p-queue';
import { AppError, type WireError } from '../contract/errors.ts';
import type { AgentState } from '../contract/fleet/agent-states.ts';
import type { DirectoryLock } from '../storage/directory-lock.ts';
import { type ChildSpec, longestDeadlines } from './child-spec.ts';
import type { Discovery } from './discovery.ts';
import { EXIT_CODES, type ExitReason } from './exit-codes.ts';
import type { AgentStatus, Fleet, PreparedAgent } from './fleet.ts';
import type { Report } from './report/report.ts';

/** Directories read at once: enough to keep the disk busy, few enough to start the first agent early. */
const PREPARED_AT_ONCE = 4;

export interface RunDependencies {
  /** `alone`: ids of agents that may have killed the last host. */
  readonly discover: () => Promise<Discovery & { readonly alone?: readonly string[] }>;
  readonly loadAgent: (dir: string) => Promise<{
    readonly prepared: PreparedAgent;
    readonly warnings: readonly WireError[];
  }>;
  readonly lock: (dir: string) => DirectoryLock;
  /** Ends what the agent's programs of an earlier life are, once nobody else can own them. */
  readonly sweep?: (dir: string) => Promise<void>;
  /** Who is started alone now; undefined when that is over. */
  readonly onTrial?: (id: string | undefined) => void;
  /** A trial is over when the agent has lived for this long. */
  readonly lived?: () => Promise<unknown>;
  /** An agent that cannot be ended, while the others are to go on. */
  readonly onWedged?: (status: AgentStatus) => void;
  readonly fleet: Fleet;
  readonly report: Report;
}

/** How a run ended. */
export interface RunEnd {
  readonly reason: ExitReason;
  /** Agents that could not be ended. */
  readonly wedged: readonly string[];
  /** Some agent's thread may still be there: the process can only end by a signal. */
  readonly isHeld: boolean;
}

export interface Run {
  /** Running turns get their time, then everything stops. */
  drain(): void;
  /** Everything ends at once. */
  force(): void;
  /** As `drain`, after a failure nobody foresaw. */
  abandon(): void;
  /** Before this process ends by a signal: agents in processes of their own would outlive it. */
  killProcesses(): void;
  readonly ended: Promise<RunEnd>;
}

export function runAgents(dependencies: RunDependencies): Run {
  const run = new AgentRun(dependencies);
  run.start();
  return run;
}

/** States an agent can leave by itself. */
const ALIVE: ReadonlySet<AgentState> = new Set(['waiting', 'starting', 'running', 'stopping', 'backoff']);
/** States that say nothing yet about how the start went. */
const UNDECIDED: ReadonlySet<AgentState> = new Set(['waiting', 'starting', 'stopping']);

class AgentRun implements Run {
  readonly ended: Promise<RunEnd>;
  readonly #on: RunDependencies;
  readonly #queue = new PQueue({ concurrency: PREPARED_AT_ONCE });
  /** Agents of the fleet, by id. */
  readonly #statuses = new Map<string, AgentStatus>();
  /** Apart from them: a refused one may have the id, even the directory, of one that runs. */
  readonly #refused: AgentStatus[] = [];
  readonly #specs = new Map<string, ChildSpec>();
  readonly #locks: DirectoryLock[] = [];
  readonly #fallbacks = new Set<string>();
  /** Ids as given on the command line: the table is easier to read in that order than in that of preparation. */
  #order: readonly string[] = [];
  #look: () => void = () => {};
  #isPreparing = true;
  #isStopping = false;
  #settled: Promise<void> | undefined;
  #reason: ExitReason = 'ok';
  #resolveEnded: (end: RunEnd) => void = () => {};

  constructor(dependencies: RunDependencies) {
    this.#on = dependencies;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    dependencies.fleet.subscribe((event) => {
      if (event.type === 'agent.warning') dependencies.report.warning(event.warning, event.id);
      else if (event.type === 'agent.incident') dependencies.report.incident(event.incident, event.id);
      else this.#changed(event.agent);
    });
  }

  start(): void {
    this.#prepareAll().catch((error: unknown) => {
      this.#on.report.defect(error);
      this.abandon();
    });
  }

  drain(): void {
    this.#stop('ok', false);
  }

  force(): void {
    this.#stop('forced', true);
  }

  abandon(): void {
    this.#stop('defect', false);
  }

  killProcesses(): void {
    this.#on.fleet.killProcesses();
  }

  async #prepareAll(): Promise<void> {
    const { report } = this.#on;
    const found = await this.#on.discover();
    this.#order = found.agents.map((agent) => agent.id);
    report.expect(this.#order);
    for (const dir of found.created) report.created(dir);
    for (const { dir, error } of found.refused) this.#refuse(dir, error);
    // Not awaited one by one: an agent starts while the next one's configuration is still being read.
    const alone = found.agents.filter(({ id }) => found.alone?.includes(id));
    for (const agent of found.agents) {
      if (alone.includes(agent)) continue;
      this.#queue.add(() => this.#prepare(agent.dir)).catch((error: unknown) => report.defect(error));
    }
    await this.#queue.onIdle();
    await this.#tryEach(alone);
    this.#isPreparing = false;
    this.#check();
  }

  /** One after the other, when all others have started: whoever kills the host then is known. */
  async #tryEach(suspects: readonly { readonly id: string; readonly dir: string }[]): Promise<void> {
    if (suspects.length === 0) return;
    await this.#until(() => [...this.#statuses.values()].every(({ state }) => !UNDECIDED.has(state)));
    for (const { id, dir } of suspects) {
      if (this.#isStopping) return;
      this.#on.onTrial?.(id);
      await this.#prepare(dir);
      await this.#until(() => !UNDECIDED.has(this.#statuses.get(id)?.state ?? 'refused'));
      if (this.#statuses.get(id)?.state === 'running' && !this.#isStopping) await this.#on.lived?.();
    }
    this.#on.onTrial?.(undefined);
  }

  /** Looked at with each change; a stop ends all waiting. */
  #until(isTrue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#look = () => {
        if (!isTrue() && !this.#isStopping) return;
        this.#look = () => {};
        resolve();
      };
      this.#look();
    });
  }

  async #prepare(dir: string): Promise<void> {
    if (this.#isStopping) return;
    const { loadAgent, lock, sweep, fleet, report } = this.#on;
    try {
      const { prepared, warnings } = await loadAgent(dir);
      if (this.#isStopping) return;
      this.#locks.push(lock(dir));
      await sweep?.(prepared.spec.dir);
      if (this.#isStopping) return;
      for (const warning of warnings) report.warning(warning, prepared.spec.id);
      this.#statuses.set(prepared.spec.id, waiting(prepared));
      this.#specs.set(prepared.spec.id, prepared.spec);
      fleet.add(prepared);
    } catch (error) {
      if (!AppError.is(error)) report.defect(error);
      this.#refuse(dir, AppError.toWire(error));
    }
  }

  #refuse(dir: string, reason: WireError): void {
    const status = refused(dir, reason);
    this.#refused.push(status);
    this.#on.report.agent(status);
  }

  #changed(status: AgentStatus): void {
    const before = this.#statuses.get(status.id);
    this.#statuses.set(status.id, status);
    this.#on.report.agent(status);
    if (status.transportNote !== undefined) this.#warnOfFallback(status.transportNote);
    if (status.state === 'wedged' && before?.state !== 'wedged' && !this.#isStopping) {
      this.#on.onWedged?.(status);
    }
    this.#look();
    if (before?.state !== status.state) this.#check();
  }

  /** Once, not for each of fifty agents that load the same library. */
  #warnOfFallback(note: string): void {
    if (this.#fallbacks.has(note)) return;
    this.#fallbacks.add(note);
    this.#on.report.warning({ code: 'transport.fallback', message: note }, undefined);
  }

  #check(): void {
    if (this.#isPreparing || this.#isStopping) return;
    const statuses = this.#order.flatMap((id) => this.#statuses.get(id) ?? []);
    if (this.#settled === undefined && statuses.every(({ state }) => !UNDECIDED.has(state))) {
      this.#settled = this.#on.report
        .settled([...statuses, ...this.#refused], longestDeadlines([...this.#specs.values()]))
        .catch((error: unknown) => this.#on.report.defect(error));
    }
    if (statuses.some(({ state }) => ALIVE.has(state))) return;
    const isOk = statuses.length > 0 && statuses.every(({ state }) => state === 'stopped');
    this.#stop(isOk ? 'ok' : 'noAgent', false);
  }

  #stop(reason: ExitReason, force: boolean): void {
    // The worse reason stays: a drain that had to be forced was forced.
    if (EXIT_CODES[reason].code > EXIT_CODES[this.#reason].code) this.#reason = reason;
    if (this.#isStopping && !force) return;
    this.#isStopping = true;
    this.#queue.clear();
    this.#look();
    this.#end(force).catch((error: unknown) => {
      this.#on.report.defect(error);
      this.#resolveEnded({ reason: 'defect', wedged: [], isHeld: true });
    });
  }

  async #end(force: boolean): Promise<void> {
    const { wedged } = await this.#on.fleet.shutdown({ force });
    await this.#settled;
    for (const lock of this.#locks.splice(0)) lock.release();
    const isHeld = wedged.length > 0;
    this.#resolveEnded({ reason: isHeld ? 'forced' : this.#reason, wedged, isHeld });
  }
}

function waiting(agent: PreparedAgent): AgentStatus {
  return {
    ...UNKNOWN,
    id: agent.spec.id,
    dir: agent.spec.dir,
    name: agent.settings.name,
    state: 'waiting',
    isolation: agent.isolation,
  };
}

function refused(dir: string, reason: WireError): AgentStatus {
  return { ...UNKNOWN, id: basename(dir), dir, state: 'refused', reason };
}

const UNKNOWN = {
  name: undefined,
  reason: undefined,
  host: undefined,
  port: undefined,
  model: undefined,
  transport: undefined,
  transportNote: undefined,
  isolation: undefined,
  restarts: 0,
  restartInMs: undefined,
  beat: undefined,
  children: 0,
} as const;
