/** The agent's event log. */
import { defineRoutes } from '../route.ts';

export const LOG_ROUTES = defineRoutes({
  readLogs: {
    method: 'GET',
    path: '/api/logs',
    summary: 'The newest entries of the event log, oldest first',
    auth: 'token',
    query: true,
    errors: [],
  },
  clearLogs: {
    method: 'DELETE',
    path: '/api/logs',
    summary: 'Begin a new log file; the old one stays on disk among the rotated ones',
    auth: 'token',
    errors: ['storage.unavailable'],
  },
});
