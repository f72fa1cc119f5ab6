/** Is it alive, what is it, start it again. */
import { defineRoutes } from '../route.ts';

export const CONTROL_ROUTES = defineRoutes({
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
