/**
 * What the rest of this folder knows of a connection to an MCP server. How one is made, with the SDK behind it, stands
 * in `open-connection.ts`, which is loaded when the first server is connected: it is large, and most agents have none.
 */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import type { Clock } from '../contract/clock.ts';
import type { McpTarget } from '../contract/mcp-settings.ts';
import type { Log } from '../logging/log.ts';
import type { ToolResult } from '../tools/tool.ts';
import type { McpBounds } from './bounds.ts';

/** Starts a program at the head of a process group that ends with the agent. */
export type StartProgram = (
  command: string,
  args: readonly string[],
  options: Omit<SpawnOptions, 'detached' | 'env'> & { readonly env?: Readonly<Record<string, string>> },
) => ChildProcess;

export interface ConnectionOptions {
  readonly name: string;
  readonly target: McpTarget;
  /** Where its program runs. */
  readonly dir: string;
  /** Of this software, for the server to know. */
  readonly version: string;
  readonly bounds: McpBounds;
  readonly clock: Clock;
  readonly log: Log;
  readonly start: StartProgram;
}

/** A tool as its server describes it, within our bounds. */
export interface ListedTool {
  /** The server's own name for it. */
  readonly name: string;
  readonly description: string;
  readonly inputSchema: Readonly<Record<string, unknown>>;
  readonly readOnly: boolean;
  readonly idempotent: boolean;
  /** Of all of this as the server said it, before anything was cut. */
  readonly hash: string;
}

export interface ToolList {
  readonly tools: readonly ListedTool[];
  /** Why tools are missing: one sentence each, of at most a few. */
  readonly problems: readonly string[];
}

export interface CallOptions {
  readonly signal: AbortSignal;
  readonly report: (progress: string) => void;
}

export interface McpConnection {
  /** What it speaks: `auto` is decided. */
  readonly transport: 'stdio' | 'http' | 'sse';
  list(): ToolList;
  /** Told after each change of the list. */
  onList: (() => void) | undefined;
  /** As `Tool.run`, by the server's own name of the tool. */
  call(tool: string, args: Readonly<Record<string, unknown>>, options: CallOptions): Promise<ToolResult>;
  /** Resolves with the reason when it ends without having been closed; never rejects. */
  readonly lost: Promise<Error>;
  /** Ends the server's program too; resolves at the deadline at the latest. Again is harmless. */
  close(deadlineMs: number): Promise<void>;
}

export type OpenConnection = (options: ConnectionOptions, signal: AbortSignal) => Promise<McpConnection>;
