/**
 * The life of one MCP server beside the gateway. What is lost is connected again after a pause that grows; after so many
 * failures in a row it has failed, says why, and is tried again only when somebody wants its tools, and then not more
 * often than once in a while. Whatever it does, nobody waits for it here.
 */
import { assign, emit, fromPromise, setup } from 'xstate';
import type { McpConnection } from './connection.ts';

export type McpServerEvent =
  /** A turn would use its tools. */
  | { readonly type: 'want' }
  /** An operator asks for another attempt, at once. */
  | { readonly type: 'retry' }
  | { readonly type: 'stop'; readonly deadlineMs: number };

/** For log and clients; never for control flow. */
export type McpServerEmitted =
  | { readonly type: 'mcp.connected'; readonly connection: McpConnection }
  | { readonly type: 'mcp.lost'; readonly error: unknown }
  | { readonly type: 'mcp.retrying'; readonly error: unknown; readonly inMs: number }
  | { readonly type: 'mcp.gave_up'; readonly error: unknown; readonly attempts: number }
  | { readonly type: 'mcp.stopped' };

export interface CloseInput {
  readonly connection: McpConnection | undefined;
  readonly deadlineMs: number;
}

interface McpServerContext {
  readonly random: () => number;
  connection: McpConnection | undefined;
  /** In a row, without a stable time between them. */
  failures: number;
  /** Connections made after the first one. */
  restarts: number;
  hasBeenReady: boolean;
  pauseMs: number;
  stopMs: number;
  lastError: string | undefined;
}

const BACKOFF_MS_MIN = 500;
const BACKOFF_MS_MAX = 30_000;
export const FAILURES_MAX = 8;
const STABLE_MS = 60_000;
/** Between two attempts of one that has failed. */
const COOL_MS = 60_000;
/** For one that was lost to go, before another is started beside it. */
const LOST_CLOSE_MS = 1_000;

export const mcpServerMachine = setup({
  types: {
    input: {} as { readonly random: () => number },
    context: {} as McpServerContext,
    events: {} as McpServerEvent,
    emitted: {} as McpServerEmitted,
  },
  actors: {
    connect: fromPromise<McpConnection>(() => Promise.reject(new Error('nothing to connect with'))),
    watch: fromPromise<Error, { connection: McpConnection | undefined }>(
      async ({ input }) => (await input.connection?.lost) ?? new Error('there was no connection'),
    ),
    close: fromPromise<void, CloseInput>(async ({ input }) => input.connection?.close(input.deadlineMs)),
  },
  actions: {
    keep: assign(({ context }, params: { connection: McpConnection }) => ({
      connection: params.connection,
      restarts: context.hasBeenReady ? context.restarts + 1 : context.restarts,
      hasBeenReady: true,
      lastError: undefined,
    })),
    forgetConnection: assign({ connection: undefined }),
    forgetFailures: assign({ failures: 0 }),
    setDeadline: assign(({ event }) => (event.type === 'stop' ? { stopMs: event.deadlineMs } : {})),
    /** Full jitter below a bound that doubles with each failure in a row. */
    fail: assign(({ context }, params: { error: unknown }) => ({
      failures: context.failures + 1,
      lastError: toMessage(params.error),
      pauseMs: Math.round(
        (0.5 + context.random() / 2) * Math.min(BACKOFF_MS_MIN * 2 ** context.failures, BACKOFF_MS_MAX),
      ),
    })),
    reportConnected: emit((_, params: { connection: McpConnection }) => ({
      type: 'mcp.connected' as const,
      connection: params.connection,
    })),
    reportLost: emit((_, params: { error: unknown }) => ({ type: 'mcp.lost' as const, error: params.error })),
    reportRetrying: emit(({ context }) => ({
      type: 'mcp.retrying' as const,
      error: context.lastError,
      inMs: context.pauseMs,
    })),
    reportGaveUp: emit(({ context }) => ({
      type: 'mcp.gave_up' as const,
      error: context.lastError,
      attempts: context.failures,
    })),
    reportStopped: emit({ type: 'mcp.stopped' as const }),
  },
  guards: {
    hasFailedTooOften: ({ context }) => context.failures >= FAILURES_MAX,
  },
  delays: {
    pause: ({ context }) => context.pauseMs,
    stable: STABLE_MS,
    cool: COOL_MS,
  },
}).createMachine({
  id: 'mcp',
  context: ({ input }) => ({
    random: input.random,
    connection: undefined,
    failures: 0,
    restarts: 0,
    hasBeenReady: false,
    pauseMs: 0,
    stopMs: 0,
    lastError: undefined,
  }),
  initial: 'connecting',
  on: { stop: { target: '.closing', actions: 'setDeadline' } },
  states: {
    /** Leaving it aborts the attempt, which then ends what it started. */
    connecting: {
      invoke: {
        src: 'connect',
        onDone: {
          target: 'ready',
          actions: [
            { type: 'keep', params: ({ event }) => ({ connection: event.output }) },
            { type: 'reportConnected', params: ({ event }) => ({ connection: event.output }) },
          ],
        },
        onError: {
          target: 'deciding',
          actions: { type: 'fail', params: ({ event }) => ({ error: event.error }) },
        },
      },
    },

    ready: {
      invoke: {
        src: 'watch',
        input: ({ context }) => ({ connection: context.connection }),
        onDone: {
          target: 'lost',
          actions: [
            { type: 'fail', params: ({ event }) => ({ error: event.output }) },
            { type: 'reportLost', params: ({ event }) => ({ error: event.output }) },
          ],
        },
        onError: {
          target: 'lost',
          actions: { type: 'fail', params: ({ event }) => ({ error: event.error }) },
        },
      },
      after: { stable: { actions: 'forgetFailures' } },
    },

    /** Its program ends before the next one starts: two of them might hold the same file. */
    lost: {
      invoke: {
        src: 'close',
        input: ({ context }) => ({ connection: context.connection, deadlineMs: LOST_CLOSE_MS }),
        onDone: { target: 'deciding', actions: 'forgetConnection' },
        onError: { target: 'deciding', actions: 'forgetConnection' },
      },
    },

    deciding: {
      always: [{ guard: 'hasFailedTooOften', target: 'failed' }, { target: 'backoff' }],
    },

    backoff: {
      entry: 'reportRetrying',
      after: { pause: 'connecting' },
      on: { retry: 'connecting' },
    },

    failed: {
      entry: 'reportGaveUp',
      initial: 'cooling',
      states: {
        cooling: { after: { cool: 'cool' } },
        cool: { on: { want: '#mcp.connecting' } },
      },
      on: { retry: { target: 'connecting', actions: 'forgetFailures' } },
    },

    closing: {
      invoke: {
        src: 'close',
        input: ({ context }) => ({ connection: context.connection, deadlineMs: context.stopMs }),
        onDone: 'stopped',
        onError: 'stopped',
      },
      // Asked again: the time it has does not grow.
      on: { stop: {} },
    },

    stopped: { type: 'final', entry: 'reportStopped' },
  },
});

export function toMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
