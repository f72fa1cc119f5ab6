/**
 * One supervised agent, seen from the main thread. `alive` owns the worker: it is entered to spawn it and left only
 * after `worker.exited`, so two incarnations of one agent can never hold the same port, database or bot token. Stop and
 * restart are wishes; what follows is decided when the worker is gone. Actions are total: a throw in one would end the
 * machine and leave its worker without an owner.
 */
import { assign, emit, enqueueActions, fromCallback, fromPromise, not, sendTo, setup } from 'xstate';
import type { Clock } from '../contract/clock.ts';
import { AppError, type WireError } from '../contract/errors.ts';
import type { Heartbeat, WorkerReport } from '../contract/worker-protocol.ts';
import type { Autopsy } from './autopsy.ts';
import {
  blamedHang,
  hungError,
  isSafeBeforeReady,
  reasonOf,
  remembered,
  shutdownTimes,
  startTimeoutError,
  toIncident,
} from './child-facts.ts';
import { backoffMs, type ChildPast, FATAL_CODES, LADDER, recordRestart, toMonotonic } from './child-spec.ts';
import type { WorkerChild } from './child-sweep.ts';
import type { PreparedAgent } from './fleet.ts';
import type { WorkerActorEvent, WorkerActorInput, WorkerHostEvent } from './worker-host.ts';

/** Why the worker was asked to end. `none`: it was not, or it did not become ready in time. */
type Intent = 'none' | 'stop' | 'restart';

export type ChildEvent =
  | { type: 'start' }
  | { type: 'stop'; force?: boolean }
  | { type: 'restart' }
  | JudgeEvent
  | WorkerHostEvent;

/** What the judge of hangs has to say; `silentMs` without a sign of life. */
export type JudgeEvent = {
  type: `judge.${'hung' | 'stalled' | 'recovered' | 'wedged'}`;
  silentMs: number;
};

/** A hang that is being looked into, or that led to the end of this incarnation. */
export interface Hang {
  readonly silentMs: number;
  readonly autopsy: Autopsy | undefined;
}

/** Facts for the log and the fleet; never for control flow. */
export type ChildEmitted =
  | { type: 'child.started'; id: string; port: number }
  | { type: 'child.crashed'; id: string; error: WireError; restartInMs: number }
  | { type: 'child.quarantined'; id: string; error: WireError }
  | { type: 'child.warning'; id: string; warning: WireError }
  | { type: 'child.incident'; id: string; incident: ChildIncident };

export interface ChildIncident extends Hang {
  readonly kind: 'hung' | 'stalled' | 'wedged';
  readonly agent: PreparedAgent;
  readonly incarnation: number;
  /** Programs it had started and that ran. */
  readonly children: readonly WorkerChild[];
}

/** A place among the agents that start at once, and the agent as it shall start now. */
export interface StartSlot {
  readonly agent: PreparedAgent;
  /** Gives the place back; may be called again. */
  release(): void;
}
export interface StartSlotInput {
  readonly agent: PreparedAgent;
  readonly incarnation: number;
}

export interface ChildInput {
  readonly agent: PreparedAgent;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface ChildContext extends ChildInput {
  readonly intent: Intent;
  /** When each crash that counts happened, monotonic milliseconds, newest last. */
  readonly restarts: readonly number[];
  /** Starts so far. */
  readonly incarnation: number;
  readonly ready: Extract<WorkerReport, { type: 'worker.ready' }> | undefined;
  readonly beat: Heartbeat | undefined;
  /** Programs it has started and that run. */
  readonly children: readonly WorkerChild[];
  readonly survivesTerminate: boolean;
  readonly hang: Hang | undefined;
  /** Why the last incarnation failed; kept until one is ready or the operator stops it. */
  readonly failure: WireError | undefined;
  readonly exitCode: number;
  readonly backoffMs: number;
  /** Time given to running turns by the shutdown under way. */
  readonly drainMs: number;
  /** Monotonic end of the shutdown under way. */
  readonly stopByMs: number;
  readonly slot: StartSlot | undefined;
}

const STOP = { target: 'stopping', actions: { type: 'want', params: { intent: 'stop' } } } as const;
const RESTART = { target: 'stopping', actions: { type: 'want', params: { intent: 'restart' } } } as const;
/** Its neighbours need the memory: nothing is waited for. */
const OVER_MEMORY = [
  { guard: 'isProcess', target: 'killing', actions: 'remember' },
  { target: 'interrupting', actions: 'remember' },
] as const;

export const childMachine = setup({
  types: {
    input: {} as ChildInput,
    context: {} as ChildContext,
    events: {} as ChildEvent,
    emitted: {} as ChildEmitted,
    tags: {} as 'settled',
  },
  actors: {
    worker: fromCallback<WorkerActorEvent, WorkerActorInput>(() => {
      throw new Error('childMachine needs a worker: provide({ actors: { worker } })');
    }),
    startSlot: fromPromise<StartSlot, StartSlotInput>(() => {
      throw new Error('childMachine needs start slots: provide({ actors: { startSlot } })');
    }),
  },
  actions: {
    want: assign(({ context, event }, params: { intent: Intent }) => {
      const isForced = event.type === 'stop' && event.force === true;
      return { intent: params.intent, ...shutdownTimes(context, isForced ? 0 : context.agent.spec.drainMs) };
    }),
    blameStart: assign(({ context }) => ({
      // Nothing runs yet that could be drained.
      ...shutdownTimes(context, 0),
      failure: startTimeoutError(context.agent.spec),
    })),
    takeSlot: assign((_, params: { slot: StartSlot }) => ({ slot: params.slot, agent: params.slot.agent })),
    releaseSlot: ({ context }) => context.slot?.release(),
    blameSlot: assign((_, params: { error: unknown }) => ({
      failure: AppError.toWire(params.error),
      exitCode: 1,
    })),
    beginIncarnation: assign(({ context }) => ({
      incarnation: context.incarnation + 1,
      intent: 'none' as const,
      ready: undefined,
      beat: undefined,
      children: [],
      survivesTerminate: isSafeBeforeReady(context.agent),
      hang: undefined,
      failure: undefined,
      drainMs: Number.POSITIVE_INFINITY,
      stopByMs: Number.POSITIVE_INFINITY,
    })),
    remember: assign(({ context, event }) => remembered(context, event)),
    forgetFailure: assign({ failure: undefined }),
    forgetRestarts: assign({ restarts: [] }),
    countRestart: assign(({ context }) => {
      const { spec } = context.agent;
      const restarts = recordRestart(context.restarts, context.clock.monotonicMs(), spec.periodMs);
      return { restarts, backoffMs: backoffMs(spec, restarts.length, context.random()) };
    }),
    shutdown: sendTo('worker', ({ context }) => ({
      type: 'shutdown' as const,
      // One that did not become ready in time starts again, unless the operator says otherwise.
      reason: context.intent === 'stop' ? ('stop' as const) : ('restart' as const),
      drainMs: context.drainMs,
      closeMs: context.agent.spec.closeMs,
    })),
    forgetHang: assign({ hang: undefined }),
    /** Only one that was ended for it: its exit may have other reasons as well. */
    blameHang: assign(({ context }) => ({ failure: blamedHang(context) })),
    examine: sendTo('worker', { type: 'examine' as const }),
    interrupt: sendTo('worker', { type: 'interrupt' as const }),
    terminate: sendTo('worker', { type: 'terminate' as const }),
    reportStarted: emit(({ context }) => ({
      type: 'child.started',
      id: context.agent.spec.id,
      port: context.ready?.port ?? 0,
    })),
    reportCrashed: emit(({ context }) => ({
      type: 'child.crashed',
      id: context.agent.spec.id,
      error: reasonOf(context),
      restartInMs: context.backoffMs,
    })),
    reportQuarantined: emit(({ context }) => ({
      type: 'child.quarantined',
      id: context.agent.spec.id,
      error: reasonOf(context),
    })),
    reportIncident: emit(({ context }, params: { kind: ChildIncident['kind'] }) => ({
      type: 'child.incident',
      id: context.agent.spec.id,
      incident: toIncident(context, params.kind),
    })),
    reportEndOfHang: enqueueActions(({ context, enqueue }) => {
      if (context.failure?.code !== 'agent.hung' || context.hang === undefined) return;
      const { id } = context.agent.spec;
      enqueue.emit({ type: 'child.incident', id, incident: toIncident(context, 'hung') });
    }),
    reportWarning: emit(({ context }, params: { warning: WireError }) => ({
      type: 'child.warning',
      id: context.agent.spec.id,
      warning: params.warning,
    })),
  },
  guards: {
    wanted: ({ context }, params: { intent: Intent }) => context.intent === params.intent,
    hastens: ({ context, event }) => event.type === 'stop' && event.force === true && context.drainMs > 0,
    mayRestart: ({ context }) =>
      context.agent.spec.restart === 'permanent' ||
      (context.agent.spec.restart === 'transient' && context.exitCode !== 0),
    was: ({ context }, params: { state: ChildPast['state'] }) => context.agent.past?.state === params.state,
    isFatal: ({ context }) => context.failure !== undefined && FATAL_CODES.has(context.failure.code),
    tooManyRestarts: ({ context }) => {
      const { intensity, periodMs } = context.agent.spec;
      return recordRestart(context.restarts, context.clock.monotonicMs(), periodMs).length > intensity;
    },
    isUnreachable: ({ event }) => event.type === 'worker.examined' && event.autopsy.outcome === 'unreachable',
    isAlive: ({ event }) => event.type === 'worker.examined' && event.autopsy.outcome === 'alive',
    isEnded: ({ event }) => event.type === 'worker.examined' && event.autopsy.outcome === 'ended',
    isOverMemory: ({ context }) => context.failure?.code === 'agent.memory',
    isProcess: ({ context }) => context.agent.isolation === 'process',
    survivesTerminate: ({ context }) => context.survivesTerminate,
  },
  delays: {
    startTimeout: ({ context }) => context.agent.spec.startTimeoutMs,
    stable: ({ context }) => context.agent.spec.stableMs,
    shutdownTimeout: ({ context }) => Math.max(0, context.stopByMs - context.clock.monotonicMs()),
    interruptTimeout: LADDER.interruptMs,
    examineTimeout: LADDER.examineMs,
    killTimeout: LADDER.killMs,
    backoff: ({ context }) => context.backoffMs,
  },
}).createMachine({
  id: 'child',
  context: ({ input }) => ({
    ...input,
    intent: 'none',
    restarts: toMonotonic(input.agent.past?.crashesMs ?? [], input.clock),
    incarnation: 0,
    ready: undefined,
    beat: undefined,
    children: [],
    survivesTerminate: false,
    hang: undefined,
    failure: input.agent.past?.reason,
    exitCode: input.agent.past?.reason === undefined ? 0 : 1,
    backoffMs: 0,
    drainMs: Number.POSITIVE_INFINITY,
    stopByMs: Number.POSITIVE_INFINITY,
    slot: undefined,
  }),
  initial: 'arriving',
  states: {
    // Where it was when the last host died; passed through within one step.
    arriving: {
      always: [
        { guard: { type: 'was', params: { state: 'quarantined' } }, target: 'quarantined' },
        { guard: { type: 'was', params: { state: 'stopped' } }, target: 'stopped' },
        { guard: { type: 'was', params: { state: 'crashed' } }, target: 'crashed' },
        { target: 'waiting' },
      ],
    },
    waiting: {
      invoke: {
        id: 'startSlot',
        src: 'startSlot',
        input: ({ context }) => ({ agent: context.agent, incarnation: context.incarnation }),
        onDone: {
          target: 'alive',
          actions: { type: 'takeSlot', params: ({ event }) => ({ slot: event.output }) },
        },
        onError: {
          target: 'crashed',
          actions: { type: 'blameSlot', params: ({ event }) => ({ error: event.error }) },
        },
      },
      on: { stop: { target: 'stopped', actions: 'forgetFailure' } },
    },

    alive: {
      entry: 'beginIncarnation',
      exit: 'releaseSlot',
      invoke: {
        id: 'worker',
        src: 'worker',
        input: ({ context }) => ({ agent: context.agent, incarnation: context.incarnation }),
        // The host reports failures as worker.exited; reaching this is a defect in it.
        onError: {
          target: 'crashed',
          actions: { type: 'blameSlot', params: ({ event }) => ({ error: event.error }) },
        },
      },
      initial: 'starting',
      states: {
        starting: {
          after: { startTimeout: { target: 'stopping', actions: 'blameStart' } },
          on: {
            stop: STOP,
            restart: RESTART,
            'worker.ready': { target: 'running', actions: ['remember', 'releaseSlot', 'reportStarted'] },
          },
        },
        running: {
          after: { stable: { actions: 'forgetRestarts' } },
          on: {
            stop: STOP,
            restart: RESTART,
            'worker.restartRequested': RESTART,
            'memory.soft': {
              target: 'stopping',
              actions: [
                { type: 'want', params: { intent: 'restart' } },
                { type: 'reportWarning', params: ({ event }) => ({ warning: event.error }) },
              ],
            },
            'memory.hard': OVER_MEMORY,
            'judge.hung': { target: 'hung', actions: 'remember' },
            'judge.stalled': { target: 'stalled', actions: 'remember' },
          },
        },
        /** It gives no sign of life: it is read, and ended if it is stuck in JavaScript. */
        hung: {
          entry: 'examine',
          after: {
            examineTimeout: [
              { guard: 'isProcess', target: 'killing', actions: 'blameHang' },
              { target: 'stalled' },
            ],
          },
          on: {
            stop: STOP,
            restart: RESTART,
            'worker.examined': [
              // Its exit follows.
              { guard: 'isEnded', actions: ['remember', 'blameHang'] },
              { guard: 'isAlive', target: 'running', actions: 'forgetHang' },
              { guard: 'isUnreachable', target: 'killing', actions: ['remember', 'blameHang'] },
              { target: 'stalled', actions: 'remember' },
            ],
          },
        },
        /** In a call that cannot be read, or in the database: it may come back. */
        stalled: {
          entry: { type: 'reportIncident', params: { kind: 'stalled' } },
          on: {
            stop: STOP,
            restart: RESTART,
            'worker.restartRequested': RESTART,
            // One that is in native code could not be interrupted.
            'memory.hard': { guard: 'isProcess', target: 'killing', actions: 'remember' },
            'judge.recovered': { target: 'running', actions: 'forgetHang' },
            'judge.hung': { target: 'hung', actions: 'remember' },
            'judge.wedged': [
              {
                guard: 'survivesTerminate',
                target: 'killing',
                actions: ['remember', 'blameHang'],
              },
              {
                target: 'wedged',
                actions: ['remember', 'blameHang', { type: 'reportIncident', params: { kind: 'wedged' } }],
              },
            ],
          },
        },
        stopping: {
          entry: 'shutdown',
          after: {
            shutdownTimeout: [{ guard: 'isProcess', target: 'killing' }, { target: 'interrupting' }],
          },
          on: {
            'memory.hard': OVER_MEMORY,
            stop: [
              {
                guard: 'hastens',
                target: 'stopping',
                reenter: true,
                actions: { type: 'want', params: { intent: 'stop' } },
              },
              { actions: { type: 'want', params: { intent: 'stop' } } },
            ],
          },
        },
        interrupting: {
          entry: 'interrupt',
          after: {
            interruptTimeout: [{ guard: 'survivesTerminate', target: 'killing' }, { target: 'wedged' }],
          },
        },
        killing: {
          entry: 'terminate',
          after: { killTimeout: 'wedged' },
        },
        wedged: {
          // Terminating a thread that holds native handles would abort every agent of this process.
          tags: 'settled',
          on: {
            // Nobody asked it to end: it was away for longer than anybody would wait, and is back.
            'judge.recovered': {
              guard: { type: 'wanted', params: { intent: 'none' } },
              target: 'running',
              actions: ['forgetHang', 'forgetFailure'],
            },
            'worker.transportClosed': {
              guard: not('survivesTerminate'),
              target: 'killing',
              actions: 'remember',
            },
          },
        },
      },
      on: {
        // On the way down already: the last wish counts, the deadline stays.
        stop: { actions: { type: 'want', params: { intent: 'stop' } } },
        restart: { actions: { type: 'want', params: { intent: 'restart' } } },
        start: {
          guard: { type: 'wanted', params: { intent: 'stop' } },
          actions: { type: 'want', params: { intent: 'restart' } },
        },
        'worker.heartbeat': { actions: 'remember' },
        'worker.examined': { actions: 'remember' },
        'worker.childStarting': { actions: 'remember' },
        'worker.childStarted': { actions: 'remember' },
        'worker.childEnded': { actions: 'remember' },
        'worker.transportClosed': { actions: 'remember' },
        'worker.failed': { actions: 'remember' },
        'worker.interrupted': [
          // It was not asked before; why it ends is told with its end.
          { guard: 'isOverMemory', actions: 'remember' },
          {
            actions: [
              'remember',
              { type: 'reportWarning', params: ({ event }) => ({ warning: hungError(event.stack) }) },
            ],
          },
        ],
        'worker.warning': {
          actions: { type: 'reportWarning', params: ({ event }) => ({ warning: event.warning }) },
        },
        'worker.exited': [
          {
            guard: { type: 'wanted', params: { intent: 'stop' } },
            target: 'stopped',
            actions: ['reportEndOfHang', 'remember', 'forgetFailure'],
          },
          {
            guard: { type: 'wanted', params: { intent: 'restart' } },
            target: 'waiting',
            actions: ['reportEndOfHang', 'remember', 'forgetFailure'],
          },
          { target: 'crashed', actions: ['reportEndOfHang', 'remember'] },
        ],
      },
    },

    crashed: {
      always: [
        { guard: 'isFatal', target: 'quarantined' },
        { guard: not('mayRestart'), target: 'stopped' },
        { guard: 'tooManyRestarts', target: 'quarantined' },
        { target: 'backoff', actions: ['countRestart', 'reportCrashed'] },
      ],
    },
    backoff: {
      after: { backoff: 'waiting' },
      on: {
        start: 'waiting',
        restart: 'waiting',
        stop: { target: 'stopped', actions: 'forgetFailure' },
      },
    },

    stopped: {
      tags: 'settled',
      entry: 'forgetRestarts',
      on: { start: 'waiting', restart: 'waiting' },
    },
    quarantined: {
      tags: 'settled',
      entry: 'reportQuarantined',
      exit: ['forgetRestarts', 'forgetFailure'],
      on: { start: 'waiting', restart: 'waiting', stop: 'stopped' },
    },
  },
});
