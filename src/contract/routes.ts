/**
 * Every REST route of an agent. Free of zod on purpose (see route.ts): the schemas stand in `route-schemas.ts` under
 * the same keys.
 */
import { defineRoutes } from './route.ts';

export const ROUTES = defineRoutes({
  getHealth: {
    method: 'GET',
    path: '/api/health',
    summary: 'Whether the agent answers, and how many clients are connected',
    auth: 'none',
    errors: [],
  },
  getAgentInfo: {
    method: 'GET',
    path: '/api/agent-info',
    summary: 'What this agent is and how it runs',
    auth: 'token',
    errors: [],
  },
  restartAgent: {
    method: 'POST',
    path: '/api/restart',
    summary: 'Drain the agent and start it again on the same port',
    auth: 'token',
    errors: ['agent.stopping'],
  },
});

export type Routes = typeof ROUTES;
