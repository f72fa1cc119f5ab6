/** An agent's gateway: REST and WebSocket behind one transport. What is let in is decided by the HTTP half for both. */
import { AppError } from '../contract/errors.ts';
import type { HttpApp } from './http.ts';
import { errorResponse } from './responses.ts';
import type { TransportApp } from './transport.ts';
import type { SocketHub } from './ws/socket-hub.ts';

export function createGateway(http: HttpApp, hub: SocketHub): TransportApp {
  return {
    handle: http.handle,
    upgrade(request) {
      const decision = http.checkUpgrade(request);
      if (!('authenticated' in decision)) return { refuse: decision };
      if (!hub.hasRoom(decision.authenticated)) {
        const full = new AppError('sockets.full', 'Too many open connections; try again later');
        return { refuse: errorResponse(full, request.origin, request.path) };
      }
      return { accept: (peer) => hub.accept(peer, decision.authenticated) };
    },
  };
}
