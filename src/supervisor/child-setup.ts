/**
 * What the states of `child.machine.ts` are made of: what they may do, ask and wait for. Actions are total: a throw in
 * one would end the machine and leave its worker without an owner.
 */

import { assign, emit, enqueueActions, fromCallback, fromPromise, sendTo, setup } from 'xstate';
import { AppError, type WireError } from '../contract/errors.ts';
import type { Autopsy } from './autopsy.ts';
import {
  blamedHang,
  isSafeBeforeReady,
  newestError,
  reasonOf,
  remembered,
  restarted,
  shutdownTimes,
  startTimeoutError,
  toIncident,
} from './child-facts.ts';
import {
  backoffMs,
  type ChildPast,
  type ChildSpec,
  FATAL_CODES,
  LADDER,
  recordRestart,
} from './child-spec.ts';
import type {
  ChildContext,
  ChildEmitted,
  ChildEvent,
  ChildInput,
  Intent,
  StartSlot,
  StartSlotInput,
} from './child-vocabulary.ts';
import type { ConfigStatus } from './fleet.ts';
import type { WorkerActorEvent, WorkerActorInput } from './worker-host.ts';

export const childSetup = setup({
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
      readyAtMs: undefined,
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
    noteError: assign(({ context }) => ({ lastError: newestError(context) })),
    countHang: assign(({ context }) => ({ hangs: context.hangs + 1 })),
    noteConfig: assign((_, params: { config: ConfigStatus }) => params),
    takeSpec: assign(({ context }, params: { spec: ChildSpec }) => ({
      agent: { ...context.agent, spec: params.spec },
    })),
    settleConfig: assign(({ context }) => ({ config: restarted(context.config) })),
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
    reportWedged: emit(({ context }) => ({
      type: 'child.incident',
      id: context.agent.spec.id,
      incident: toIncident(context, 'wedged'),
    })),
    /** Once for each stall, however often it is looked at. */
    reportStall: enqueueActions(({ context, enqueue }) => {
      const { id } = context.agent.spec;
      if (context.hang?.isTold) return;
      enqueue.emit({ type: 'child.incident', id, incident: toIncident(context, 'stalled') });
    }),
    noteTold: assign(({ context }) => ({ hang: context.hang && { ...context.hang, isTold: true } })),
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
    found: ({ event }, params: { outcome: Autopsy['outcome'] }) =>
      event.type === 'worker.examined' && event.autopsy.outcome === params.outcome,
    isBack: ({ context }) => context.intent === 'none' && context.failure?.code === 'agent.hung',
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
});
