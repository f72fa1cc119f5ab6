/**
 * Puts the supervision core together: machines, hosts, start slots, ports; and shows it to the rest of the host process
 * as a `Fleet`. Nothing else talks to the machines.
 */
import { createActor, fromCallback } from 'xstate';
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { AgentState } from '../contract/fleet/agent-states.ts';
import { WORKER_PROTOCOL, type WorkerInit } from '../contract/worker-protocol.ts';
import { createSumsKeeper, type SumsKeeper } from './agent-sums.ts';
import { childMachine } from './child.machine.ts';
import { type ChildSnapshot, toStatus } from './child-facts.ts';
import type { ChildPast } from './child-spec.ts';
import { type CpuWatch, startCpuWatch } from './cpu-watch.ts';
import type {
  AgentCommand,
  AgentStatus,
  ConfigOutcome,
  ConfigStatus,
  Fleet,
  FleetEvent,
  PreparedAgent,
} from './fleet.ts';
import { startHangWatch } from './hang-watch.ts';
import type { AnswerQuestion } from './host-questions.ts';
import { recordIncident } from './incidents.ts';
import { createInterrupter } from './interrupt.ts';
import { createPortRegistry, type PortOwner, type PortRegistry } from './ports.ts';
import { createStartSlots } from './start-slots.ts';
import { type ChildActor, supervisorMachine } from './supervisor.machine.ts';
import type { WorkerActorEvent, WorkerActorInput, WorkerHostOptions } from './worker-host.ts';
import { hostProcess } from './worker-process.ts';
import { hostThread } from './worker-thread.ts';

/** Of an agent's start timeout. */
const WRITER_WAIT_SHARE = 0.8;

export interface FleetOptions {
  /** Absolute path or `file:` URL of the agent's entry. */
  readonly entry: string;
  readonly clock: Clock;
  /** In [0, 1), for the jitter of restarts. */
  readonly random: () => number;
  /** How many agents may be between spawn and ready. */
  readonly startConcurrency: number;
  readonly heartbeatMs: number;
  readonly version: string;
  /** Of this life of the host; see `WorkerInit`. */
  readonly hostBoot?: string;
  /** What the next life of the host should know of an agent; may be called without news. */
  onRecord?(id: string, past: ChildPast): void;
  /** It is supervised no more. */
  onForget?(id: string): void;
  /**
   * Reads an agent's configuration again before each start after its first. An AppError it rejects with is the reason
   * why the agent does not start.
   */
  readonly prepareAgain?: (agent: PreparedAgent) => Promise<PreparedAgent>;
  onOutput(id: string, line: string): void;
  /** Answers what agents ask; what it rejects with is their answer, a defect as `internal`. */
  readonly onQuestion?: AnswerQuestion;
  onDefect(error: unknown, where: string): void;
}

export function startFleet(options: FleetOptions): Fleet {
  const ports = createPortRegistry(options.onDefect);
  const children = () => supervisor.getSnapshot().context.agents.values();
  const { clock, heartbeatMs, onDefect } = options;
  const watch = startHangWatch({ clock, heartbeatMs, children });
  const cpu = startCpuWatch({ clock, children });
  const board = createBoard(ports, cpu, options);
  const supervisor = createSupervisor(options, ports, watch.noteVitals);
  const ended = whenEnded(supervisor, onDefect, [watch, cpu]);
  supervisor.start();
  const isSupervising = () => supervisor.getSnapshot().value === 'supervising';
  const childOf = (id: string) => supervisor.getSnapshot().context.agents.get(id);
  const remove = createRemoval(supervisor, (child) => {
    watch.forget(child.getSnapshot().context.agent.spec.id);
    board.forget(child);
  });

  return {
    add: (agent) => {
      if (childOf(agent.spec.id) || !isSupervising()) return;
      ports.add(toPortOwner(agent));
      supervisor.send({ type: 'agent.added', agent });
      const child = childOf(agent.spec.id);
      if (child) board.watch(child);
    },
    remove,
    command: (id, command) => {
      const child = childOf(id);
      if (!isSupervising() || !child || supervisor.getSnapshot().context.leaving.has(id)) return false;
      if (!child.getSnapshot().can({ type: command })) return isAlready(command, board.stateOf(id));
      board.tell({ type: 'agent.commanded', id, command });
      supervisor.send({ type: 'agent.command', id, command });
      return true;
    },
    respec: (id, spec) => childOf(id)?.send({ type: 'spec.changed', spec }),
    configChanged: (id, outcome) => {
      const child = childOf(id);
      if (child) board.tell({ ...outcome, id });
      child?.send({ type: 'config.noted', config: toConfigStatus(outcome, clock.wallMs()) });
    },
    agents: board.statuses,
    notify: (id, notice) => {
      const worker = childOf(id)?.getSnapshot().children.worker;
      worker?.send({ type: 'host.notice', notice });
      return worker !== undefined;
    },
    shutdown: ({ force }) => {
      if (supervisor.getSnapshot().status === 'active') supervisor.send({ type: 'shutdown', force });
      return ended;
    },
    killProcesses: () => {
      for (const child of children()) killProcessesOf(child.getSnapshot());
    },
    subscribe: board.subscribe,
  };
}

function killProcessesOf({ context, children }: ChildSnapshot): void {
  // What agents started is in groups of its own, and would outlive this process.
  children.worker?.send({ type: 'killChildren' });
  if (context.agent.isolation === 'process') children.worker?.send({ type: 'terminate' });
}

type Defect = FleetOptions['onDefect'];

/** Whoever asks while it is on its way waits for the same end: it is told once. */
function createRemoval(supervisor: SupervisorActor, forget: (child: ChildActor) => void): Fleet['remove'] {
  const removals = new Map<string, Promise<void>>();
  return async (id) => {
    const child = supervisor.getSnapshot().context.agents.get(id);
    const known = removals.get(id);
    if (known) return known;
    if (!child) throw new AppError('agent.not_found', `There is no agent ${id}`);
    const removal = removed(supervisor, id)
      .then(() => forget(child))
      .finally(() => removals.delete(id));
    removals.set(id, removal);
    return removal;
  };
}

/** Asks for it, and waits until the supervisor has forgotten it or has given up on that. */
function removed(supervisor: SupervisorActor, id: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const look = (): boolean => {
      const { context, status } = supervisor.getSnapshot();
      if (context.agents.has(id) && context.leaving.has(id) && status === 'active') return false;
      if (!context.agents.has(id)) resolve();
      else {
        const isEnding = status !== 'active' || supervisor.getSnapshot().value !== 'supervising';
        const why = isEnding ? 'the supervisor is ending' : 'it does not end, whatever is tried';
        reject(new AppError('agent.action_refused', `${id} cannot be removed: ${why}`));
      }
      return true;
    };
    supervisor.send({ type: 'agent.removed', id });
    if (look()) return;
    const subscription = supervisor.subscribe({
      next: () => look() && subscription.unsubscribe(),
      complete: look,
      error: reject,
    });
  });
}

/** What it is in the middle of, or has long been. */
const ALREADY: Readonly<Record<AgentCommand, readonly (AgentState | undefined)[]>> = {
  start: ['waiting', 'starting', 'running', 'hung', 'stalled', 'stopping'],
  stop: ['stopped'],
  restart: ['waiting'],
  release: [],
};

function isAlready(command: AgentCommand, state: AgentState | undefined): boolean {
  return ALREADY[command].includes(state);
}

function toConfigStatus(outcome: ConfigOutcome, atMs: number): ConfigStatus {
  if (outcome.type === 'config.invalid') {
    return { state: 'invalid', changedAtMs: atMs, problem: outcome.problem };
  }
  const state = outcome.how === 'restart' ? 'restarting' : 'ok';
  return { state, changedAtMs: atMs, problem: undefined };
}

function whenEnded(supervisor: SupervisorActor, onDefect: Defect, watches: readonly { stop(): void }[]) {
  const ended = new Promise<{ readonly wedged: readonly string[] }>((resolve, reject) => {
    supervisor.subscribe({
      complete: () => resolve(supervisor.getSnapshot().output ?? { wedged: [] }),
      error: (error) => {
        onDefect(error, 'supervisor');
        reject(error);
      },
    });
  }).finally(() => {
    for (const each of watches) each.stop();
  });
  // Whoever shuts down awaits it; until then a failure is reported where it happened.
  ended.catch(() => {});
  return ended;
}

function createAnnouncer(onDefect: Defect) {
  const listeners = new Set<(event: FleetEvent) => void>();
  return {
    tell: (event: FleetEvent): void => {
      for (const listener of listeners) {
        try {
          listener(event);
        } catch (error) {
          onDefect(error, 'fleet listener');
        }
      }
    },
    subscribe: (listener: (event: FleetEvent) => void) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/** What is known of every agent, also after its end, and who is told when it changes. */
function createBoard(
  ports: PortRegistry,
  cpu: CpuWatch,
  { clock, onDefect, onRecord, onForget }: FleetOptions,
) {
  const { tell, subscribe } = createAnnouncer(onDefect);
  const statuses = new Map<string, AgentStatus>();
  const keepers = new Map<string, SumsKeeper>();

  function note(child: ChildActor): void {
    const seen = toStatus(child.getSnapshot());
    const { id, incarnation, beat } = seen;
    const keeper = keepers.get(id) ?? createSumsKeeper();
    keepers.set(id, keeper);
    const status = { ...seen, ...cpu.of(id), sums: keeper.note(incarnation, beat) };
    const previous = statuses.get(id);
    statuses.set(id, status);
    if (previous && isSameButBeat(previous, status)) return;
    keepPorts(ports, child, previous, status);
    onRecord?.(id, toPast(child.getSnapshot(), clock));
    if (!previous) tell({ type: 'agent.added', agent: status });
    tell({ type: 'agent.changed', agent: status });
  }

  return {
    ...{ tell, subscribe },
    // One that hangs changes by nothing else than the time it uses.
    statuses: () => [...statuses.values()].map((status) => ({ ...status, ...cpu.of(status.id) })),
    stateOf: (id: string) => statuses.get(id)?.state,
    forget: (child: ChildActor) => {
      const { agent } = child.getSnapshot().context;
      const { id, dir } = agent.spec;
      ports.forget(toPortOwner(agent));
      statuses.delete(id);
      keepers.delete(id);
      cpu.forget(id);
      onForget?.(id);
      tell({ type: 'agent.removed', id, dir });
    },
    watch: (child: ChildActor) => {
      child.on('child.warning', ({ id, warning }) => tell({ type: 'agent.warning', id, warning }));
      child.on('child.incident', ({ id, incident }) => {
        void recordIncident(incident, clock, onDefect).then((notice) =>
          tell({ type: 'agent.incident', id, incident: notice }),
        );
      });
      child.subscribe({
        next: () => note(child),
        // The supervisor hears of it too and says so; an observer without `error` would have it thrown at the process.
        error: () => {},
      });
      note(child);
    },
  };
}

type SupervisorActor = ReturnType<typeof createSupervisor>;

function createSupervisor(
  options: FleetOptions,
  ports: PortRegistry,
  onVitals: NonNullable<WorkerHostOptions['onVitals']>,
) {
  const { clock, random, onDefect } = options;
  const interrupter = createInterrupter(clock);
  const hostOptions: WorkerHostOptions = {
    entry: options.entry,
    clock,
    toInit: (input) => toInit(input, options, ports),
    onVitals,
    onOutput: options.onOutput,
    ...(options.onQuestion === undefined ? {} : { onQuestion: options.onQuestion }),
    onDefect,
  };
  const worker = fromCallback<WorkerActorEvent, WorkerActorInput>(({ input, sendBack, receive }) => {
    const port = { input, report: sendBack, receive };
    return input.agent.isolation === 'process'
      ? hostProcess(port, hostOptions)
      : hostThread(port, hostOptions, interrupter);
  });
  const startSlot = createStartSlots({
    concurrency: options.startConcurrency,
    prepare: async ({ agent, incarnation }) => {
      if (incarnation === 0 || !options.prepareAgain) return agent;
      try {
        return await options.prepareAgain(agent);
      } catch (error) {
        if (!AppError.is(error)) onDefect(error, `configuration of ${agent.spec.id}`);
        throw error;
      }
    },
  });
  const child = childMachine.provide({ actors: { worker, startSlot } });
  const machine = supervisorMachine.provide({ actors: { child } });
  return createActor(machine, { clock: toXstateClock(clock), input: { clock, random, onDefect } });
}

function toInit(input: WorkerActorInput, options: FleetOptions, ports: PortRegistry): WorkerInit {
  const { agent, incarnation } = input;
  return {
    protocol: WORKER_PROTOCOL,
    id: agent.spec.id,
    dir: agent.spec.dir,
    version: options.version,
    incarnation,
    isolation: agent.isolation,
    transport: agent.transport,
    ports: ports.plan(toPortOwner(agent)),
    settings: agent.settings,
    heartbeatMs: options.heartbeatMs,
    ...(options.hostBoot === undefined ? {} : { hostBoot: options.hostBoot }),
    // Less than the whole: what holds it shall be told instead of a timeout.
    writerWaitMs: agent.spec.startTimeoutMs * WRITER_WAIT_SHARE,
  };
}

/** XState's type says numbers; it only hands back what it was given. */
function toXstateClock(clock: Clock) {
  return {
    setTimeout: (callback: () => void, delayMs: number) => clock.setTimeout(callback, delayMs),
    clearTimeout: (timer: unknown) => clock.clearTimeout(timer),
  };
}

function keepPorts(
  ports: PortRegistry,
  child: ChildActor,
  previous: AgentStatus | undefined,
  status: AgentStatus,
): void {
  if (status.port !== undefined && status.port !== previous?.port) ports.bound(status.id, status.port);
  const isDown = status.state === 'stopped' || status.state === 'quarantined';
  if (isDown && status.state !== previous?.state)
    ports.release(toPortOwner(child.getSnapshot().context.agent));
}

function toPast({ context, value }: ChildSnapshot, clock: Clock): ChildPast {
  const [nowMs, wallNowMs] = [clock.monotonicMs(), clock.wallMs()];
  const hasEnded = value === 'quarantined' || value === 'stopped';
  return {
    crashesMs: context.restarts.map((at) => Math.round(wallNowMs - (nowMs - at))),
    state: hasEnded ? value : 'none',
    reason: hasEnded ? context.failure : undefined,
  };
}

function toPortOwner({ spec, preferredPort }: PreparedAgent): PortOwner {
  return { id: spec.id, dir: spec.dir, preferredPort };
}

/** Figures are no news by themselves. */
const NO_NEWS: readonly (keyof AgentStatus)[] = ['beat', 'children', 'sums', 'cpuPercent', 'cpuSeconds'];

/** Reasons are compared by identity: each failure makes its own. */
function isSameButBeat(a: AgentStatus, b: AgentStatus): boolean {
  const keys = Object.keys(b) as (keyof AgentStatus)[];
  return keys.every((key) => NO_NEWS.includes(key) || a[key] === b[key]);
}
