/**
 * What an agent is given of `mcp:`, `mcp_defaults` and `mcp_disable`, resolved by the supervisor's thread, and which
 * names of the reference's own servers mean tools that are built in here. Free of zod: an agent loads it at its start.
 */

/** The reference starts these without being asked. */
export const DEFAULT_MCPS = [
  'vault',
  'filesystem',
  'editor',
  'web-search',
  'shell',
  'computer-control',
  'chrome-devtools',
  'messaging',
  'scheduler',
] as const;

/** Those of them that are built in here and need no program of their own. The others have to be added as servers. */
export const BUILT_IN_MCPS: readonly string[] = [
  'vault',
  'filesystem',
  'editor',
  'web-search',
  'shell',
  'scheduler',
];

export interface McpSettings {
  readonly servers: readonly McpServerSettings[];
  /** Names of `BUILT_IN_MCPS` that are wanted. */
  readonly builtins: readonly string[];
}

export interface McpServerSettings {
  /** Unique; as in the configuration. */
  readonly name: string;
  readonly enabled: boolean;
  readonly target: McpTarget;
  /** What a server says of its tools beyond `readOnlyHint`; undefined: only that one is believed, false: not even it. */
  readonly trustAnnotations: boolean | undefined;
  /** A tool that is no longer what it was when it was first seen is not offered until somebody approves it. */
  readonly pinTools: boolean;
}

export type McpTarget =
  | {
      readonly transport: 'stdio';
      readonly command: readonly [string, ...string[]];
      /** All that it gets besides what every program needs. */
      readonly env: Readonly<Record<string, string>>;
    }
  | {
      /** `auto`: streamable HTTP, and SSE where the server does not know it. */
      readonly transport: 'http' | 'sse' | 'auto';
      readonly url: string;
      readonly headers: Readonly<Record<string, string>>;
    };

export const NO_MCP: McpSettings = { servers: [], builtins: [] };
