/** What the agent remembers of conversations. */
import { defineRoutes } from '../route.ts';

export const SESSION_ROUTES = defineRoutes({
  listSessions: {
    method: 'GET',
    path: '/api/sessions',
    summary: 'Sessions that something is remembered of, the latest first',
    auth: 'token',
    query: true,
    errors: ['storage.locked'],
  },
  getSessionHistory: {
    method: 'GET',
    path: '/api/sessions/{id}/history',
    summary: 'What was said in a session, oldest first; `before` pages back',
    auth: 'token',
    query: true,
    errors: ['session.not_found', 'storage.locked'],
  },
  setSessionModel: {
    method: 'PUT',
    path: '/api/sessions/{id}/model',
    summary: 'Choose the model of a session; null: the one of the agent',
    auth: 'token',
    body: true,
    errors: ['storage.locked', 'storage.full'],
  },
  deleteSession: {
    method: 'DELETE',
    path: '/api/sessions/{id}',
    summary: 'Forget a session; a turn that is going in it is not stopped',
    auth: 'token',
    errors: ['session.not_found', 'storage.locked', 'storage.full'],
  },
});
