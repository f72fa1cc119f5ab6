/** Handlers of sessions. */
import type { Handlers } from '../../contract/route.ts';
import type { SESSION_ROUTES } from '../../contract/routes/sessions.ts';
import type { SESSION_SCHEMAS } from '../../contract/schemas/sessions.ts';
import type { AgentServices } from '../services.ts';

export const sessionHandlers: Handlers<typeof SESSION_ROUTES, typeof SESSION_SCHEMAS, AgentServices> = {
  async listSessions({ query }, { sessions }) {
    return { sessions: await sessions.list(query.limit, query.offset) };
  },

  getSessionHistory({ params, query }, { sessions }) {
    return sessions.history(params.id, { limit: query.limit, before: query.before });
  },

  async setSessionModel({ params, body }, { sessions }) {
    await sessions.setModel(params.id, body.model ?? undefined);
    return { ok: true, model: body.model };
  },

  async deleteSession({ params }, { sessions }) {
    await sessions.remove(params.id);
    return { ok: true };
  },
};
