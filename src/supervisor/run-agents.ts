/**
 * From directories to a running fleet, and back: finds agents, prepares each (configuration, then the directory's lock),
 * hands it to the fleet the moment it is ready, and lets one that cannot be prepared fail alone. Holds the locks until
 * the fleet has stopped. It does not touch the process: how that ends is the host's business, told by `ended`.
 */
import PQueue from 'p-queue';
import { AppError, type WireError } from '../contract/errors.ts';
import type { AgentState } from '../contract/fleet/agent-states.ts';
import type { DirectoryLock } from '../storage/directory-lock.ts';
import { type ChildSpec, longestDeadlines } from './child-spec.ts';
import type { Discovery } from './discovery.ts';
import { refusedStatus, waitingStatus } from './early-statuses.ts';
import { EXIT_CODES, type ExitReason } from './exit-codes.ts';
import type { AgentStatus, Fleet, FleetEvent, PreparedAgent } from './fleet.ts';
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
  /** A directory that somebody wants to add, if it may be: `present` are those that are supervised, by real path. */
  readonly find?: (
    dir: string,
    present: readonly { readonly id: string; readonly dir: string }[],
  ) => Promise<{ readonly id: string; readonly dir: string }>;
  /** A directory came to the run that goes on, by command or by a pattern. */
  readonly onAdded?: (dir: string) => void;
  /** Once, when every agent of the command line has started or failed for the first time. */
  readonly onSettled?: () => void;
  /** Whether somebody could still add an agent, or start one that was stopped. */
  readonly isOpen?: () => boolean;
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
  /** Every agent as it is now, in the order of the command line; those that were refused come last. */
  agents(): readonly AgentStatus[];
  /**
   * Supervises one more directory, which is not created; resolves before it has started. Rejects with what would refuse
   * it at the start. `isListed`: it is shown as refused then.
   */
  add(dir: string, options?: { readonly isListed?: boolean }): Promise<AgentStatus>;
  /**
   * Resolves when it is gone and its directory is free. A run whose last agent was stopped or removed by command goes on
   * while `isOpen`; it ends by itself only when all of its agents have ended or failed by themselves.
   */
  remove(id: string): Promise<void>;
  /** Lists a refused directory no longer. */
  dismiss(dir: string): void;
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
const ALIVE: ReadonlySet<AgentState> = new Set([
  'waiting',
  'starting',
  'running',
  'hung',
  'stalled',
  'stopping',
  'backoff',
]);
/** States that say nothing yet about how the start went. */
const UNDECIDED: ReadonlySet<AgentState> = new Set(['waiting', 'starting', 'stopping']);

class AgentRun implements Run {
  readonly ended: Promise<RunEnd>;
  readonly #on: RunDependencies;
  readonly #queue = new PQueue({ concurrency: PREPARED_AT_ONCE });
  /** Agents of the fleet, by id. */
  readonly #statuses = new Map<string, AgentStatus>();
  /** Apart from them: a refused one may have the id, even the directory, of one that runs. */
  #refused: readonly AgentStatus[] = [];
  readonly #specs = new Map<string, ChildSpec>();
  readonly #locks = new Map<string, DirectoryLock>();
  /** One after the other, and after those of the command line: two may have the same id. */
  readonly #additions = new PQueue({ concurrency: 1, autoStart: false });
  readonly #fallbacks = new Set<string>();
  /** Ids as given on the command line: the table is easier to read in that order than in that of preparation. */
  #order: readonly string[] = [];
  #look: () => void = () => {};
  #isPreparing = true;
  #isStopping = false;
  /** Stopped by somebody's wish, and not started since. */
  readonly #resting = new Set<string>();
  #wasRemoved = false;
  #settled: Promise<void> | undefined;
  #reason: ExitReason = 'ok';
  #resolveEnded: (end: RunEnd) => void = () => {};

  constructor(dependencies: RunDependencies) {
    this.#on = dependencies;
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    dependencies.fleet.subscribe((event) => this.#heard(event));
  }

  start(): void {
    this.#prepareAll().catch((error: unknown) => {
      this.#on.report.defect(error);
      this.abandon();
    });
  }

  agents(): readonly AgentStatus[] {
    return [...this.#inOrder(), ...this.#refused];
  }

  async add(dir: string, { isListed = false } = {}): Promise<AgentStatus> {
    const added = await this.#additions.add(() => this.#addOne(dir, isListed));
    if (added === undefined) throw isEnding();
    return added;
  }

  async remove(id: string): Promise<void> {
    if (this.#statuses.has(id)) {
      // It stops before it is gone: that must not be taken for the end of all.
      this.#resting.add(id);
      return this.#on.fleet.remove(id);
    }
    const refused = this.#refused.find((status) => status.id === id);
    if (!refused) throw new AppError('agent.not_found', `There is no agent ${id}`);
    this.dismiss(refused.dir);
  }

  dismiss(dir: string): void {
    this.#refused = this.#refused.filter((status) => status.dir !== dir);
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
    this.#additions.start();
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
    try {
      await this.#take(dir);
    } catch (error) {
      if (!AppError.is(error)) this.#on.report.defect(error);
      this.#refuse(dir, AppError.toWire(error));
    }
  }

  /** Undefined when the run has begun to end meanwhile. */
  async #take(dir: string): Promise<PreparedAgent | undefined> {
    if (this.#isStopping) return undefined;
    const { loadAgent, lock, sweep, fleet, report } = this.#on;
    const { prepared, warnings } = await loadAgent(dir);
    if (this.#isStopping) return undefined;
    const { id, dir: realDir } = prepared.spec;
    const held = lock(dir);
    this.#locks.set(id, held);
    try {
      await sweep?.(realDir);
    } catch (error) {
      this.#locks.delete(id);
      held.release();
      throw error;
    }
    if (this.#isStopping) return undefined;
    for (const warning of warnings) report.warning(warning, id);
    this.#statuses.set(id, waitingStatus(prepared));
    this.#specs.set(id, prepared.spec);
    fleet.add(prepared);
    return prepared;
  }

  async #addOne(dir: string, isListed: boolean): Promise<AgentStatus> {
    const { find, report } = this.#on;
    if (this.#isStopping || !find) throw isEnding();
    try {
      const found = await find(dir, [...this.#statuses.values()]);
      report.expect([found.id]);
      const prepared = await this.#take(found.dir);
      if (prepared === undefined) throw isEnding();
      const { id } = prepared.spec;
      this.#order = [...this.#order.filter((known) => known !== id), id];
      this.#refused = this.#refused.filter((status) => status.dir !== found.dir && status.dir !== dir);
      report.added(id, found.dir);
      this.#on.onAdded?.(found.dir);
      return this.#statuses.get(id) ?? waitingStatus(prepared);
    } catch (error) {
      if (isListed && AppError.is(error) && !this.#isStopping) {
        this.dismiss(dir);
        this.#refuse(dir, AppError.toWire(error));
      }
      throw error;
    }
  }

  #refuse(dir: string, reason: WireError): void {
    const status = refusedStatus(dir, reason);
    this.#refused = [...this.#refused, status];
    this.#on.report.agent(status);
  }

  #heard(event: FleetEvent): void {
    const { report } = this.#on;
    switch (event.type) {
      case 'agent.changed':
        return this.#changed(event.agent);
      case 'agent.warning':
        return report.warning(event.warning, event.id);
      case 'agent.incident':
        return report.incident(event.incident, event.id);
      case 'agent.removed':
        return this.#removed(event.id, event.dir);
      case 'agent.commanded':
        if (event.command === 'stop') this.#resting.add(event.id);
        else this.#resting.delete(event.id);
        return;
      case 'config.applied':
      case 'config.invalid':
        return report.config(event, event.id);
      case 'agent.added':
        return;
    }
  }

  #removed(id: string, dir: string): void {
    this.#locks.get(id)?.release();
    this.#locks.delete(id);
    this.#statuses.delete(id);
    this.#specs.delete(id);
    this.#order = this.#order.filter((known) => known !== id);
    this.#resting.delete(id);
    this.#wasRemoved = true;
    this.#on.report.removed(id, dir);
    this.#look();
    this.#check();
  }

  #inOrder(): readonly AgentStatus[] {
    return this.#order.flatMap((id) => this.#statuses.get(id) ?? []);
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
    const statuses = this.#inOrder();
    if (this.#settled === undefined && statuses.every(({ state }) => !UNDECIDED.has(state))) {
      this.#settled = this.#on.report
        .settled([...statuses, ...this.#refused], longestDeadlines([...this.#specs.values()]))
        .catch((error: unknown) => this.#on.report.defect(error));
      this.#on.onSettled?.();
    }
    if (statuses.some(({ state }) => ALIVE.has(state))) return;
    const isByWish = this.#wasRemoved || this.#resting.size > 0;
    if (isByWish && this.#on.isOpen?.()) return;
    const isOk = statuses.length > 0 && statuses.every(({ state }) => state === 'stopped');
    this.#stop(isOk ? 'ok' : 'noAgent', false);
  }

  #stop(reason: ExitReason, force: boolean): void {
    // The worse reason stays: a drain that had to be forced was forced.
    if (EXIT_CODES[reason].code > EXIT_CODES[this.#reason].code) this.#reason = reason;
    if (this.#isStopping && !force) return;
    this.#isStopping = true;
    this.#queue.clear();
    // What waits in it is told that this is the end.
    this.#additions.start();
    this.#look();
    this.#end(force).catch((error: unknown) => {
      this.#on.report.defect(error);
      this.#resolveEnded({ reason: 'defect', wedged: [], isHeld: true });
    });
  }

  async #end(force: boolean): Promise<void> {
    const { wedged } = await this.#on.fleet.shutdown({ force });
    await this.#settled;
    for (const lock of this.#locks.values()) lock.release();
    this.#locks.clear();
    const isHeld = wedged.length > 0;
    this.#resolveEnded({ reason: isHeld ? 'forced' : this.#reason, wedged, isHeld });
  }
}

function isEnding(): AppError {
  return new AppError('agent.action_refused', 'The supervisor is ending; no agent can be added');
}
