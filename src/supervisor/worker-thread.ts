/**
 * The only file that spawns worker threads. It reports every outcome as an event and never throws: an exception inside
 * a callback actor would skip its cleanup and leave a thread that nobody owns.
 */
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';
import { fromCallback } from 'xstate';
import type { WireError } from '../contract/errors.ts';
import { readVitals, VITALS_BYTES } from '../contract/vitals.ts';
import { entryDir, frameText, toAutopsy } from './autopsy.ts';
import { createChildLedger } from './child-sweep.ts';
import { readThreadMemory } from './heap-usage.ts';
import { createInterrupter, type Interrupter } from './interrupt.ts';
import { createMemorySampler, type MemorySampler } from './memory-sampler.ts';
import {
  crashError,
  exitedError,
  filterReports,
  heapError,
  openDesk,
  type WorkerActorEvent,
  type WorkerActorInput,
  type WorkerHostOptions,
  type WorkerHostPort,
  workerEnv,
} from './worker-host.ts';
import { createWorkerOutput, type WorkerOutput } from './worker-output.ts';

/** Longest an exit is held back for what is still to be told of the thread. */
const LAST_WORDS_MS = 500;

export function createWorkerThread(options: WorkerHostOptions) {
  const interrupter = createInterrupter(options.clock);
  return fromCallback<WorkerActorEvent, WorkerActorInput>(({ input, sendBack, receive }) =>
    hostThread({ input, report: sendBack, receive }, options, interrupter),
  );
}

/** Owns one thread from spawn to exit; gives back what to do when the actor is stopped before that. */
export function hostThread(
  port: WorkerHostPort,
  options: WorkerHostOptions,
  interrupter: Interrupter,
): () => void {
  const { id } = port.input.agent.spec;
  const children = createChildLedger(port.input.agent.spec.dir, options.onDefect);
  const output = createWorkerOutput(port.input.agent.settings.secrets, (line) => options.onOutput(id, line));
  const vitals = new SharedArrayBuffer(VITALS_BYTES);
  const worker = spawnThread(port, options, vitals);
  if (!worker) return () => {};
  options.onVitals?.(port.input, vitals);
  let error: WireError | undefined;
  let hasExited = false;
  let reading: Promise<void> = Promise.resolve();

  output.read(worker.stdout);
  output.read(worker.stderr);
  const memory = watchMemory(worker, port, options, interrupter);
  const desk = openDesk(port, options, (message) => worker.postMessage(message));
  worker.on('message', filterReports(port, [children, memory], desk));
  worker.on('messageerror', (cause) => options.onDefect(cause, `message of ${id}`));
  worker.on('error', (cause) => {
    error = heapError(String((cause as { code?: unknown } | null)?.code), []) ?? crashError(cause, []);
  });
  worker.on('exit', (exitCode) => {
    hasExited = true;
    desk.close();
    memory.stop();
    let hasReported = false;
    const report = () => {
      if (hasReported) return;
      hasReported = true;
      port.report({ type: 'worker.exited', exitCode, error: withOutput(error, exitCode, output) });
    };
    // After the exit nobody listens: where it hung must be told before, and what it printed last comes with the exit.
    void Promise.all([reading, children.sweep()]).then(() => setImmediate(report));
    options.clock.setTimeout(report, LAST_WORDS_MS);
  });

  port.receive((command) => {
    try {
      if (hasExited) return;
      if (command.type === 'killChildren') children.kill();
      else if (command.type === 'terminate') void worker.terminate();
      else if (command.type === 'interrupt') reading = interrupt(worker, port, interrupter);
      else if (command.type === 'examine')
        reading = examine(worker, vitals, port, options, interrupter, output.tail());
      else worker.postMessage(command);
    } catch (cause) {
      options.onDefect(cause, `${command.type} of ${id}`);
    }
  });
  return () => {
    // Stopped from outside while the thread lives: it may hold handles that forbid to terminate it, so it is asked.
    if (!hasExited) worker.postMessage({ type: 'shutdown', reason: 'stop', drainMs: 0, closeMs: 1_000 });
  };
}

function watchMemory(
  worker: Worker,
  port: WorkerHostPort,
  { clock }: WorkerHostOptions,
  interrupter: Interrupter,
): MemorySampler {
  return createMemorySampler({
    spec: port.input.agent.spec,
    clock,
    read: () => interrupter.inTurn(() => readThreadMemory(worker, clock), undefined),
    // Buffers are part of `external`.
    toBytes: ({ heapUsed, external }) => heapUsed + external,
    report: port.report,
  });
}

function spawnThread(
  port: WorkerHostPort,
  options: WorkerHostOptions,
  vitals: SharedArrayBuffer,
): Worker | undefined {
  const { id } = port.input.agent.spec;
  try {
    const { entry } = options;
    return new Worker(entry.startsWith('file:') ? new URL(entry) : pathToFileURL(entry), {
      name: `agent:${id}`,
      workerData: { ...options.toInit(port.input), vitals },
      env: workerEnv(process.env),
      execArgv: [],
      stdout: true,
      stderr: true,
    });
  } catch (cause) {
    options.onDefect(cause, `start of ${id}`);
    port.report({ type: 'worker.exited', exitCode: 1, error: crashError(cause, []) });
    return undefined;
  }
}

async function interrupt(worker: Worker, port: WorkerHostPort, interrupter: Interrupter): Promise<void> {
  const read = await interrupter.interrupt(worker);
  const stack = read === 'no answer' ? read : read.frames.map(frameText);
  port.report({ type: 'worker.interrupted', stack });
}

async function examine(
  worker: Worker,
  vitals: SharedArrayBuffer,
  port: WorkerHostPort,
  options: WorkerHostOptions,
  interrupter: Interrupter,
  output: readonly string[],
): Promise<void> {
  // Before it is ended: its way out changes them.
  const { activities } = readVitals(vitals);
  const places = { dir: port.input.agent.spec.dir, ownDir: entryDir(options.entry), output };
  const examination = await interrupter.examine(worker, vitals, places.ownDir);
  port.report({ type: 'worker.examined', autopsy: await toAutopsy(examination, activities, places) });
}

function withOutput(error: WireError | undefined, exitCode: number, output: WorkerOutput): WireError {
  if (!error) return exitedError(exitCode, undefined, output.tail());
  return { ...error, details: { ...(error.details as object), output: output.tail() } };
}
