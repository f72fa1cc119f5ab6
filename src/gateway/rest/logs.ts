/** Handlers of the event log. */
import type { Handlers } from '../../contract/route.ts';
import type { LOG_ROUTES } from '../../contract/routes/logs.ts';
import type { LOG_SCHEMAS } from '../../contract/schemas/logs.ts';
import type { AgentServices } from '../services.ts';

export const logHandlers: Handlers<typeof LOG_ROUTES, typeof LOG_SCHEMAS, AgentServices> = {
  readLogs({ query }, { logs }) {
    return logs.read(query);
  },

  clearLogs(_input, { logs }, caller) {
    logs.clear(`rest ${caller.remoteAddress()}`);
    return { ok: true };
  },
};
