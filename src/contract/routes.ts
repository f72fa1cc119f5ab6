/**
 * Every REST route of an agent, put together from one file per area. Free of zod on purpose (see route.ts): the schemas
 * stand in `route-schemas.ts` under the same keys.
 */
import { defineRoutes } from './route.ts';
import { CONFIG_ROUTES } from './routes/config.ts';
import { CONTROL_ROUTES } from './routes/control.ts';
import { DOCS_ROUTES } from './routes/docs.ts';
import { FILE_ROUTES } from './routes/files.ts';
import { LOG_ROUTES } from './routes/logs.ts';
import { MCP_ROUTES } from './routes/mcp.ts';
import { MODEL_ROUTES } from './routes/models.ts';
import { OPENAI_ROUTES } from './routes/openai.ts';
import { SESSION_ROUTES } from './routes/sessions.ts';
import { TASK_ROUTES } from './routes/tasks.ts';
import { USAGE_ROUTES } from './routes/usage.ts';
import { VAULT_ROUTES } from './routes/vault.ts';

export const ROUTES = defineRoutes({
  ...CONTROL_ROUTES,
  ...CONFIG_ROUTES,
  ...DOCS_ROUTES,
  ...FILE_ROUTES,
  ...LOG_ROUTES,
  ...MCP_ROUTES,
  ...MODEL_ROUTES,
  ...USAGE_ROUTES,
  ...TASK_ROUTES,
  ...SESSION_ROUTES,
  ...VAULT_ROUTES,
  ...OPENAI_ROUTES,
});

export type Routes = typeof ROUTES;
