/**
 * Reads and ends a thread that is stuck in JavaScript, from the main thread, through the built-in inspector and
 * without a port. `terminate()` would abort the whole process if the thread holds uWebSockets handles; here the thread
 * runs its own exit hook. A thread whose event loop turns is only asked to exit: cutting into it between two callbacks
 * can corrupt its async-hook stack, which ends the process.
 */
import { Session } from 'node:inspector';
import type { Worker } from 'node:worker_threads';
import { type Deadline, startDeadline } from '../autopsy/deadline.ts';
import {
  type Debuggee,
  EXIT_EXPRESSION,
  type Examination,
  examine,
  type Frame,
  NO_ANSWER,
  type PausedParams,
  pause,
  toFrames,
} from '../autopsy/examine.ts';
import type { Clock } from '../contract/clock.ts';
import { readVitals } from '../contract/vitals.ts';

export { INTERRUPTED_EXIT_CODE } from '../autopsy/examine.ts';

export type Interruption = { readonly frames: readonly Frame[] } | 'no answer';

/** Neither rejects; that the thread has exited is seen by whoever owns the worker. */
export interface Interrupter {
  /** Ends it, whether stuck or not. Frames are empty when the loop turned. */
  interrupt(worker: Worker): Promise<Interruption>;
  /** Reads it, and ends it unless it gives a sign of life in its vitals or does not answer. */
  examine(worker: Worker, vitals: SharedArrayBuffer, ownDir: string): Promise<Examination>;
  /** Any other talk with a thread, while nobody else has one; `otherwise` when it fails. */
  inTurn<T>(talk: () => Promise<T>, otherwise: T): Promise<T>;
}

/** How long a loop is watched for a moment of rest. */
const PROBE_MS = 100;
/** How long a thread whose loop turns has to follow the request before it is cut into after all. */
const POLITE_MS = 400;

/** One per process: it makes sure that only one inspector session is open at a time. */
export function createInterrupter(clock: Clock): Interrupter {
  let last: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>, otherwise: T): Promise<T> => {
    const answered = last.then(work).catch(() => otherwise);
    last = answered;
    return answered;
  };
  return {
    interrupt: (worker) => inTurn(() => end(worker, clock), 'no answer'),
    examine: (worker, vitals, ownDir) =>
      inTurn(() => examineThread(worker, vitals, ownDir, clock), NO_ANSWER),
    inTurn,
  };
}

async function end(worker: Worker, clock: Clock): Promise<Interruption> {
  const isTurning = await turns(worker, clock);
  return withThread<Interruption>(worker.threadId, 'no answer', clock, async (thread) => {
    await thread.post('Debugger.enable');
    if (isTurning) {
      await askToExit(thread, clock);
      if (thread.isGone()) return { frames: [] };
    }
    const frames = toFrames(await pause(thread, (ms) => wait(clock, ms)), thread);
    const exit = [
      thread.post('Runtime.evaluate', { expression: EXIT_EXPRESSION }),
      thread.post('Debugger.resume'),
    ];
    await Promise.race([thread.gone, Promise.allSettled(exit)]);
    return { frames };
  });
}

/**
 * For a thread whose loop turns: it exits by itself, between two callbacks. Asked while it is paused, or rests: running
 * JavaScript from inside an interrupt of other JavaScript can end the whole process.
 */
async function askToExit(thread: Thread, clock: Clock): Promise<void> {
  const paused = thread.paused();
  await thread.post('Debugger.pause');
  await Promise.race([paused, thread.gone, wait(clock, POLITE_MS)]);
  void thread.post('Runtime.evaluate', { expression: `setImmediate(() => ${EXIT_EXPRESSION}); 0` });
  // One that rested is paused only by what it was just asked.
  void paused.then(() => thread.post('Debugger.resume'));
  // It may have got stuck since it was watched.
  await Promise.race([thread.gone, wait(clock, POLITE_MS)]);
}

async function examineThread(
  worker: Worker,
  vitals: SharedArrayBuffer,
  ownDir: string,
  clock: Clock,
): Promise<Examination> {
  let known = readVitals(vitals);
  let loop = worker.performance.eventLoopUtilization();
  const hasMoved = (): boolean => {
    const [before, now] = [known, readVitals(vitals)];
    const hasRested = worker.performance.eventLoopUtilization(loop).idle > 0;
    known = now;
    loop = worker.performance.eventLoopUtilization();
    return hasRested || now.beats !== before.beats || now.progress !== before.progress;
  };
  let ending = NO_ANSWER;
  const onEnding = (examination: Examination): void => {
    ending = examination;
  };
  const examined = await withThread(worker.threadId, undefined, clock, (thread, deadline) => {
    const onPaused = deadline.extend;
    const work = examine(thread, { wait: (ms) => wait(clock, ms), hasMoved, ownDir, onPaused, onEnding });
    // Gone in the middle: told to exit, or by itself; there is nothing left to end either way.
    return Promise.race([work, thread.gone.then((): Examination => ({ ...ending, outcome: 'ended' }))]);
  });
  return examined ?? ending;
}

function wait(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.setTimeout(resolve, ms));
}

/** Whether the thread's event loop rested at all within the probe: a stuck one has no idle time. */
async function turns(worker: Worker, clock: Clock): Promise<boolean> {
  const before = worker.performance.eventLoopUtilization();
  await wait(clock, PROBE_MS);
  return worker.performance.eventLoopUtilization(before).idle > 0;
}

interface Thread extends Debuggee {
  /** Resolves when the thread has ended. */
  readonly gone: Promise<void>;
  isGone(): boolean;
}

/**
 * Opens a session to one thread for as long as `talk` takes; `otherwise` when it does not answer in time: the next one
 * waiting for the inspector has its turn then.
 */
async function withThread<T>(
  threadId: number,
  otherwise: T,
  clock: Clock,
  talk: (thread: Thread, deadline: Deadline) => Promise<T>,
): Promise<T> {
  // Threads that are gone have no id, and an inspector would never hear of them.
  if (threadId < 0) return otherwise;
  const session = new Session();
  const deadline = startDeadline(clock);
  try {
    session.connect();
    const attached = attach(session, threadId);
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
    const talked = attached.then((sessionId) => talk(openThread(session, sessionId), deadline));
    return await Promise.race([talked, deadline.passed.then(() => otherwise)]);
  } finally {
    deadline.clear();
    session.post('NodeWorker.disable');
    session.disconnect();
  }
}

function attach(session: Session, threadId: number): Promise<string> {
  return new Promise((resolve) => {
    session.on('NodeWorker.attachedToWorker', ({ params }) => {
      // `workerId` only counts sessions; the title begins with the threadId, before the name that others may choose.
      if (params.workerInfo.title.startsWith(`[worker ${threadId}]`)) resolve(params.sessionId);
    });
  });
}

interface Answer {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

function openThread(session: Session, sessionId: string): Thread {
  const urls = new Map<string, string>();
  const answers = new Map<number, (answer: Answer) => void>();
  let onPaused: (params: PausedParams) => void = () => {};
  let messages = 0;
  let isGone = false;
  const gone = new Promise<void>((resolve) => {
    session.on('NodeWorker.detachedFromWorker', ({ params }) => {
      if (params.sessionId !== sessionId) return;
      isGone = true;
      resolve();
    });
  });

  session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
    if (params.sessionId !== sessionId) return;
    const script = SCRIPT_PARSED.exec(params.message);
    if (script) {
      urls.set(script[1] ?? '', script[2] ?? '');
      return;
    }
    const answer = JSON.parse(params.message) as Answer;
    if (answer.method === 'Debugger.paused') onPaused(answer.params as PausedParams);
    else if (answer.id !== undefined) answers.get(answer.id)?.(answer);
  });

  return {
    gone,
    isGone: () => isGone,
    urlOf: (scriptId) => urls.get(scriptId) ?? 'unknown',
    paused: () =>
      new Promise((resolve) => {
        onPaused = resolve;
      }),
    post: (method, params = {}) =>
      new Promise((resolve, reject) => {
        messages += 1;
        const id = messages;
        answers.set(id, ({ error, result }) => {
          answers.delete(id);
          if (error) reject(new Error(`${method}: ${error.message}`));
          else resolve(result);
        });
        const message = JSON.stringify({ id, method, params });
        session.post('NodeWorker.sendMessageToWorker', { sessionId, message });
      }),
  };
}

/** `Debugger.enable` lists the thread's some hundred scripts, the only place where frames have their file from. */
const SCRIPT_PARSED = /^\{"method":"Debugger\.scriptParsed","params":\{"scriptId":"(\d+)","url":"([^"]*)"/;
