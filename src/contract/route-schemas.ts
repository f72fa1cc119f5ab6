/**
 * The schemas of the routes in `routes.ts`, put together from one file per area. An agent thread reaches this module
 * only by `import()`, on the first request with something to validate. Response schemas give handlers their types and
 * documentation its shapes; answers are not checked against them at run time.
 */
import type { RouteSchemas } from './route.ts';
import type { Routes } from './routes.ts';
import { CONFIG_SCHEMAS } from './schemas/config.ts';
import { CONTROL_SCHEMAS } from './schemas/control.ts';
import { DOCS_SCHEMAS } from './schemas/docs.ts';
import { FILE_SCHEMAS } from './schemas/files.ts';
import { LOG_SCHEMAS } from './schemas/logs.ts';
import { MCP_SCHEMAS } from './schemas/mcp.ts';
import { MODEL_SCHEMAS } from './schemas/models.ts';
import { OPENAI_SCHEMAS } from './schemas/openai.ts';
import { SESSION_SCHEMAS } from './schemas/sessions.ts';
import { TASK_SCHEMAS } from './schemas/tasks.ts';
import { USAGE_SCHEMAS } from './schemas/usage.ts';
import { VAULT_SCHEMAS } from './schemas/vault.ts';

export const ROUTE_SCHEMAS = {
  ...CONTROL_SCHEMAS,
  ...CONFIG_SCHEMAS,
  ...DOCS_SCHEMAS,
  ...FILE_SCHEMAS,
  ...LOG_SCHEMAS,
  ...MCP_SCHEMAS,
  ...MODEL_SCHEMAS,
  ...USAGE_SCHEMAS,
  ...TASK_SCHEMAS,
  ...SESSION_SCHEMAS,
  ...VAULT_SCHEMAS,
  ...OPENAI_SCHEMAS,
} as const satisfies RouteSchemas<Routes>;

export type AgentRouteSchemas = typeof ROUTE_SCHEMAS;
export type { AgentInfo } from './schemas/control.ts';
