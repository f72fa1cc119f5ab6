/**
 * Runs the user's bridges beside the gateway of their agent, one actor each. A bridge that cannot be loaded, throws or
 * ends harms neither the agent nor another bridge. What it throws from its own timers and callbacks is not caught: a
 * program in an unknown state is better restarted, and the supervisor does that with the whole agent.
 */
import { type Actor, createActor, fromPromise } from 'xstate';
import type { Clock } from '../contract/clock.ts';
import type { WireError } from '../contract/errors.ts';
import type { Vitals } from '../contract/vitals.ts';
import type { AgentSettings } from '../contract/worker-protocol.ts';
import type { Log, LogFields } from '../logging/log.ts';
import { type BridgeEmitted, bridgeMachine, type RunInput, runBridge } from './bridge.machine.ts';
import { type BridgeMarks, createBridgeMarks } from './bridge-marks.ts';
import { createBridgeLoader, type SpawnChild, toMessage, type UserBridgeOptions } from './bridge-module.ts';

export interface BridgeRunnerOptions {
  /** `<agent>/bridges`; need not exist. */
  readonly dir: string;
  readonly bridges: AgentSettings['bridges'];
  /** The WebSocket of the agent's own gateway, e.g. `ws://127.0.0.1:8765/ws`. */
  readonly gatewayUrl: string;
  readonly token: string | undefined;
  readonly log: Log;
  readonly spawn: SpawnChild;
  readonly clock: Clock;
  /** Told whenever code of a bridge runs. */
  readonly vitals?: Vitals;
  /** In [0, 1): spreads the restarts. */
  readonly random: () => number;
  /** For the operator's start line: told once for each different reason a bridge cannot be loaded. */
  readonly onWarning: (warning: WireError) => void;
}

export type BridgeState = 'loading' | 'running' | 'stopping' | 'backoff' | 'invalid' | 'stopped';

export interface BridgeStatus {
  /** The key under `channels:`. */
  readonly name: string;
  readonly state: BridgeState;
  readonly restarts: number;
  readonly lastError: string | undefined;
}

export interface BridgeRunner {
  states(): readonly BridgeStatus[];
  /** Aborts every signal; resolves when all have ended, at the deadline at the latest. */
  stop(deadlineMs: number): Promise<void>;
}

interface RunningBridge {
  readonly name: string;
  readonly actor: Actor<typeof bridgeMachine>;
  readonly ended: Promise<void>;
}

export function startBridges(options: BridgeRunnerOptions): BridgeRunner {
  const loader = createBridgeLoader(
    options.dir,
    options.bridges.map((bridge) => bridge.name),
  );
  const marks = options.vitals ? createBridgeMarks(options.vitals) : NO_MARKS;
  const running = options.bridges.map(({ name, config }): RunningBridge => {
    const userOptions = (): UserBridgeOptions => ({
      gateway: { url: options.gatewayUrl, token: options.token },
      // Its own copy for each start: what one run changes, the next does not see.
      config: structuredClone(config),
      log: createBridgeLog(options.log, name),
      spawn: options.spawn,
    });
    const machine = bridgeMachine.provide({
      actors: {
        load: fromPromise(() => marks.run(name, () => loader.open(name, userOptions()))),
        run: fromPromise<void, RunInput>(({ input }) => marks.run(name, () => runBridge(input))),
      },
    });
    const { clock } = options;
    const actor = createActor(machine, {
      id: `bridge ${name}`,
      input: { random: options.random },
      clock: {
        setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs),
        clearTimeout: (timer) => clock.clearTimeout(timer),
      },
    });
    actor.on('*', createReporter(name, options));
    const ended = new Promise<void>((resolve) => {
      actor.subscribe({
        complete: resolve,
        error: (error) => {
          options.log.error('bridge.error', { name, error: toMessage(error), stack: toStack(error) });
          resolve();
        },
      });
    });
    return { name, actor, ended };
  });
  for (const { actor } of running) actor.start();

  return {
    states: () => running.map(toStatus),
    stop: async (deadlineMs) => {
      for (const { actor } of running)
        if (actor.getSnapshot().status === 'active') actor.send({ type: 'stop', deadlineMs });
      await Promise.all(running.map(({ ended }) => ended));
    },
  };
}

const NO_MARKS: BridgeMarks = { run: (_, work) => work() };

function createReporter(name: string, options: BridgeRunnerOptions): (event: BridgeEmitted) => void {
  const { log, onWarning } = options;
  let warnedOf: string | undefined;
  return (event) => {
    switch (event.type) {
      case 'bridge.started':
        warnedOf = undefined;
        log.info('bridge.start', { name, file: event.file });
        return;
      case 'bridge.stopped':
        log[event.reason === 'abandoned' ? 'warn' : 'info']('bridge.stop', { name, reason: event.reason });
        return;
      case 'bridge.failed':
        log.error('bridge.error', {
          name,
          error: toMessage(event.error),
          stack: toStack(event.error),
          restart_in_ms: event.restartInMs,
        });
        return;
      case 'bridge.refused':
        // It is tried again and again: only news is worth a line.
        if (event.error.message === warnedOf) return;
        warnedOf = event.error.message;
        log.error('bridge.error', { name, code: event.error.code, error: event.error.message });
        onWarning(event.error);
    }
  };
}

/** Lines of a bridge say whose they are. */
function createBridgeLog(log: Log, bridge: string): Log {
  const own = (fields: unknown): LogFields => {
    // A bridge in JavaScript may pass anything; an Error or a text is worth keeping.
    const isPlain = typeof fields === 'object' && !(fields instanceof Error);
    return isPlain || fields === undefined ? { ...(fields as object), bridge } : { value: fields, bridge };
  };
  return {
    debug: (event, fields) => log.debug(event, own(fields)),
    info: (event, fields) => log.info(event, own(fields)),
    warn: (event, fields) => log.warn(event, own(fields)),
    error: (event, fields) => log.error(event, own(fields)),
    isEnabled: (level) => log.isEnabled(level),
  };
}

function toStatus({ name, actor }: RunningBridge): BridgeStatus {
  const snapshot = actor.getSnapshot();
  const { restarts, lastError } = snapshot.context;
  return { name, state: toState(snapshot.value), restarts, lastError };
}

function toState(value: ReturnType<Actor<typeof bridgeMachine>['getSnapshot']>['value']): BridgeState {
  return typeof value === 'object' ? value.active : value;
}

function toStack(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
