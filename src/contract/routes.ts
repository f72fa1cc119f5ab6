/**
 * Every REST route of an agent, put together from one file per area. Free of zod on purpose (see route.ts): the schemas
 * stand in `route-schemas.ts` under the same keys.
 */
import { defineRoutes } from './route.ts';
import { CONTROL_ROUTES } from './routes/control.ts';

export const ROUTES = defineRoutes({ ...CONTROL_ROUTES });

export type Routes = typeof ROUTES;
