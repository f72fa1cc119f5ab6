/** Handlers of the routes every agent has: is it alive, what is it, start it again. */
import type { z } from 'zod';
import type { Handlers } from '../../contract/route.ts';
import type { CONTROL_ROUTES } from '../../contract/routes/control.ts';
import type { CONTROL_SCHEMAS } from '../../contract/schemas/control.ts';
import type { AgentServices } from '../services.ts';

type ControlHandlers = Handlers<typeof CONTROL_ROUTES, typeof CONTROL_SCHEMAS, AgentServices>;

export function createControlHandlers(): ControlHandlers {
  let health: Health | undefined;
  return {
    /** Asked many times a second by whoever watches: the same record as long as it says the same. */
    getHealth(_input, services) {
      const connected_clients = services.connectedClients();
      if (health?.connected_clients !== connected_clients) {
        const { name, version } = services.info();
        health = Object.freeze({ status: 'ok', agent: name, version, connected_clients });
      }
      return health;
    },

    getAgentInfo(_input, services) {
      return services.info();
    },

    restartAgent(_input, services, caller) {
      services.requestRestart(`rest ${caller.remoteAddress()}`);
      return { ok: true };
    },
  };
}

type Health = z.output<(typeof CONTROL_SCHEMAS)['getHealth']['response']>;
