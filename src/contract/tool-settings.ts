/**
 * What an agent is given of `tools:`, resolved by the supervisor's thread, with the defaults of all of it. Free of zod:
 * an agent loads it at its start.
 */

export const TOOL_DECISIONS = ['allow', 'ask', 'deny'] as const;
/** `ask`: a person decides about each call. */
export type ToolDecision = (typeof TOOL_DECISIONS)[number];

export interface ToolSettings {
  /** By name of a tool, or by pattern with `*`; the most particular one counts. */
  readonly policy: Readonly<Record<string, ToolDecision>>;
  /** How long a question to a person stays open. */
  readonly approvalMs: number;
  /** Of a call that has no time limit of its own. */
  readonly timeoutMs: number;
  /** What the model is given of a result, in characters. */
  readonly outputChars: number;
  readonly files: FileToolSettings;
  readonly shell: ShellToolSettings;
  readonly web: WebToolSettings;
}

export interface FileToolSettings {
  /** Absolute. */
  readonly roots: readonly string[];
  /** Largest file that is read or written. */
  readonly maxBytes: number;
}

export interface ShellToolSettings {
  readonly enabled: boolean;
  /** Programs that may be started; undefined: any. */
  readonly commands: readonly string[] | undefined;
  /** Longest time a program may be waited for. */
  readonly timeoutMs: number;
  /** Kept of what a program prints. */
  readonly outputChars: number;
}

export interface WebToolSettings {
  /** `host` (any port) or `host:port`, `*.host` for what is below. Wins over `denyHosts`; an exact one may be private. */
  readonly allowHosts: readonly string[];
  readonly denyHosts: readonly string[];
  /** Of hosts that `allowHosts` does not name. */
  readonly ports: readonly number[];
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/** Without roots: they depend on where the agent lies. */
export const DEFAULT_TOOLS = {
  policy: {},
  approvalMs: 300_000,
  timeoutMs: 120_000,
  outputChars: 50_000,
  files: { roots: [], maxBytes: 1024 * 1024 },
  shell: { enabled: false, commands: undefined, timeoutMs: 120_000, outputChars: 100_000 },
  web: { allowHosts: [], denyHosts: [], ports: [80, 443], maxBytes: 4 * 1024 * 1024, timeoutMs: 30_000 },
} as const satisfies ToolSettings;
