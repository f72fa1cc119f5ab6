/**
 * What a thread holds, asked from the main thread through the built-in inspector: it is answered in the middle of a
 * loop that never ends. `Runtime.getHeapUsage` does not count Buffers on Node 20, so the thread's own account is read;
 * that only looks, and is safe at any point of its code. A thread in native code does not answer.
 */
import { Session } from 'node:inspector';
import type { Worker } from 'node:worker_threads';
import type { Clock } from '../contract/clock.ts';

const ANSWER_MS = 300;
const [ENABLE, PAUSE, ASK, RESUME, DISABLE] = [1, 2, 3, 4, 5];
const EXPRESSION = '(({ heapUsed, external }) => heapUsed + external)(process.memoryUsage())';

/** To be called while nobody else talks to a thread. */
export function readThreadMemory({ threadId }: Worker, clock: Clock): Promise<number | undefined> {
  return new Promise((resolve) => {
    // Threads that are gone have no id, and an inspector would never hear of them.
    if (threadId < 0) return resolve(undefined);
    const session = new Session();
    const timer = clock.setTimeout(() => end(undefined), ANSWER_MS);
    let isOver = false;

    function end(usedBytes: number | undefined): void {
      if (isOver) return;
      isOver = true;
      clock.clearTimeout(timer);
      session.post('NodeWorker.disable');
      session.disconnect();
      resolve(usedBytes);
    }

    session.connect();
    session.on('NodeWorker.attachedToWorker', ({ params: { sessionId, workerInfo } }) => {
      // `workerId` only counts sessions; the title begins with the threadId, before the name that others may choose.
      if (workerInfo.title.startsWith(`[worker ${threadId}]`)) converse(session, sessionId, end);
    });
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  });
}

/**
 * Pause, ask, resume. Asking without the pause runs JavaScript from inside an interrupt: in one of five runs that ended
 * the whole process with SIGSEGV while the thread was filling its heap.
 */
function converse(session: Session, sessionId: string, end: (usedBytes: number | undefined) => void): void {
  let usedBytes: number | undefined;
  const send = (id: number, method: string, params: object = {}) =>
    session.post('NodeWorker.sendMessageToWorker', {
      sessionId,
      message: JSON.stringify({ id, method, params }),
    });
  session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
    if (params.sessionId !== sessionId) return;
    if (params.message.startsWith('{"method":"Debugger.paused"')) {
      send(ASK, 'Runtime.evaluate', { expression: EXPRESSION, returnByValue: true, silent: true });
    } else if (params.message.startsWith(`{"id":${ASK},`)) {
      usedBytes = toBytes(params.message);
      send(RESUME, 'Debugger.resume');
      send(DISABLE, 'Debugger.disable');
    } else if (params.message.startsWith(`{"id":${DISABLE},`)) end(usedBytes);
  });
  send(ENABLE, 'Debugger.enable');
  send(PAUSE, 'Debugger.pause');
}

function toBytes(message: string): number | undefined {
  const answer = JSON.parse(message) as { result?: { result?: { value?: unknown } } };
  const value = answer.result?.result?.value;
  return typeof value === 'number' ? value : undefined;
}
