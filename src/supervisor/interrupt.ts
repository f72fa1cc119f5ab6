/**
 * Reads and ends a thread that is stuck in JavaScript, from the main thread, through the built-in inspector and
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
/** How long a thread whose loop turns has to follow the request before it is cut into after all. */
const POLITE_MS = 400;
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
      // `workerId` only counts sessions; the title begins with the threadId, before the name that others may choose.
      if (!params.workerInfo.title.startsWith(`[worker ${threadId}]`)) return;
      converse(session, params.sessionId, { isTurning, clock, end });
    });
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  });
}

interface Conversation {
  readonly isTurning: boolean;
  readonly clock: Clock;
  end(result: Interruption): void;
}

/** The talk with one thread: pause, read, exit, resume; or only a request to exit, as long as that may work. */
function converse(session: Session, sessionId: string, { isTurning, clock, end }: Conversation): void {
  let messages = 0;
  const urls = new Map<string, string>();
  let stack: readonly string[] = [];
  let exitId = 0;
  let isGone = false;

  function send(method: string, params: object = {}): number {
    messages += 1;
    const message = JSON.stringify({ id: messages, method, params });
    session.post('NodeWorker.sendMessageToWorker', { sessionId, message });
    return messages;
  }

  session.on('NodeWorker.detachedFromWorker', ({ params }) => {
    if (params.sessionId !== sessionId) return;
    isGone = true;
    end({ stack });
  });
  session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
    if (params.sessionId !== sessionId) return;
    const script = SCRIPT_PARSED.exec(params.message);
    if (script) urls.set(script[1] ?? '', script[2] ?? '');
    else if (params.message.startsWith('{"method":"Debugger.paused"')) {
      stack = toStack(JSON.parse(params.message), urls);
      // Exit before it runs on: `Runtime.terminateExecution` first unwinds into a thread that is not stopping yet, and
      // ended the whole process with "async hook stack has become corrupted" in two of three runs on `Atomics.wait`.
      exitId = send('Runtime.evaluate', { expression: EXIT });
      send('Debugger.resume');
    } else if (exitId > 0 && params.message.startsWith(`{"id":${exitId},`)) end({ stack });
  });

  function cutIn(): void {
    if (isGone) return;
    send('Debugger.enable');
    send('Debugger.pause');
  }

  if (!isTurning) {
    cutIn();
    return;
  }
  send('Runtime.evaluate', { expression: `setImmediate(() => ${EXIT}); 0` });
  // It may have got stuck since it was watched. Once the thread is gone this talks to nobody.
  clock.setTimeout(cutIn, POLITE_MS);
}

/** `Debugger.enable` lists the thread's some hundred scripts, the only place where frames have their file from. */
const SCRIPT_PARSED = /^\{"method":"Debugger\.scriptParsed","params":\{"scriptId":"(\d+)","url":"([^"]*)"/;

interface PausedMessage {
  readonly params: {
    readonly callFrames: readonly {
      readonly functionName: string;
      readonly location: {
        readonly scriptId: string;
        readonly lineNumber: number;
        readonly columnNumber?: number;
      };
    }[];
  };
}

function toStack(paused: PausedMessage, urls: ReadonlyMap<string, string>): readonly string[] {
  return paused.params.callFrames.slice(0, FRAMES_MAX).map(({ functionName, location }) => {
    const url = urls.get(location.scriptId) ?? 'unknown';
    const place = `${url}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1}`;
    return `${functionName === '' ? '(anonymous)' : functionName} (${place})`;
  });
}
