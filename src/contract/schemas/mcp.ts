/** Schemas of the rows in `routes/mcp.ts`. */
import { z } from 'zod';
import type { RouteSchemas } from '../route.ts';
import type { MCP_ROUTES } from '../routes/mcp.ts';

const NAME_CHARS_MAX = 128;

const Names = z.record(z.string(), z.string());
const Command = z.union([z.string().min(1), z.array(z.string()).min(1)]);
const TRANSPORTS = ['stdio', 'http', 'sse'] as const;

const settings = {
  /** A program and its arguments; it speaks stdio. */
  command: Command.nullish(),
  args: z.array(z.string()).nullish(),
  /** Variables stand in it as they are written. */
  url: z
    .string()
    .regex(/^https?:\/\/\S+$|\$\{/i, 'must be an http or https URL')
    .nullish(),
  env: Names.nullish(),
  headers: Names.nullish(),
  oauth: z.unknown().optional(),
  enabled: z.boolean().nullish(),
  transport: z.enum(TRANSPORTS).nullish(),
  trust_annotations: z.boolean().nullish(),
  pin_tools: z.boolean().nullish(),
};

/** Of the reference's rows; secrets masked. */
const Mcp = z.object({
  name: z.string(),
  kind: z.enum(['default', 'builtin', 'custom']),
  builtin_name: z.string().nullable(),
  command: z.array(z.string()).nullable(),
  args: z.array(z.string()),
  url: z.string().nullable(),
  env: z.record(z.string(), z.unknown()),
  headers: z.record(z.string(), z.unknown()),
  oauth: z.unknown(),
  enabled: z.boolean(),
  source: z.enum(['default', 'config']),
  /** The file says neither. */
  created_at: z.null(),
  updated_at: z.null(),
  transport: z.enum([...TRANSPORTS, 'auto']).nullable(),
  /** `pending`: the agent that runs does not know it yet. */
  state: z.enum([
    'built_in',
    'disabled',
    'pending',
    'connecting',
    'ready',
    'lost',
    'backoff',
    'failed',
    'stopping',
    'stopped',
  ]),
  tools: z.int().nonnegative(),
  /** No longer what they were when they were approved. */
  changed_tools: z.array(z.string()),
  /** Why tools are missing. */
  problems: z.array(z.string()),
  restarts: z.int().nonnegative(),
  last_error: z.string().nullable(),
});

const Changed = z.object({
  ok: z.literal(true),
  restart_required: z.boolean(),
  applied: z.enum(['live', 'restart', 'next start', 'nothing']),
  warnings: z.array(z.string()),
});
const ChangedMcp = Changed.extend({ mcp: Mcp });
const Ok = z.object({ ok: z.literal(true) });

export const MCP_SCHEMAS = {
  listMcps: { response: z.object({ mcps: z.array(Mcp) }) },
  getMcp: { response: z.object({ mcp: Mcp }) },
  addMcp: {
    body: z
      .object({ name: z.string().trim().min(1).max(NAME_CHARS_MAX), ...settings })
      .refine(({ command, url }) => Boolean(command) || Boolean(url), {
        error: 'needs a command or a url',
        path: ['command'],
      }),
    response: ChangedMcp,
  },
  updateMcp: { body: z.object(settings), response: ChangedMcp },
  removeMcp: { response: Changed },
  enableMcp: { response: ChangedMcp },
  disableMcp: { response: ChangedMcp },
  retryMcp: { response: Ok },
  approveMcp: { response: Ok },
  listMcpTools: {
    response: z.object({
      mcps: z.array(
        z.object({
          mcp_name: z.string(),
          tools: z.array(
            z.object({
              name: z.string(),
              description: z.string(),
              parameters_schema: z.record(z.string(), z.unknown()),
            }),
          ),
        }),
      ),
    }),
  },
} as const satisfies RouteSchemas<typeof MCP_ROUTES>;

export type McpRow = z.output<typeof Mcp>;
export type McpSettingsBody = z.output<typeof MCP_SCHEMAS.updateMcp.body>;
