/**
 * What both worker hosts share: the type of actor they are, and the check of what a worker sends. User code runs in the
 * worker and can write to its port, so nothing reaches the machine that is not a known report of the right shape. The
 * checks are by hand because a heartbeat of every agent passes through them each second.
 */
import { inspect } from 'node:util';
import type { Clock } from '../contract/clock.ts';
import { ERRORS, type ErrorCode, type WireError } from '../contract/errors.ts';
import type { AnswerMessage, NoticeMessage } from '../contract/host-link.ts';
import {
  type Heartbeat,
  type MemoryUse,
  type ModelTotals,
  TURN_SECONDS,
  type TurnTotals,
  type WorkerCommand,
  type WorkerExited,
  type WorkerInit,
  type WorkerReport,
} from '../contract/worker-protocol.ts';
import type { Autopsy } from './autopsy.ts';
import type { PreparedAgent } from './fleet.ts';
import { type AnswerQuestion, createQuestionDesk, type QuestionDesk } from './host-questions.ts';
import type { WorkerMemory } from './memory-sampler.ts';

/** XState compares these invariantly: a stub must be typed with exactly these two. */
export type WorkerActorEvent =
  | WorkerCommand
  | NoticeMessage
  | { type: 'interrupt' }
  /** Reads a worker that seems to hang, and ends it if it does. */
  | { type: 'examine' }
  | { type: 'terminate' }
  /** Ends at once what the worker started; this process is about to end by a signal. */
  | { type: 'killChildren' };
export interface WorkerActorInput {
  readonly agent: PreparedAgent;
  readonly incarnation: number;
}

/** What was read from a thread that did not end, made by its host. */
export type WorkerInterrupted = {
  readonly type: 'worker.interrupted';
  readonly stack: readonly string[] | 'no answer';
};
/** What was found in a worker that seemed to hang; made by its host. */
export type WorkerExamined = { readonly type: 'worker.examined'; readonly autopsy: Autopsy };
export type WorkerHostEvent = WorkerMemory | WorkerReport | WorkerExited | WorkerInterrupted | WorkerExamined;

export interface WorkerHostOptions {
  /** Absolute path or `file:` URL of the worker's entry, a file that Node runs as it is. */
  readonly entry: string;
  readonly clock: Clock;
  /** What an incarnation is told; called once when it is spawned. */
  toInit(input: WorkerActorInput): WorkerInit;
  /** Where a thread keeps its marks. */
  onVitals?(input: WorkerActorInput, vitals: SharedArrayBuffer): void;
  /** A line the agent's code printed: it must not reach the operator's terminal by itself. */
  onOutput(id: string, line: string): void;
  /** Absent: every question is refused. */
  readonly onQuestion?: AnswerQuestion;
  onDefect(error: unknown, where: string): void;
}

/** The two ends of a callback actor, as a host gets them. */
export interface WorkerHostPort {
  readonly input: WorkerActorInput;
  report(event: WorkerHostEvent): void;
  receive(listener: (command: WorkerActorEvent) => void): void;
}

/** Environment of a worker: what programs need to run, and none of the supervisor's secrets. */
export function workerEnv(env: NodeJS.ProcessEnv): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of ['PATH', 'HOME', 'TZ', 'LANG', 'NODE_ENV', 'TMPDIR']) {
    const value = env[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

const MESSAGE_CHARS_MAX = 2_000;

/** The reports in what a worker sends, and its questions; of anything else, one warning. */
function createReportFilter(
  report: (event: WorkerReport) => void,
  desk: QuestionDesk | undefined,
): (message: unknown) => void {
  let hasWarned = false;
  return (message) => {
    const asked = desk?.take(message) ?? 'other';
    if (asked === 'taken') return;
    const checked = toReport(message);
    if (checked) report(checked);
    else if (!hasWarned) {
      hasWarned = true;
      const what = isRecord(message) ? toText(message.type).slice(0, 80) : typeof message;
      const text = `Something in the agent sent the supervisor a message it does not know (${what}); it is ignored`;
      report({ type: 'worker.warning', warning: { code: 'worker.protocol', message: text } });
    }
  };
}

/** For the host of a worker: whoever keeps count of it sees each report before the machine does. */
export function filterReports(
  port: WorkerHostPort,
  listeners: readonly { note(report: WorkerReport): void }[],
  desk?: QuestionDesk,
): (message: unknown) => void {
  return createReportFilter((report) => {
    for (const listener of listeners) listener.note(report);
    port.report(report);
  }, desk);
}

/** `send` reaches this incarnation and no other. */
export function openDesk(
  port: WorkerHostPort,
  options: WorkerHostOptions,
  send: (message: AnswerMessage) => void,
): QuestionDesk {
  const { id, dir } = port.input.agent.spec;
  const { onQuestion, onDefect } = options;
  return createQuestionDesk({ agent: { id, dir }, answer: onQuestion, send, onDefect });
}

function toReport(message: unknown): WorkerReport | undefined {
  if (!isRecord(message)) return undefined;
  switch (message.type) {
    case 'worker.heartbeat':
      return isBeat(message.beat) ? { type: 'worker.heartbeat', beat: message.beat } : undefined;
    case 'worker.ready':
      return toReady(message);
    case 'worker.draining':
    case 'worker.transportClosed':
      return { type: message.type };
    case 'worker.childStarting':
    case 'worker.childStarted':
    case 'worker.childEnded':
      return toChildReport(message);
    case 'worker.restartRequested':
      return typeof message.requestedBy === 'string'
        ? { type: message.type, requestedBy: message.requestedBy.slice(0, MESSAGE_CHARS_MAX) }
        : undefined;
    case 'worker.warning': {
      const warning = toWireError(message.warning);
      return warning && { type: message.type, warning };
    }
    case 'worker.failed': {
      const error = toWireError(message.error);
      return error && { type: message.type, error };
    }
    default:
      return undefined;
  }
}

function toReady(message: Record<string, unknown>): WorkerReport | undefined {
  const { port, transport, transportNote, survivesTerminate, model } = message;
  if (!Number.isInteger(port) || (port as number) < 1 || (port as number) > 65_535) return undefined;
  if (transport !== 'uws' && transport !== 'node') return undefined;
  if (transportNote !== undefined && typeof transportNote !== 'string') return undefined;
  if (typeof survivesTerminate !== 'boolean' || typeof model !== 'string') return undefined;
  return { type: 'worker.ready', port: port as number, transport, transportNote, survivesTerminate, model };
}

function isBeat(value: unknown): value is Heartbeat {
  if (!isRecord(value)) return false;
  return (
    Number.isFinite(value.atMs) &&
    Number.isFinite(value.lagMs) &&
    Number.isFinite(value.progress) &&
    Number.isFinite(value.turnsRunning) &&
    Number.isFinite(value.turnsWaiting) &&
    Number.isFinite(value.sockets) &&
    isMemoryUse(value.memory) &&
    isTurnTotals(value.turns) &&
    isModelTotals(value.models) &&
    (value.task === undefined || (Number.isSafeInteger(value.task) && (value.task as number) > 0))
  );
}

function isTurnTotals(value: unknown): value is TurnTotals {
  return (
    isRecord(value) &&
    isCount(value.accepted) &&
    isCount(value.done) &&
    isCount(value.failed) &&
    isCount(value.cancelled) &&
    isCount(value.interrupted) &&
    isCount(value.tookMs) &&
    Array.isArray(value.took) &&
    value.took.length === TURN_SECONDS.length + 1 &&
    value.took.every(isCount)
  );
}

function isModelTotals(value: unknown): value is ModelTotals {
  return (
    isRecord(value) &&
    isCount(value.calls) &&
    isCount(value.failedCalls) &&
    isCount(value.inputTokens) &&
    isCount(value.outputTokens) &&
    isCount(value.costUsd)
  );
}

/** What counters are made of: they take no other. */
function isCount(value: unknown): value is number {
  return Number.isFinite(value) && (value as number) >= 0;
}

function isMemoryUse(value: unknown): value is MemoryUse {
  return (
    isRecord(value) &&
    Number.isFinite(value.heapUsed) &&
    Number.isFinite(value.external) &&
    Number.isFinite(value.arrayBuffers)
  );
}

/** A pid that is none would be signalled as a group: 0 and 1 are everybody's. */
function toChildReport(message: Record<string, unknown>): WorkerReport | undefined {
  const { type, child, command, pid, startTime } = message;
  if (!Number.isSafeInteger(child)) return undefined;
  const number = child as number;
  if (type === 'worker.childEnded') return { type, child: number };
  if (type === 'worker.childStarting') {
    return typeof command === 'string' ? { type, child: number, command: command.slice(0, 200) } : undefined;
  }
  if (type !== 'worker.childStarted' || !Number.isSafeInteger(pid) || (pid as number) < 2) return undefined;
  if (startTime !== undefined && typeof startTime !== 'string') return undefined;
  return { type, child: number, pid: pid as number, startTime };
}

function toWireError(value: unknown): WireError | undefined {
  if (!isRecord(value) || typeof value.message !== 'string') return undefined;
  if (typeof value.code !== 'string' || !Object.hasOwn(ERRORS, value.code)) return undefined;
  const error = { code: value.code as ErrorCode, message: value.message.slice(0, MESSAGE_CHARS_MAX) };
  return value.details === undefined ? error : { ...error, details: value.details };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** What V8 prints or throws when the heap of a worker is full before anybody saw it coming. */
const HEAP_FULL = /heap out of memory|ERR_WORKER_OUT_OF_MEMORY/;

/** Undefined for any other end. */
export function heapError(text: string, output: readonly string[]): WireError | undefined {
  if (!HEAP_FULL.test(text)) return undefined;
  const message = 'The agent filled its heap faster than it was looked at; it ended by that';
  return { code: 'agent.memory', message, details: { output } };
}

/** User code may have put anything in an error's place: nothing of it is run here, and nothing of it can throw. */
function describe(cause: unknown): string {
  if (!(cause instanceof Error)) return `Thrown: ${toText(cause)}`;
  if (typeof cause.stack === 'string') return cause.stack;
  return `${toText(cause.name)}: ${toText(cause.message)}`;
}

function toText(value: unknown): string {
  return typeof value === 'object' || typeof value === 'function'
    ? inspect(value, { depth: 1 })
    : String(value);
}

/** What an uncaught error says of itself: anything can be thrown, `null` too. */
export function crashError(cause: unknown, output: readonly string[]): WireError {
  const text = describe(cause);
  const lines = text.split('\n').map((line) => line.trim());
  const firstFrame = lines.findIndex((line) => line.startsWith('at '));
  const head = lines.slice(0, firstFrame < 0 ? 5 : firstFrame).join(' ');
  const stack = firstFrame < 0 ? [] : lines.slice(firstFrame, firstFrame + 5);
  return {
    code: 'agent.crashed',
    message: [head.slice(0, MESSAGE_CHARS_MAX), ...stack.slice(0, 1)].join(' '),
    details: { stack, output },
  };
}

export function exitedError(
  exitCode: number,
  signal: string | undefined,
  output: readonly string[],
): WireError {
  const how = signal === undefined ? `exited with code ${exitCode}` : `was ended by ${signal}`;
  return { code: 'agent.exited', message: `The agent ${how}`, details: { output } };
}
