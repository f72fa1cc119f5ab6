/**
 * The life of one user bridge. Whatever it does, it is started again after a pause: nobody but its author knows
 * whether the next attempt can work, and a chat that stays silent until somebody restarts the agent is the worse end.
 * It leaves this loop only by `stop`.
 */
import { assign, emit, fromPromise, setup } from 'xstate';
import { AppError, type WireError } from '../contract/errors.ts';
import { type OpenedBridge, toMessage, type UserBridge } from './bridge-module.ts';

export type BridgeEvent = { readonly type: 'stop'; readonly deadlineMs: number };

export type BridgeStopReason = 'asked' | 'returned' | 'abandoned';

/** For the log and the start line; never for control flow. */
export type BridgeEmitted =
  | { readonly type: 'bridge.started'; readonly file: string }
  | { readonly type: 'bridge.stopped'; readonly reason: BridgeStopReason }
  | { readonly type: 'bridge.failed'; readonly error: unknown; readonly restartInMs: number }
  | { readonly type: 'bridge.refused'; readonly error: WireError; readonly restartInMs: number };

export interface RunInput {
  readonly bridge: UserBridge;
  readonly signal: AbortSignal;
}

interface BridgeContext {
  readonly random: () => number;
  opened: OpenedBridge | undefined;
  controller: AbortController;
  /** In a row, without a stable time between them. */
  failures: number;
  restarts: number;
  pauseMs: number;
  stopMs: number;
  lastError: string | undefined;
}

const BACKOFF_MS_MIN = 250;
const BACKOFF_MS_MAX = 30_000;
const STABLE_MS = 60_000;

export const bridgeMachine = setup({
  types: {
    input: {} as { readonly random: () => number },
    context: {} as BridgeContext,
    events: {} as BridgeEvent,
    emitted: {} as BridgeEmitted,
  },
  actors: {
    load: fromPromise<OpenedBridge>(() => Promise.reject(new Error('bridgeMachine needs a load actor'))),
    run: fromPromise<void, RunInput>(({ input }) => runBridge(input)),
  },
  actions: {
    keep: assign((_, params: { opened: OpenedBridge }) => ({ opened: params.opened })),
    renewSignal: assign(() => ({ controller: new AbortController() })),
    abort: ({ context }) => context.controller.abort(),
    setDeadline: assign(({ event }) => ({ stopMs: event.deadlineMs })),
    forgetFailures: assign({ failures: 0 }),
    /** Full jitter below a bound that doubles with each failure in a row. */
    planRetry: assign(({ context }, params: { error: unknown }) => ({
      failures: context.failures + 1,
      pauseMs: Math.round(
        context.random() * Math.min(BACKOFF_MS_MIN * 2 ** context.failures, BACKOFF_MS_MAX),
      ),
      lastError: toMessage(params.error),
    })),
    planRestart: assign({ pauseMs: BACKOFF_MS_MIN }),
    countRestart: assign({ restarts: ({ context }) => context.restarts + 1 }),
    reportStarted: emit(({ context }) => ({
      type: 'bridge.started' as const,
      file: context.opened?.file ?? '',
    })),
    reportStopped: emit((_, params: { reason: BridgeStopReason }) => ({
      type: 'bridge.stopped' as const,
      reason: params.reason,
    })),
    reportFailed: emit(({ context }, params: { error: unknown }) => ({
      type: 'bridge.failed' as const,
      error: params.error,
      restartInMs: context.pauseMs,
    })),
    reportRefused: emit(({ context }, params: { error: unknown }) => ({
      type: 'bridge.refused' as const,
      error: AppError.is(params.error)
        ? AppError.toWire(params.error)
        : { code: 'bridge.invalid' as const, message: toMessage(params.error) },
      restartInMs: context.pauseMs,
    })),
  },
  guards: {
    isAborted: ({ context }) => context.controller.signal.aborted,
    /** What run() throws because it was told to stop is its way to stop. */
    isAbortError: ({ context }, params: { error: unknown }) =>
      context.controller.signal.aborted &&
      params.error instanceof Error &&
      params.error.name === 'AbortError',
  },
  delays: {
    pause: ({ context }) => context.pauseMs,
    stable: STABLE_MS,
    stopDeadline: ({ context }) => context.stopMs,
  },
}).createMachine({
  id: 'bridge',
  context: ({ input }) => ({
    random: input.random,
    opened: undefined,
    controller: new AbortController(),
    failures: 0,
    restarts: 0,
    pauseMs: 0,
    stopMs: 0,
    lastError: undefined,
  }),
  initial: 'loading',
  states: {
    loading: {
      invoke: {
        src: 'load',
        onDone: {
          target: 'active',
          actions: { type: 'keep', params: ({ event }) => ({ opened: event.output }) },
        },
        onError: {
          target: 'invalid',
          actions: [
            { type: 'planRetry', params: ({ event }) => ({ error: event.error }) },
            { type: 'reportRefused', params: ({ event }) => ({ error: event.error }) },
          ],
        },
      },
      on: { stop: 'stopped' },
    },

    /** Owns run(): left only when it has ended, or was let go of at the deadline. */
    active: {
      entry: ['renewSignal', 'reportStarted'],
      invoke: {
        src: 'run',
        input: ({ context }) => ({
          bridge: context.opened?.bridge ?? { run: () => Promise.reject(new Error('nothing was loaded')) },
          signal: context.controller.signal,
        }),
        onDone: [
          {
            guard: 'isAborted',
            target: 'stopped',
            actions: { type: 'reportStopped', params: { reason: 'asked' } },
          },
          {
            target: 'backoff',
            actions: ['planRestart', { type: 'reportStopped', params: { reason: 'returned' } }],
          },
        ],
        onError: [
          {
            guard: { type: 'isAbortError', params: ({ event }) => ({ error: event.error }) },
            target: 'stopped',
            actions: { type: 'reportStopped', params: { reason: 'asked' } },
          },
          {
            guard: 'isAborted',
            target: 'stopped',
            actions: [
              { type: 'reportFailed', params: ({ event }) => ({ error: event.error }) },
              { type: 'reportStopped', params: { reason: 'asked' } },
            ],
          },
          {
            target: 'backoff',
            actions: [
              { type: 'planRetry', params: ({ event }) => ({ error: event.error }) },
              { type: 'reportFailed', params: ({ event }) => ({ error: event.error }) },
            ],
          },
        ],
      },
      initial: 'running',
      states: {
        running: {
          after: { stable: { actions: 'forgetFailures' } },
          on: { stop: { target: 'stopping', actions: 'setDeadline' } },
        },
        stopping: {
          entry: 'abort',
          after: {
            stopDeadline: {
              target: '#bridge.stopped',
              actions: { type: 'reportStopped', params: { reason: 'abandoned' } },
            },
          },
        },
      },
    },

    backoff: { after: { pause: { target: 'loading', actions: 'countRestart' } }, on: { stop: 'stopped' } },
    invalid: { after: { pause: { target: 'loading', actions: 'countRestart' } }, on: { stop: 'stopped' } },
    stopped: { type: 'final' },
  },
});

/** `async`, so that a run() that throws instead of rejecting is the same failure. */
export async function runBridge({ bridge, signal }: RunInput): Promise<void> {
  await bridge.run(signal);
}
