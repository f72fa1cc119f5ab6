/** An agent's REST interface: the route table, its handlers, and schemas that are loaded when first needed. */
import type { AgentRouteSchemas } from '../../contract/route-schemas.ts';
import { ROUTES, type Routes } from '../../contract/routes.ts';
import { createHttpApp, type HttpApp, type HttpAppOptions } from '../http.ts';
import type { AgentServices } from '../services.ts';
import { controlHandlers } from './control.ts';

export type AgentHttpOptions = Omit<
  HttpAppOptions<Routes, AgentRouteSchemas, AgentServices>,
  'routes' | 'handlers' | 'loadSchemas'
>;

export function createAgentHttp(options: AgentHttpOptions): HttpApp {
  return createHttpApp({
    ...options,
    routes: ROUTES,
    handlers: { ...controlHandlers },
    loadSchemas: async () => (await import('../../contract/route-schemas.ts')).ROUTE_SCHEMAS,
  });
}
