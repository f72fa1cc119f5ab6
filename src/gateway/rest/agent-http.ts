/** An agent's REST interface: the route table, its handlers, and schemas that are loaded when first needed. */
import type { AgentRouteSchemas } from '../../contract/route-schemas.ts';
import { ROUTES, type Routes } from '../../contract/routes.ts';
import { createHttpApp, type HttpApp, type HttpAppOptions } from '../http.ts';
import type { AgentServices } from '../services.ts';
import { configHandlers } from './config.ts';
import { createControlHandlers } from './control.ts';
import { createDocsHandlers } from './docs.ts';
import { fileHandlers } from './files.ts';
import { logHandlers } from './logs.ts';
import { mcpHandlers } from './mcp.ts';
import { modelHandlers } from './models.ts';
import { openAiHandlers } from './openai.ts';
import { sessionHandlers } from './sessions.ts';
import { taskHandlers } from './tasks.ts';
import { usageHandlers } from './usage.ts';
import { vaultHandlers } from './vault.ts';

export type AgentHttpOptions = Omit<
  HttpAppOptions<Routes, AgentRouteSchemas, AgentServices>,
  'routes' | 'handlers' | 'loadSchemas'
>;

export function createAgentHttp(options: AgentHttpOptions): HttpApp {
  return createHttpApp({
    ...options,
    routes: ROUTES,
    handlers: {
      ...createControlHandlers(),
      ...configHandlers,
      ...createDocsHandlers(),
      ...fileHandlers,
      ...logHandlers,
      ...mcpHandlers,
      ...modelHandlers,
      ...usageHandlers,
      ...taskHandlers,
      ...sessionHandlers,
      ...vaultHandlers,
      ...openAiHandlers,
    },
    loadSchemas: async () => (await import('../../contract/route-schemas.ts')).ROUTE_SCHEMAS,
  });
}
