/** Handlers of the routes every agent has: is it alive, what is it, start it again. */
import type { Handlers } from '../../contract/route.ts';
import type { AgentRouteSchemas } from '../../contract/route-schemas.ts';
import type { Routes } from '../../contract/routes.ts';
import type { AgentServices } from '../services.ts';

export const controlHandlers: Handlers<Routes, AgentRouteSchemas, AgentServices> = {
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
