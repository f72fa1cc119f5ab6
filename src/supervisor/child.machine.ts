/**
 * One supervised agent, seen from the main thread. `alive` owns the worker: it is entered to spawn it and left only
 * after `worker.exited`, so two incarnations of one agent can never hold the same port, database or bot token. Stop and
 * restart are wishes; what follows is decided when the worker is gone.
 */
import { not } from 'xstate';
import { CONFIG_AS_STARTED, earlierError, hungError } from './child-facts.ts';
import { childSetup } from './child-setup.ts';
import { toMonotonic } from './child-spec.ts';

export type {
  ChildContext,
  ChildEmitted,
  ChildEvent,
  ChildIncident,
  StartSlot,
  StartSlotInput,
} from './child-vocabulary.ts';

const STOP = { target: 'stopping', actions: { type: 'want', params: { intent: 'stop' } } } as const;
const RESTART = { target: 'stopping', actions: { type: 'want', params: { intent: 'restart' } } } as const;
/** Its neighbours need the memory: nothing is waited for. */
const OVER_MEMORY = [
  { guard: 'isProcess', target: 'killing', actions: 'remember' },
  { target: 'interrupting', actions: 'remember' },
] as const;

export const childMachine = childSetup.createMachine({
  id: 'child',
  context: ({ input }) => ({
    ...input,
    intent: 'none',
    restarts: toMonotonic(input.agent.past?.crashesMs ?? [], input.clock),
    incarnation: 0,
    ready: undefined,
    readyAtMs: undefined,
    beat: undefined,
    children: [],
    survivesTerminate: false,
    hang: undefined,
    failure: input.agent.past?.reason,
    exitCode: input.agent.past?.reason === undefined ? 0 : 1,
    lastError: earlierError(input.agent, input.clock.wallMs()),
    hangs: 0,
    config: CONFIG_AS_STARTED,
    backoffMs: 0,
    drainMs: Number.POSITIVE_INFINITY,
    stopByMs: Number.POSITIVE_INFINITY,
    slot: undefined,
  }),
  initial: 'arriving',
  on: {
    'config.noted': {
      actions: { type: 'noteConfig', params: ({ event }) => ({ config: event.config }) },
    },
    'spec.changed': {
      actions: { type: 'takeSpec', params: ({ event }) => ({ spec: event.spec }) },
    },
  },
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
            'judge.hung': { target: 'hung', actions: ['remember', 'countHang'] },
            'judge.stalled': { target: 'stalled', actions: ['remember', 'countHang'] },
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
              { guard: { type: 'found', params: { outcome: 'ended' } }, actions: ['remember', 'blameHang'] },
              {
                guard: { type: 'found', params: { outcome: 'alive' } },
                target: 'running',
                actions: 'forgetHang',
              },
              {
                guard: { type: 'found', params: { outcome: 'unreachable' } },
                target: 'killing',
                actions: ['remember', 'blameHang'],
              },
              { target: 'stalled', actions: 'remember' },
            ],
          },
        },
        /** In a call that cannot be read, or in the database: it may come back. */
        stalled: {
          entry: ['reportStall', 'noteTold'],
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
                actions: ['remember', 'blameHang', 'reportWedged'],
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
          entry: 'noteError',
          on: {
            // Nobody asked it to end: it was away for longer than anybody would wait, and is back.
            'judge.recovered': {
              guard: 'isBack',
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
      entry: 'noteError',
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
      entry: ['forgetRestarts', 'settleConfig'],
      on: { start: 'waiting', restart: 'waiting' },
    },
    quarantined: {
      tags: 'settled',
      entry: ['settleConfig', 'reportQuarantined'],
      exit: ['forgetRestarts', 'forgetFailure'],
      on: { start: 'waiting', restart: 'waiting', release: 'waiting', stop: 'stopped' },
    },
  },
});
