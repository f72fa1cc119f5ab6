/**
 * What a thread holds, asked from the main thread through the built-in inspector: it is answered in the middle of a
 * loop that never ends. `Runtime.getHeapUsage` does not count Buffers on Node 20, so the thread's own account is read;
 * that only looks, and is safe at any point of its code. A thread in native code does not answer.
 */
import { Session } from 'node:inspector';
import type { Worker } from 'node:worker_threads';
import type { Clock } from '../contract/clock.ts';

const ANSWER_MS = 300;
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
      if (!workerInfo.title.startsWith(`[worker ${threadId}]`)) return;
      session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
        if (params.sessionId === sessionId) end(toBytes(params.message));
      });
      const params = { expression: EXPRESSION, returnByValue: true, silent: true };
      const message = JSON.stringify({ id: 1, method: 'Runtime.evaluate', params });
      session.post('NodeWorker.sendMessageToWorker', { sessionId, message });
    });
    session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  });
}

function toBytes(message: string): number | undefined {
  const answer = JSON.parse(message) as { result?: { result?: { value?: unknown } } };
  const value = answer.result?.result?.value;
  return typeof value === 'number' ? value : undefined;
}
