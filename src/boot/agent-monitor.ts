/**
 * A small thread beside the agent in an agent process: no port for a debugger is ever opened, and yet somebody can read
 * the agent's stack while it is stuck, and end it so that its exit hooks run. It looks when the supervisor asks over a
 * pipe of their own; and it ends a process that is stuck when its supervisor has died.
 */
import { Session } from 'node:inspector';
import { Socket } from 'node:net';
import { workerData } from 'node:worker_threads';
import { startDeadline } from '../autopsy/deadline.ts';
import {
  type Debuggee,
  type Examination,
  examine,
  NO_ANSWER,
  type PausedParams,
} from '../autopsy/examine.ts';
import { systemClock } from '../contract/clock.ts';
import { type Activity, MONITOR_FD, readVitals } from '../contract/vitals.ts';

/** For the agent to close what it has open; it takes a second. */
const ALONE_MS = 5_000;

const vitals = (workerData as { vitals: SharedArrayBuffer }).vitals;

const pipe = new Socket({ fd: MONITOR_FD, readable: true, writable: true });
pipe.setEncoding('utf8');
// Told by `close` as well.
pipe.on('error', () => {});
// The supervisor is gone, and the agent ends by itself, unless it hangs: then nobody else would ever end it, and its
// successor waits for the directory.
pipe.on('close', () => setTimeout(endProcess, ALONE_MS));
pipe.on('data', () => {
  const { activities } = readVitals(vitals);
  look(activities).then(
    (examination) => answer(examination, activities),
    () => answer(NO_ANSWER, activities),
  );
});

/** With its process group, which it is the head of. */
function endProcess(): void {
  try {
    process.kill(-process.pid, 'SIGKILL');
  } catch {
    process.kill(process.pid, 'SIGKILL');
  }
}

function answer(examination: Examination, activities: readonly Activity[]): void {
  pipe.write(`${JSON.stringify({ ...examination, activities })}\n`);
}

async function look(activities: readonly Activity[]): Promise<Examination> {
  // A slow disk is waited for, never cut into.
  if (activities.some(({ kind }) => kind === 'storage')) return NO_ANSWER;
  const session = new Session();
  session.connectToMainThread();
  const deadline = startDeadline(systemClock);
  try {
    let seen = readVitals(vitals);
    const hasMoved = (): boolean => {
      const before = seen;
      seen = readVitals(vitals);
      return seen.beats !== before.beats || seen.progress !== before.progress;
    };
    const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
    const ownDir = import.meta.dirname;
    // The process ends before this thread can tell of it otherwise.
    const onEnding = (examination: Examination): void => answer(examination, activities);
    const onPaused = deadline.extend;
    const examined = examine(openMain(session), { wait, hasMoved, ownDir, onPaused, onEnding });
    return await Promise.race([examined, deadline.passed.then(() => NO_ANSWER)]);
  } finally {
    deadline.clear();
    session.disconnect();
  }
}

function openMain(session: Session): Debuggee {
  const urls = new Map<string, string>();
  session.on('Debugger.scriptParsed', ({ params }) => void urls.set(params.scriptId, params.url));
  return {
    urlOf: (scriptId) => urls.get(scriptId) ?? 'unknown',
    paused: () =>
      new Promise((resolve) => {
        session.once('Debugger.paused', ({ params }) => resolve(params as PausedParams));
      }),
    post: (method, params = {}) =>
      new Promise((resolve, reject) => {
        session.post(method, params, (error: Error | null, result: unknown) => {
          if (error) reject(error);
          else resolve(result);
        });
      }),
  };
}
