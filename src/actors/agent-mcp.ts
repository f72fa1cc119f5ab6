/**
 * The agent's MCP servers, loaded once the gateway listens and only where there are any: an agent without them pays
 * nothing, and one with them is up before they are.
 */
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { McpService } from '../gateway/services/mcp-service.ts';
import type { Log } from '../logging/log.ts';
import type { McpTools } from '../mcp/mcp-tools.ts';
import type { ToolSource } from '../tools/tool.ts';
import type { ChildProcesses } from './child-processes.ts';
import type { AgentPort } from './run-worker.ts';

export interface AgentMcp extends McpService {
  /** Connects in the background; returns at once. */
  start(): void;
  /** Of the servers that are enabled; empty until they are loaded. */
  sources(): readonly ToolSource[];
  /** Resolves when each has been ready or has failed once, at the latest after `timeoutMs`. Never rejects. */
  settled(timeoutMs: number): Promise<void>;
  stop(deadlineMs: number): Promise<void>;
  /** Told the name of a server whose state or tools have changed. */
  onChange: ((server: string) => void) | undefined;
}

export interface AgentMcpOptions {
  readonly agent: Pick<AgentPort, 'init'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly children: Pick<ChildProcesses, 'spawn'>;
}

export function createAgentMcp({ agent, clock, log, children }: AgentMcpOptions): AgentMcp {
  const { dir, version, settings } = agent.init;
  let loading: Promise<McpTools | undefined> | undefined;
  let loaded: McpTools | undefined;
  let isStopped = false;

  const load = async (): Promise<McpTools | undefined> => {
    const { createMcpTools } = await import('../mcp/mcp-tools.ts');
    if (isStopped) return undefined;
    loaded = createMcpTools({
      ...{ dir, version, clock, log },
      settings: settings.mcp,
      limits: settings.limits,
      secrets: settings.secrets,
      start: (command, args, options) => children.spawn(command, args, options),
      random: Math.random,
      onChange: (server) => mcp.onChange?.(server),
    });
    return loaded;
  };

  const of = (server: string): McpTools => {
    if (loaded !== undefined) return loaded;
    throw new AppError('mcp.not_found', `This agent runs no MCP server "${server.slice(0, 128)}"`);
  };

  const mcp: AgentMcp = {
    onChange: undefined,
    start: () => {
      if (settings.mcp.servers.length === 0) return;
      loading = load().catch((error: unknown) => {
        log.error('mcp.error', { error });
        return undefined;
      });
    },
    sources: () => loaded?.sources() ?? [],
    states: () => loaded?.states() ?? [],
    offered: () => loaded?.offered() ?? [],
    settled: async (timeoutMs) => (await loading)?.settled(timeoutMs),
    retry: (server) => of(server).retry(server),
    approve: async (server) => of(server).approve(server),
    stop: async (deadlineMs) => {
      isStopped = true;
      await loaded?.stop(deadlineMs);
    },
  };
  return mcp;
}
