/**
 * The life of one agent inside its thread or process: open in order (storage → turns → gateway), serve, drain, close.
 * Its output is the exit code; whatever fails in `opening` is the reason the supervisor shows.
 */
import { assign, fromPromise, setup } from 'xstate';
import { AppError, type WireError } from '../contract/errors.ts';
import type { ShutdownReason, TransportKind, WorkerCommand } from '../contract/worker-protocol.ts';

/** Everything an agent holds open. Opened once, closed once, in reverse order. */
export interface AgentResources {
  readonly port: number;
  readonly transport: TransportKind;
  readonly transportNote: string | undefined;
  readonly survivesTerminate: boolean;
  readonly model: string;
  /** Turns in progress go on, none begins. */
  beginDrain(reason: ShutdownReason): void;
  /** Resolves when no turn runs any more, at the latest soon after `drainMs`. */
  drained(drainMs: number): Promise<void>;
  /** Tells clients why, ends bridges, frees every handle, makes the journal durable. */
  close(reason: ShutdownReason, closeMs: number): Promise<void>;
}

export type AgentEvent = WorkerCommand;

interface AgentContext {
  readonly resources: AgentResources | undefined;
  readonly shutdown: WorkerCommand | undefined;
  readonly error: WireError | undefined;
}

const NO_SHUTDOWN: WorkerCommand = { type: 'shutdown', reason: 'stop', drainMs: 0, closeMs: 1_000 };

export const agentMachine = setup({
  types: {
    context: {} as AgentContext,
    events: {} as AgentEvent,
    output: {} as { exitCode: 0 | 1; error?: WireError },
    tags: {} as 'serving' | 'draining',
  },
  actors: {
    open: fromPromise<AgentResources>(async () => {
      throw new Error('agentMachine needs open: provide({ actors: { open } })');
    }),
    drain: fromPromise<void, { resources: AgentResources; drainMs: number }>(({ input }) =>
      input.resources.drained(input.drainMs),
    ),
    close: fromPromise<void, { resources: AgentResources; reason: ShutdownReason; closeMs: number }>(
      ({ input }) => input.resources.close(input.reason, input.closeMs),
    ),
  },
  actions: {
    keepResources: assign((_, { resources }: { resources: AgentResources }) => ({ resources })),
    keepError: assign((_, { error }: { error: unknown }) => ({ error: AppError.toWire(error) })),
    keepShutdown: assign(({ event }) => ({ shutdown: event })),
    keepReason: assign(({ context, event }) => ({
      shutdown: { ...(context.shutdown ?? event), reason: event.reason },
    })),
    beginDrain: ({ context }) => context.resources?.beginDrain((context.shutdown ?? NO_SHUTDOWN).reason),
  },
  guards: {
    isShutdownWanted: ({ context }) => context.shutdown !== undefined,
    isSooner: ({ context, event }) => event.drainMs < (context.shutdown ?? event).drainMs,
  },
}).createMachine({
  id: 'agent',
  context: { resources: undefined, shutdown: undefined, error: undefined },
  initial: 'opening',
  output: ({ context }) => (context.error ? { exitCode: 1, error: context.error } : { exitCode: 0 }),
  states: {
    opening: {
      invoke: {
        src: 'open',
        onDone: {
          target: 'opened',
          actions: { type: 'keepResources', params: ({ event }) => ({ resources: event.output }) },
        },
        onError: {
          target: 'closed',
          actions: { type: 'keepError', params: ({ event }) => ({ error: event.error }) },
        },
      },
      // What is being opened cannot be left half open: it is closed as soon as it is there.
      on: { shutdown: { actions: 'keepShutdown' } },
    },
    opened: { always: [{ guard: 'isShutdownWanted', target: 'draining' }, { target: 'serving' }] },
    serving: {
      tags: 'serving',
      on: { shutdown: { target: 'draining', actions: 'keepShutdown' } },
    },
    draining: {
      tags: 'draining',
      entry: 'beginDrain',
      invoke: {
        src: 'drain',
        input: ({ context }) => ({
          resources: context.resources as AgentResources,
          drainMs: (context.shutdown ?? NO_SHUTDOWN).drainMs,
        }),
        onDone: 'closing',
        onError: {
          target: 'closing',
          actions: { type: 'keepError', params: ({ event }) => ({ error: event.error }) },
        },
      },
      // Asked again: the last wish counts; a deadline is only ever made shorter.
      on: {
        shutdown: [
          { guard: 'isSooner', target: 'draining', reenter: true, actions: 'keepShutdown' },
          { actions: 'keepReason' },
        ],
      },
    },
    closing: {
      tags: 'draining',
      invoke: {
        src: 'close',
        input: ({ context }) => ({
          resources: context.resources as AgentResources,
          reason: (context.shutdown ?? NO_SHUTDOWN).reason,
          closeMs: (context.shutdown ?? NO_SHUTDOWN).closeMs,
        }),
        onDone: 'closed',
        onError: {
          target: 'closed',
          actions: { type: 'keepError', params: ({ event }) => ({ error: event.error }) },
        },
      },
    },
    closed: { type: 'final' },
  },
});
