/** Handlers of the routes every agent has: is it alive, what is it, start it again. */
import type { Handlers } from '../../contract/route.ts';
import type { CONTROL_ROUTES } from '../../contract/routes/control.ts';
import type { CONTROL_SCHEMAS } from '../../contract/schemas/control.ts';
import type { AgentServices } from '../services.ts';

export const controlHandlers: Handlers<typeof CONTROL_ROUTES, typeof CONTROL_SCHEMAS, AgentServices> = {
  getHealth(_input, services) {
    const { name, version } = services.info();
    return { status: 'ok', agent: name, version, connected_clients: services.connectedClients() };
  },

  getAgentInfo(_input, services) {
    return services.info();
  },

  restartAgent(_input, services, caller) {
    services.requestRestart(`rest ${caller.remoteAddress()}`);
    return { ok: true };
  },
};
