/**
 * Reads, frees and ends a thread that is stuck in JavaScript, from the main thread, through the built-in inspector and
 * without a port. `terminate()` would abort the whole process if the thread holds uWebSockets handles; here the thread
 * runs its own exit hook. A thread whose event loop turns is only asked to exit: cutting into it between two callbacks
 * can corrupt its async-hook stack, which ends the process.
 */
import { Session } from 'node:inspector';
import type { Worker } from 'node:worker_threads';
import type { Clock } from '../contract/clock.ts';

/** Exit code of a thread that was ended this way. */
export const INTERRUPTED_EXIT_CODE = 71;

export type Interruption = { readonly stack: readonly string[] } | 'no answer';

export interface Interrupter {
  /**
   * Resolves when the thread has been told to exit; its exit itself is seen by whoever owns the worker. A stack is
   * empty when the loop turned. Never rejects.
   */
  interrupt(worker: Worker): Promise<Interruption>;
}

/** Longest a thread may take to answer; the next one waiting for the inspector has its turn then. */
const ANSWER_MS = 1_500;
/** How long a loop is watched for a moment of rest. */
const PROBE_MS = 100;
const FRAMES_MAX = 20;

const EXIT = `process.exit(${INTERRUPTED_EXIT_CODE})`;

/** One per process: it makes sure that only one inspector session is open at a time. */
export function createInterrupter(clock: Clock): Interrupter {
  let last: Promise<unknown> = Promise.resolve();
  return {
    interrupt: (worker) => {
      const turn = last.then(async () => {
        const isTurning = await turns(worker, clock);
        return endThread(worker.threadId, isTurning, clock);
      });
      const answered = turn.catch((): Interruption => 'no answer');
      last = answered;
      return answered;
    },
  };
}

/** Whether the thread's event loop rested at all within the probe: a stuck one has no idle time. */
async function turns(worker: Worker, clock: Clock): Promise<boolean> {
  const before = worker.performance.eventLoopUtilization();
  await new Promise<void>((resolve) => clock.setTimeout(resolve, PROBE_MS));
  return worker.performance.eventLoopUtilization(before).idle > 0;
}

function endThread(threadId: number, isTurning: boolean, clock: Clock): Promise<Interruption> {
  return new Promise((resolve) => {
    // Threads that are gone have no id, and an inspector would never hear of them.
    if (threadId < 0) return resolve('no answer');
    const session = new Session();
    const timer = clock.setTimeout(() => end('no answer'), ANSWER_MS);
    let isOver = false;

    function end(result: Interruption): void {
      if (isOver) return;
      isOver = true;
      clock.clearTimeout(timer);
      session.post('NodeWorker.disable');
      session.disconnect();
      resolve(result);
    }

    session.connect();
    session.on('NodeWorker.attachedToWorker', ({ params }) => {
      // The inspector calls the n-th thread of this process by the number that is its threadId.
      if (params.workerInfo.workerId !== String(threadId)) return;
      converse(session, params.sessionId, isTurning, end);
    });
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  });
}

/** The talk with one thread: pause, read, resume, cut, exit. */
function converse(
  session: Session,
  sessionId: string,
  isTurning: boolean,
  end: (result: Interruption) => void,
): void {
  let messages = 0;
  let stack: readonly string[] = [];
  let exitId = 0;

  function send(method: string, params: object = {}): number {
    messages += 1;
    const message = JSON.stringify({ id: messages, method, params });
    session.post('NodeWorker.sendMessageToWorker', { sessionId, message });
    return messages;
  }

  session.on('NodeWorker.detachedFromWorker', ({ params }) => {
    if (params.sessionId === sessionId) end({ stack });
  });
  session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
    if (params.sessionId !== sessionId) return;
    // `Debugger.enable` lists every script of the thread: only what we wait for is parsed.
    if (params.message.startsWith('{"method":"Debugger.paused"')) {
      stack = toStack(JSON.parse(params.message));
      send('Debugger.resume');
      send('Debugger.disable');
      send('Runtime.terminateExecution');
      exitId = send('Runtime.evaluate', { expression: EXIT });
    } else if (exitId > 0 && params.message.startsWith(`{"id":${exitId},`)) end({ stack });
  });

  if (isTurning) {
    exitId = send('Runtime.evaluate', { expression: `setImmediate(() => ${EXIT}); 0` });
  } else {
    send('Debugger.enable');
    send('Debugger.pause');
  }
}

interface PausedMessage {
  readonly params: {
    readonly callFrames: readonly {
      readonly functionName: string;
      readonly url: string;
      readonly location: { readonly lineNumber: number; readonly columnNumber?: number };
    }[];
  };
}

function toStack(paused: PausedMessage): readonly string[] {
  return paused.params.callFrames.slice(0, FRAMES_MAX).map(({ functionName, url, location }) => {
    const place = `${url}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1}`;
    return `${functionName === '' ? '(anonymous)' : functionName} (${place})`;
  });
}
