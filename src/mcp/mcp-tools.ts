/**
 * The MCP servers of an agent: each in an actor of its own, connected side by side once the gateway listens, and never
 * waited for by anything that does not use them. The SDK behind them is loaded with the first connection.
 */
import { join } from 'node:path';
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { Limits } from '../contract/limits.ts';
import type { McpSettings } from '../contract/mcp-settings.ts';
import type { Log } from '../logging/log.ts';
import type { Tool, ToolSource } from '../tools/tool.ts';
import { toBounds } from './bounds.ts';
import type { OpenConnection, StartProgram } from './connection.ts';
import { type McpServerStatus, SupervisedServer } from './supervised-server.ts';
import { createToolNames } from './tool-names.ts';
import { openToolPins } from './tool-pins.ts';

export interface McpToolsOptions {
  readonly settings: McpSettings;
  /** The agent's directory: programs run there, and what was approved is kept there. */
  readonly dir: string;
  readonly version: string;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Log;
  /** `ChildProcesses.spawn` of the agent. */
  readonly start: StartProgram;
  /** In [0, 1): spreads the restarts. */
  readonly random: () => number;
  /** The state or the tools of a server are no longer what they were. */
  readonly onChange?: (server: string) => void;
  /** What must not be shown, wherever a server prints it. */
  readonly secrets: readonly string[];
  readonly open?: OpenConnection;
}

export interface McpTools {
  /** Of the enabled servers. Asking is wanting: one that has failed is tried again now and then. */
  sources(): readonly ToolSource[];
  states(): readonly McpServerStatus[];
  /** What is offered now, by server. */
  offered(): readonly { readonly server: string; readonly tools: readonly Tool[] }[];
  /** Resolves when every server has been ready or has failed once, after `timeoutMs` at the latest. Never rejects. */
  settled(timeoutMs: number): Promise<void>;
  /** Throws `mcp.not_found`. */
  retry(server: string): void;
  /** What its tools are now is what they shall be. Rejects with `mcp.not_found` or `mcp.unavailable`. */
  approve(server: string): Promise<void>;
  /** Ends the servers' programs; resolves at the deadline at the latest. */
  stop(deadlineMs: number): Promise<void>;
}

/** What was approved; in the agent's directory. */
export const PINS_FILE = '.mcp-tools.json';

/** Loading the SDK takes a while of the thread: those who wait for the agent to be up come first. */
const START_MS = 50;

export function createMcpTools(options: McpToolsOptions): McpTools {
  const { settings, dir, clock, log, random, secrets } = options;
  const shared = {
    ...{ dir, clock, log, random, secrets },
    version: options.version,
    bounds: toBounds(options.limits),
    start: options.start,
    open: options.open ?? openLater,
    names: createToolNames(),
    pins: openToolPins({ file: join(dir, PINS_FILE), log }),
  };
  const servers = settings.servers.map(
    (server) =>
      new SupervisedServer({
        ...shared,
        settings: server,
        onChange: () => options.onChange?.(server.name),
      }),
  );
  const enabled = servers.filter((_, index) => settings.servers[index]?.enabled === true);
  const timer = clock.setTimeout(() => {
    for (const server of enabled) server.start();
  }, START_MS);

  const find = (name: string): SupervisedServer => {
    const found = servers.find((server) => server.name === name);
    if (found) return found;
    throw new AppError('mcp.not_found', `This agent runs no MCP server "${name.slice(0, 128)}"`);
  };

  return {
    sources: () => {
      for (const server of enabled) server.want();
      return enabled;
    },
    states: () => servers.map((server) => server.status()),
    offered: () => enabled.map((server) => ({ server: server.name, tools: server.tools() })),
    settled: (timeoutMs) =>
      new Promise((resolve) => {
        const late = clock.setTimeout(resolve, timeoutMs);
        void Promise.all(enabled.map((server) => server.settled)).then(() => {
          clock.clearTimeout(late);
          resolve();
        });
      }),
    retry: (server) => find(server).retry(),
    approve: async (server) => find(server).approve(),
    stop: async (deadlineMs) => {
      clock.clearTimeout(timer);
      await Promise.all(enabled.map((server) => server.stop(deadlineMs)));
    },
  };
}

async function openLater(...args: Parameters<OpenConnection>): ReturnType<OpenConnection> {
  const { openConnection } = await import('./open-connection.ts');
  return openConnection(...args);
}
