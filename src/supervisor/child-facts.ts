/**
 * Pure functions over what a child machine knows: how a report changes it, why it failed, and how an operator sees it.
 * They are total and apart from the machine so that the machine's file is names and structure only.
 */
import type { SnapshotFrom } from 'xstate';
import { NO_ANSWER } from '../autopsy/examine.ts';
import type { WireError } from '../contract/errors.ts';
import type { AgentState } from '../contract/fleet/agent-states.ts';
import { type Autopsy, hangText } from './autopsy.ts';
import type { ChildContext, ChildEvent, ChildIncident, childMachine } from './child.machine.ts';
import { type ChildSpec, LADDER } from './child-spec.ts';
import { childrenAfter } from './child-sweep.ts';
import type { JudgeEvent } from './child-vocabulary.ts';
import type { CpuUse } from './cpu-watch.ts';
import type { AgentError, AgentStatus, ConfigStatus, PreparedAgent } from './fleet.ts';

export type ChildSnapshot = SnapshotFrom<typeof childMachine>;

/** What the context becomes with one report of the worker. */
export function remembered(context: ChildContext, event: ChildEvent): Partial<ChildContext> {
  switch (event.type) {
    case 'worker.ready': {
      const survivesTerminate = context.agent.isolation === 'process' || event.survivesTerminate;
      return {
        ready: event,
        readyAtMs: context.clock.wallMs(),
        survivesTerminate,
        failure: undefined,
        config: restarted(context.config),
      };
    }
    case 'worker.heartbeat':
      return { beat: event.beat };
    case 'worker.childStarting':
    case 'worker.childStarted':
    case 'worker.childEnded':
      return { children: childrenAfter(context.children, event) };
    case 'worker.transportClosed':
      return { survivesTerminate: true };
    case 'worker.failed':
    case 'memory.hard':
      return { failure: event.error };
    case 'judge.hung':
    case 'judge.stalled':
    case 'judge.wedged':
      // A stall that is looked at again keeps what was read of it.
      return {
        hang: { isTold: false, autopsy: seenFromOutside(event), ...context.hang, silentMs: event.silentMs },
      };
    case 'worker.examined':
      return { hang: { isTold: false, silentMs: 0, ...context.hang, autopsy: event.autopsy } };
    case 'worker.interrupted':
      // Only one that nobody asked to end failed; its stack says where it hung.
      return context.intent === 'none' && event.stack !== 'no answer'
        ? { failure: withStack(context.failure, event.stack) }
        : {};
    case 'worker.exited': {
      const isCleanEnd = event.exitCode === 0 && context.agent.spec.restart !== 'permanent';
      const failure =
        context.failure ?? (isCleanEnd ? undefined : (event.error ?? exitError(event.exitCode)));
      const gone = { ready: undefined, readyAtMs: undefined, beat: undefined, children: [] };
      return { ...gone, exitCode: event.exitCode, failure };
    }
    default:
      return {};
  }
}

/** What is known without a look at its stack. */
function seenFromOutside({ activities }: JudgeEvent): Autopsy | undefined {
  return activities && { ...NO_ANSWER, place: undefined, stack: [], activities, output: [] };
}

/** Times of a shutdown that begins or is hastened now: never later than the one that stands. */
export function shutdownTimes(
  context: ChildContext,
  drainMs: number,
): Pick<ChildContext, 'drainMs' | 'stopByMs'> {
  const stopByMs = context.clock.monotonicMs() + drainMs + context.agent.spec.closeMs + LADDER.graceMs;
  return { drainMs: Math.min(drainMs, context.drainMs), stopByMs: Math.min(stopByMs, context.stopByMs) };
}

/** Until a thread says which transport it took, it may hold handles that abort the process. */
export function isSafeBeforeReady(agent: PreparedAgent): boolean {
  return agent.isolation === 'process' || agent.transport === 'node';
}

export function reasonOf(context: ChildContext): WireError {
  return context.failure ?? exitError(context.exitCode);
}

/** The newest failure, with when it was; an end that is no failure leaves the earlier one. */
export function newestError({ failure, lastError, clock }: ChildContext): AgentError | undefined {
  return failure === undefined ? lastError : { ...failure, atMs: clock.wallMs() };
}

/** A host that died leaves the reason, and when each crash was. */
export function earlierError({ past }: PreparedAgent, nowMs: number): AgentError | undefined {
  return past?.reason && { ...past.reason, atMs: past.crashesMs.at(-1) ?? nowMs };
}

export const CONFIG_AS_STARTED: ConfigStatus = { state: 'ok', changedAtMs: undefined, problem: undefined };

/** What waited for a restart is in use, or nobody waits for it any more. */
export function restarted(config: ConfigStatus): ConfigStatus {
  return config.state === 'restarting' ? { ...config, state: 'ok' } : config;
}

export function startTimeoutError(spec: ChildSpec): WireError {
  return {
    code: 'agent.start_timeout',
    message: `The agent was not ready within ${spec.startTimeoutMs} ms; it is stopped and started again`,
  };
}

export function hungError(stack: readonly string[] | 'no answer'): WireError {
  if (stack === 'no answer') {
    return {
      code: 'agent.hung',
      message: 'The agent did not end when asked, and its thread does not answer',
    };
  }
  const where = stack[0] === undefined ? '' : `; it was in ${stack[0]}`;
  return { code: 'agent.hung', message: `The agent did not end when asked${where}`, details: { stack } };
}

/** Why one that hangs is ended. */
export function blamedHang({ failure, hang }: ChildContext): WireError | undefined {
  if (hang === undefined) return failure;
  const stack = hang.autopsy?.stack ?? [];
  return {
    code: 'agent.hung',
    message: `The agent ${hangText('hung', hang.silentMs, hang.autopsy)}`,
    details: { stack },
  };
}

export function toIncident(context: ChildContext, kind: ChildIncident['kind']): ChildIncident {
  const { agent, children, hang, incarnation } = context;
  return { kind, agent, incarnation, children, silentMs: hang?.silentMs ?? 0, autopsy: hang?.autopsy };
}

function withStack(failure: WireError | undefined, stack: readonly string[]): WireError {
  const hung = hungError(stack);
  return failure === undefined || stack[0] === undefined
    ? (failure ?? hung)
    : { code: failure.code, message: `${failure.message}; it was in ${stack[0]}`, details: { stack } };
}

function exitError(exitCode: number): WireError {
  return { code: 'agent.exited', message: `The agent exited with code ${exitCode} without being asked` };
}

/** One child as an operator sees it, but for what is counted beside it. */
export function toStatus(snapshot: ChildSnapshot): Omit<AgentStatus, keyof CpuUse | 'sums'> {
  const { agent, ready, beat, children, incarnation, failure, backoffMs, ...context } = snapshot.context;
  const state = stateOf(snapshot);
  return {
    id: agent.spec.id,
    dir: agent.spec.dir,
    name: agent.settings.name,
    state,
    reason: failure,
    host: agent.settings.gateway.host,
    port: ready?.port,
    model: ready?.model,
    transport: ready?.transport,
    transportNote: ready?.transportNote,
    isolation: agent.isolation,
    incarnation,
    restarts: Math.max(0, incarnation - 1),
    restartInMs: state === 'backoff' ? backoffMs : undefined,
    readyAtMs: context.readyAtMs,
    hangs: context.hangs,
    lastError: context.lastError,
    config: context.config,
    beat,
    children: children.length,
  };
}

export function stateOf(snapshot: ChildSnapshot): AgentState {
  const { value } = snapshot;
  if (typeof value !== 'object') {
    // These two are passed through within one step and never seen.
    if (value === 'crashed') return 'backoff';
    return value === 'arriving' ? 'waiting' : value;
  }
  if (value.alive === 'interrupting' || value.alive === 'killing') return 'stopping';
  return value.alive;
}
