/**
 * Connects an agent to its supervisor, whether it lives in a thread or in a process, and ends the thread or process
 * with the agent's exit code. The only file on this side that knows which of the two it is.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { createActor, fromPromise } from 'xstate';
import { type Clock, systemClock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { AskMessage, HostMessage } from '../contract/host-link.ts';
import {
  WORKER_PROTOCOL,
  type WorkerCommand,
  type WorkerInit,
  type WorkerReport,
} from '../contract/worker-protocol.ts';
import { type AgentResources, agentMachine } from './agent.machine.ts';
import { createHostLink, type HostLink } from './host-link.ts';

export interface SupervisorPort {
  readonly init: WorkerInit;
  report(message: WorkerReport): void;
  /** Throws when the question cannot be sent at all. */
  ask(message: AskMessage): void;
  onMessage(listener: (message: WorkerCommand | HostMessage) => void): void;
  /** The channel is gone, before the agent's own end. */
  onLost(listener: () => void): void;
  /** Ends this thread or process; reports made before still arrive. */
  exit(code: number): void;
}

/** What `open` may ask of the agent it opens. */
export interface AgentPort extends Pick<HostLink, 'ask' | 'onNotice'> {
  readonly init: WorkerInit;
  report(message: WorkerReport): void;
  state(): 'starting' | 'running' | 'draining';
}

export async function connectSupervisor(): Promise<SupervisorPort> {
  return parentPort ? connectThread(parentPort) : connectProcess();
}

function connectThread(port: NonNullable<typeof parentPort>): SupervisorPort {
  return {
    init: workerData as WorkerInit,
    report: (message) => port.postMessage(message),
    ask: (message) => port.postMessage(message),
    onMessage: (listener) => void port.on('message', listener),
    // The main thread takes its threads with it.
    onLost: () => {},
    exit: (code) => process.exit(code),
  };
}

/** The first message is the init: secrets never stand in arguments or in the environment. */
async function connectProcess(): Promise<SupervisorPort> {
  const init = await new Promise<WorkerInit>((resolve) => process.once('message', resolve));
  return {
    init,
    report: (message) => void (process.connected && process.send?.(message)),
    ask: (message) => {
      // A pipe that breaks tells it by `disconnect`.
      if (process.connected) process.send?.(message, () => {});
    },
    onMessage: (listener) => {
      process.on('message', listener);
      // The supervisor is gone: nobody could restart or stop this agent, and its successor needs the directory.
      process.once('disconnect', () =>
        listener({ type: 'shutdown', reason: 'stop', drainMs: 0, closeMs: 1_000 }),
      );
    },
    onLost: (listener) => {
      process.once('disconnect', listener);
      if (!process.connected) listener();
    },
    // Messages are on their way through a pipe; the channel closes behind the last one.
    exit: (code) => {
      process.exitCode = code;
      if (process.connected) process.send?.({ type: 'worker.transportClosed' }, () => process.exit(code));
      else process.exit(code);
    },
  };
}

export function runWorker(
  supervisor: SupervisorPort,
  open: (agent: AgentPort) => Promise<AgentResources>,
  clock: Clock = systemClock,
): void {
  const { init } = supervisor;
  if (init.protocol !== WORKER_PROTOCOL) {
    const message = `Worker protocol ${init.protocol}, expected ${WORKER_PROTOCOL}: dist/ is of another version, run "npm run build"`;
    supervisor.report({ type: 'worker.failed', error: { code: 'worker.protocol', message } });
    return supervisor.exit(1);
  }
  const link = createHostLink(supervisor.ask, clock);
  supervisor.onLost(() => link.close('lost'));
  const port: AgentPort = {
    init,
    report: supervisor.report,
    ask: link.ask,
    onNotice: link.onNotice,
    state: () => {
      const snapshot = agent.getSnapshot();
      if (snapshot.hasTag('draining')) return 'draining';
      return snapshot.hasTag('serving') ? 'running' : 'starting';
    },
  };
  const agent = createActor(agentMachine.provide({ actors: { open: fromPromise(() => open(port)) } }));
  let isReady = false;
  agent.subscribe({
    next: (snapshot) => {
      const { resources } = snapshot.context;
      if (!isReady && snapshot.hasTag('serving') && resources) {
        isReady = true;
        supervisor.report(readyReport(resources));
      }
      if (snapshot.matches('draining')) supervisor.report({ type: 'worker.draining' });
      if (snapshot.status !== 'done') return;
      link.close('stopping');
      if (snapshot.output.error) supervisor.report({ type: 'worker.failed', error: snapshot.output.error });
      supervisor.exit(snapshot.output.exitCode);
    },
    error: (error) => {
      // A defect in the machine itself: die, so that the supervisor starts a fresh one.
      throw error instanceof Error ? error : new AppError('internal', String(error));
    },
  });
  supervisor.onMessage((message) => {
    if (message.type === 'host.answer' || message.type === 'host.notice') link.receive(message);
    else agent.send(message);
  });
  agent.start();
}

function readyReport(resources: AgentResources): WorkerReport {
  const { port, transport, transportNote, survivesTerminate, model } = resources;
  return { type: 'worker.ready', port, transport, transportNote, survivesTerminate, model };
}
