import type { WireError } from './errors.ts';
import type { Limits } from './limits.ts';
import type { McpSettings } from './mcp-settings.ts';
import type { ModelSettings } from './model-settings.ts';
import type { ScheduleSettings } from './schedule-settings.ts';
import type { ToolSettings } from './tool-settings.ts';

/** Bump on any incompatible change; both ends refuse a different version. */
export const WORKER_PROTOCOL = 2;

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export const TRANSPORTS = ['auto', 'uws', 'node'] as const;
export type TransportChoice = (typeof TRANSPORTS)[number];
export const ISOLATIONS = ['thread', 'process'] as const;
export type Isolation = (typeof ISOLATIONS)[number];

/**
 * What an agent needs to know of its own configuration, validated and resolved by the supervisor's thread: variables
 * are substituted, `~` is expanded, paths are absolute, defaults are filled in. Only this agent's secrets are in it.
 */
export interface AgentSettings {
  /** What clients see; several agents may share one. */
  readonly name: string;
  readonly systemPrompt: string;
  readonly model: ModelSettings;
  readonly gateway: GatewaySettings;
  readonly mcp: McpSettings;
  /** One entry per key under `channels:` other than `websocket`, as written there. */
  readonly bridges: readonly { readonly name: string; readonly config: Readonly<Record<string, unknown>> }[];
  readonly dbPath: string;
  readonly vaultPath: string;
  /** How long a deleted note can be restored. */
  readonly trashDays: number;
  readonly limits: Limits;
  readonly logging: {
    readonly level: LogLevel;
    /** Size at which `logs/events.jsonl` is rotated, in bytes, and how many old files stay. */
    readonly rotateBytes: number;
    readonly keepFiles: number;
  };
  readonly uploads: {
    /** Age at which an uploaded file is removed; undefined: never. */
    readonly retentionDays: number | undefined;
    /** Directories besides `uploads/`, `outputs/` and the vault from which files may be handed out. */
    readonly roots: readonly string[];
  };
  readonly tools: ToolSettings;
  /** Undefined: speech is not turned into text. */
  readonly transcription: TranscriptionSettings | undefined;
  readonly schedule: ScheduleSettings;
  /** Every secret value of this agent's configuration: the log removes them wherever they appear. */
  readonly secrets: readonly string[];
}

export type TranscriptionSettings = CommandTranscription | OnlineTranscription;

export interface CommandTranscription {
  /** A program and its arguments; `{file}` stands for the file. It prints the text. */
  readonly command: readonly [string, ...string[]];
  readonly timeoutMs: number;
}

export interface OnlineTranscription {
  readonly baseUrl: string;
  readonly apiKey: string | undefined;
  readonly modelId: string;
  readonly timeoutMs: number;
}

export interface GatewaySettings {
  /** Address to bind: `127.0.0.1` unless configured. */
  readonly host: string;
  readonly token: string | undefined;
  /** Host header names accepted besides loopback ones. */
  readonly allowedHosts: readonly string[];
  /** Origins accepted besides loopback ones, as `scheme://host[:port]`. */
  readonly allowedOrigins: readonly string[];
  /** `loopback`: REST without credential while the same peer holds an authenticated WebSocket. */
  readonly legacyRest: 'off' | 'loopback';
}

/** Which ports an agent may take, in the order in which it tries them. */
export interface PortPlan {
  /** Tried first when given: the port this agent had before. */
  readonly first: number | undefined;
  /** Then preferred … preferred + 99, ending at 65535; 0 means any free port. */
  readonly preferred: number;
  /** Ports that belong to other agents of this supervisor. */
  readonly taken: readonly number[];
}

/** Handed over once: `workerData` of a thread, the first message to a process. Survives structured clone. */
export interface WorkerInit {
  readonly protocol: typeof WORKER_PROTOCOL;
  readonly id: string;
  readonly dir: string;
  readonly version: string;
  /** 1 for the first start under this supervisor, one more each time. */
  readonly incarnation: number;
  readonly isolation: Isolation;
  readonly transport: TransportChoice;
  readonly ports: PortPlan;
  readonly settings: AgentSettings;
  readonly heartbeatMs: number;
  /** Of a thread: where its marks are seen while it is stuck (`vitals.ts`). */
  readonly vitals?: SharedArrayBuffer;
  /** Which life of the host this belongs to: stands in the agent's breadcrumb, so that an old one is told apart. */
  readonly hostBoot?: string;
  /** How long a process waits for the one that held the directory before it, in milliseconds. */
  readonly writerWaitMs?: number;
}

export type ShutdownReason = 'stop' | 'restart';

/**
 * Supervisor → worker. `shutdown` may come a second time with `drainMs: 0`, when the operator forces: the shorter times
 * count from then on.
 */
export type WorkerCommand = {
  readonly type: 'shutdown';
  readonly reason: ShutdownReason;
  /** Time for draining running turns, then for closing everything; both end within these, in milliseconds. */
  readonly drainMs: number;
  readonly closeMs: number;
};

/** Worker → supervisor. */
export type WorkerReport =
  | {
      readonly type: 'worker.ready';
      readonly port: number;
      readonly transport: TransportKind;
      /** Why the transport is not the default one, for the start line and agent-info. */
      readonly transportNote: string | undefined;
      readonly survivesTerminate: boolean;
      /** What `agent-info` calls the model, for the table. */
      readonly model: string;
    }
  | { readonly type: 'worker.heartbeat'; readonly beat: Heartbeat }
  | { readonly type: 'worker.draining' }
  /** The gateway's handles are gone: from here on the thread may be terminated. */
  | { readonly type: 'worker.transportClosed' }
  | { readonly type: 'worker.restartRequested'; readonly requestedBy: string }
  /** Something an operator should see on the start line: a bridge that cannot be loaded, a fallback. */
  | { readonly type: 'worker.warning'; readonly warning: WireError }
  | { readonly type: 'worker.failed'; readonly error: WireError }
  /** Told before the program is started: should the agent die in between, somebody knows that there may be one. */
  | { readonly type: 'worker.childStarting'; readonly child: number; readonly command: string }
  | {
      readonly type: 'worker.childStarted';
      readonly child: number;
      /** Also its process group. */
      readonly pid: number;
      /** As the system counts it; with the pid it means this very process. Undefined where it cannot be read. */
      readonly startTime: string | undefined;
    }
  | { readonly type: 'worker.childEnded'; readonly child: number };

export type TransportKind = 'uws' | 'node';

export interface Heartbeat {
  /** Monotonic milliseconds of the worker's own clock. */
  readonly atMs: number;
  /** How late the worker's timer fired, in milliseconds: the delay of its event loop. */
  readonly lagMs: number;
  /** Grows with every step of useful work: a turn accepted, a token, an outcome, a frame. */
  readonly progress: number;
  readonly turnsRunning: number;
  readonly turnsWaiting: number;
  readonly sockets: number;
  readonly memory: MemoryUse;
  readonly turns: TurnTotals;
  readonly models: ModelTotals;
  /** Its thread, or the process it has for itself, as Linux counts them; undefined elsewhere. */
  readonly task: number | undefined;
}

/** Upper bounds of `TurnTotals.took`, in seconds. A turn may be an echo or an hour of thought. */
export const TURN_SECONDS = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600] as const;

/** Of turns since this start of the agent. */
export interface TurnTotals {
  /** Durably; those that an earlier start accepted are counted there. */
  readonly accepted: number;
  /** By durable outcome, those of turns that an earlier start accepted too. */
  readonly done: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly interrupted: number;
  /** How many took how long from acceptance to outcome: one figure per bound of `TURN_SECONDS`, and one for the rest. */
  readonly took: readonly number[];
  readonly tookMs: number;
}

/** Of calls to models since this start of the agent; those to the echo model are not counted. */
export interface ModelTotals {
  readonly calls: number;
  readonly failedCalls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Of the calls whose price is known. */
  readonly costUsd: number;
}

/** What a worker's own JavaScript holds, in bytes. */
export interface MemoryUse {
  readonly heapUsed: number;
  /** Outside of the heap, Buffers counted. */
  readonly external: number;
  /** The part of `external` that is Buffers and other ArrayBuffers. */
  readonly arrayBuffers: number;
}

/** What the host of a worker reports when it is gone; made by the supervisor's side, never sent. */
export type WorkerExited = {
  readonly type: 'worker.exited';
  readonly exitCode: number;
  readonly signal?: string;
  readonly error?: WireError;
};
