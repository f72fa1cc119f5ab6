/** All clients of `/ws`, over the unix socket and TCP together: how many there may be, and their end. */

import type { Peer, PeerListener } from '../../gateway/transport.ts';
import { FleetSocket, type FleetSocketContext } from './fleet-socket.ts';
import { createFrameParser } from './frame-parser.ts';

export interface FleetSockets {
  hasRoom(): boolean;
  accept(peer: Peer): PeerListener;
  count(): number;
}

export function createFleetSockets(options: Omit<FleetSocketContext, 'parse' | 'onClosed'>): FleetSockets {
  const open = new Set<FleetSocket>();
  const context: FleetSocketContext = {
    ...options,
    parse: createFrameParser(),
    onClosed: (socket) => void open.delete(socket),
  };
  return {
    hasRoom: () => open.size < options.limits.sockets,
    accept(peer) {
      const socket = new FleetSocket(peer, context);
      open.add(socket);
      return socket;
    },
    count: () => open.size,
  };
}
