/** What the routes of MCP servers ask of the agent that runs; what is configured they ask the configuration. */
export interface McpStatus {
  readonly name: string;
  readonly state:
    | 'disabled'
    | 'connecting'
    | 'ready'
    | 'lost'
    | 'backoff'
    | 'failed'
    | 'stopping'
    | 'stopped';
  readonly transport: 'stdio' | 'http' | 'sse' | 'auto';
  readonly tools: readonly unknown[];
  readonly changedTools: readonly string[];
  readonly problems: readonly string[];
  readonly restarts: number;
  readonly lastError: string | undefined;
}

export interface OfferedTool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: Readonly<Record<string, unknown>>;
}

export interface McpService {
  states(): readonly McpStatus[];
  /** What connected servers offer now. */
  offered(): readonly { readonly server: string; readonly tools: readonly OfferedTool[] }[];
  /** Throws `mcp.not_found`. */
  retry(server: string): void;
  /** Rejects with `mcp.not_found`, or with `mcp.unavailable` when it is not connected. */
  approve(server: string): Promise<void>;
}
