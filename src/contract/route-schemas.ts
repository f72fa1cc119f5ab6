/**
 * The schemas of the routes in `routes.ts`, put together from one file per area. An agent thread reaches this module
 * only by `import()`, on the first request with something to validate. Response schemas give handlers their types and
 * documentation its shapes; answers are not checked against them at run time.
 */
import type { RouteSchemas } from './route.ts';
import type { Routes } from './routes.ts';
import { CONTROL_SCHEMAS } from './schemas/control.ts';

export const ROUTE_SCHEMAS = { ...CONTROL_SCHEMAS } as const satisfies RouteSchemas<Routes>;

export type AgentRouteSchemas = typeof ROUTE_SCHEMAS;
export type { AgentInfo } from './schemas/control.ts';
