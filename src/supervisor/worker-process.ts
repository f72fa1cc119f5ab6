/**
 * The same worker in a process and a process group of its own: slower to start and heavier, but SIGKILL is always safe,
 * whatever native handles it holds, and takes everything it started with it. The secrets it needs travel as the first
 * message, never in its arguments or environment, which other users of the machine can read. When the supervisor dies
 * its channel closes, and the worker ends by itself.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { fromCallback } from 'xstate';
import type { WireError } from '../contract/errors.ts';
import type { AnswerMessage, NoticeMessage } from '../contract/host-link.ts';
import { MONITOR_FD } from '../contract/vitals.ts';
import type { WorkerCommand } from '../contract/worker-protocol.ts';
import { entryDir, toAutopsy } from './autopsy.ts';
import { createChildLedger } from './child-sweep.ts';
import { createMemorySampler, type MemorySampler, readResidentBytes } from './memory-sampler.ts';
import { createMonitorLink, type MonitorLink } from './monitor-link.ts';
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
import { createWorkerOutput } from './worker-output.ts';

/** How long after its exit a worker's pipes are read; something it started may hold them open. */
const PIPES_MS = 1_000;
/** Longest an exit is held back while what the worker started is ended. */
const SWEEP_MS = 1_000;

/** Node's, when its monitor ends a process that hung: nobody's debugger is meant, and nothing is waited for. */
const NODE_NOTICE = 'Waiting for the debugger to disconnect...';

export function createWorkerProcess(options: WorkerHostOptions) {
  return fromCallback<WorkerActorEvent, WorkerActorInput>(({ input, sendBack, receive }) =>
    hostProcess({ input, report: sendBack, receive }, options),
  );
}

/** Owns one process group from fork to exit; gives back what to do when the actor is stopped before that. */
export function hostProcess(port: WorkerHostPort, options: WorkerHostOptions): () => void {
  const { id } = port.input.agent.spec;
  const children = createChildLedger(port.input.agent.spec.dir, options.onDefect);
  const output = createWorkerOutput(port.input.agent.settings.secrets, (line) => {
    if (line !== NODE_NOTICE) options.onOutput(id, line);
  });
  const child = forkWorker(port, options);
  if (!child) return () => {};
  const monitor = createMonitorLink(child.stdio[MONITOR_FD], options.clock);
  let hasExited = false;
  let startError: WireError | undefined;

  const onDefect = (cause: unknown) => options.onDefect(cause, `process of ${id}`);
  output.read(child.stdout);
  output.read(child.stderr);
  const memory = watchMemory(child, port, options);
  let examining: Promise<void> = Promise.resolve();
  const desk = openDesk(port, options, (message) => send(child, message, onDefect));
  child.on('message', filterReports(port, [children, memory], desk));
  onExit(child, options, (exitCode, signal, spawnError) => {
    hasExited = true;
    desk.close();
    memory.stop();
    const error = spawnError ?? startError ?? toExitError(exitCode, signal, output.tail());
    const exited = {
      type: 'worker.exited',
      exitCode,
      ...(signal === undefined ? {} : { signal }),
      error,
    } as const;
    // The next incarnation must not meet what this one started, and what was read of a hang comes before its end.
    void within(Promise.all([children.sweep(), examining]), options).then(() => port.report(exited));
  });

  try {
    child.send(options.toInit(port.input), () => {});
  } catch (cause) {
    // It would wait for ever for what it is to do; its exit carries the reason.
    onDefect(cause);
    startError = crashError(cause, []);
    killGroup(child, onDefect);
  }
  port.receive((command) => {
    if (hasExited) return;
    if (command.type === 'killChildren') {
      killGroup(child, onDefect);
      children.kill();
      return;
    }
    // Cutting into it would save nothing that SIGKILL does not: that rung of the ladder does not exist here.
    if (command.type === 'terminate' || command.type === 'interrupt') killGroup(child, onDefect);
    else if (command.type === 'examine') examining = examine(monitor, port, options, output.tail());
    else send(child, command, onDefect);
  });
  return () => {
    if (!hasExited) killGroup(child, onDefect);
  };
}

function watchMemory(child: ChildProcess, port: WorkerHostPort, { clock }: WorkerHostOptions): MemorySampler {
  return createMemorySampler({
    spec: port.input.agent.spec,
    clock,
    read: async () => readResidentBytes(child.pid),
    toBytes: ({ heapUsed, external }) => readResidentBytes(child.pid) ?? heapUsed + external,
    report: port.report,
  });
}

function forkWorker(port: WorkerHostPort, options: WorkerHostOptions): ChildProcess | undefined {
  const { id } = port.input.agent.spec;
  try {
    const { entry } = options;
    return fork(entry.startsWith('file:') ? fileURLToPath(entry) : entry, [], {
      serialization: 'advanced',
      detached: true,
      execArgv: heapLimit(port.input.agent.spec.memoryHardBytes),
      env: workerEnv(process.env),
      // The last one leads to the agent's own monitor.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc', 'pipe'],
    });
  } catch (cause) {
    options.onDefect(cause, `start of ${id}`);
    port.report({ type: 'worker.exited', exitCode: 1, error: crashError(cause, []) });
    return undefined;
  }
}

async function examine(
  monitor: MonitorLink,
  port: WorkerHostPort,
  options: WorkerHostOptions,
  output: readonly string[],
): Promise<void> {
  const { activities, ...examination } = await monitor.examine();
  const places = { dir: port.input.agent.spec.dir, ownDir: entryDir(options.entry), output };
  port.report({ type: 'worker.examined', autopsy: await toAutopsy(examination, activities, places) });
}

/** Whoever fills its heap within a second ends by V8 instead, alone. */
function heapLimit(hardBytes: number | undefined): string[] {
  return hardBytes === undefined ? [] : [`--max-old-space-size=${Math.ceil(hardBytes / 1024 / 1024)}`];
}

function within(work: Promise<unknown>, { clock }: WorkerHostOptions): Promise<unknown> {
  return Promise.race([work, new Promise<void>((resolve) => void clock.setTimeout(resolve, SWEEP_MS))]);
}

/** Calls back once: after the exit and what its pipes still held, or when there never was a process. */
function onExit(
  child: ChildProcess,
  options: WorkerHostOptions,
  report: (exitCode: number, signal: string | undefined, spawnError?: WireError) => void,
): void {
  let isOver = false;
  const finish = (exitCode: number, signal: string | undefined, spawnError?: WireError) => {
    if (isOver) return;
    isOver = true;
    report(exitCode, signal, spawnError);
  };
  const settle = (code: number | null, signal: NodeJS.Signals | null) =>
    finish(code ?? 128 + (signal === null ? 0 : constants.signals[signal]), signal ?? undefined);

  child.on('error', (cause) => {
    // With a process there is an exit as well; this one only says that a message or a signal did not arrive.
    if (child.pid === undefined) finish(1, undefined, crashError(cause, []));
  });
  child.on('exit', (code, signal) => {
    // Its group outlives the worker if it started something; the next incarnation must not meet that.
    killGroup(child, (cause) => options.onDefect(cause, 'process group'));
    options.clock.setTimeout(() => settle(code, signal), PIPES_MS);
  });
  child.on('close', settle);
}

/** A message that does not arrive concerns a process that is ending; its exit says so. */
function send(
  child: ChildProcess,
  message: WorkerCommand | AnswerMessage | NoticeMessage,
  onDefect: (cause: unknown) => void,
): void {
  try {
    if (child.connected) child.send(message, () => {});
  } catch (cause) {
    onDefect(cause);
  }
}

function killGroup(child: ChildProcess, onDefect: (cause: unknown) => void): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (cause) {
    // ESRCH: nobody of the group is left, which is what was wanted.
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') onDefect(cause);
  }
}

/** Node prints an uncaught error and its own version last; that is all that is known of it from outside. */
function toExitError(exitCode: number, signal: string | undefined, lines: readonly string[]): WireError {
  const full = heapError(lines.join('\n'), lines);
  if (full !== undefined) return full;
  const firstFrame = lines.findIndex((line) => line.trim().startsWith('at '));
  const isUncaught = exitCode !== 0 && firstFrame > 0 && lines.some((line) => line.startsWith('Node.js v'));
  if (signal !== undefined || !isUncaught) return exitedError(exitCode, signal, lines);
  const stack = lines.slice(firstFrame, firstFrame + 5).map((line) => line.trim());
  const message = `${lines[firstFrame - 1]} ${stack[0]}`;
  return { code: 'agent.crashed', message, details: { stack, output: lines } };
}
