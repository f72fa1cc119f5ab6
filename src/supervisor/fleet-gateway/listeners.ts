/**
 * Where the fleet gateway listens: a unix socket, which only its user can open and which therefore asks for nothing, and
 * where it is wished a port on loopback, which every user of the machine can reach and which asks for a token.
 */
import { AppError } from '../../contract/errors.ts';
import { FLEET_ROUTES } from '../../contract/fleet/routes.ts';
import { type AccessRules, createAccessRules } from '../../gateway/access.ts';
import { type Authenticator, createAuthenticator } from '../../gateway/authenticator.ts';
import { createHttpApp } from '../../gateway/http.ts';
import { toCandidates } from '../../gateway/listen.ts';
import { errorResponse } from '../../gateway/responses.ts';
import type { Transport, TransportApp } from '../../gateway/transport.ts';
import { createNodeTransportFactory, type NodeTransport } from '../../gateway/transports/node.ts';
import type { FleetServices } from './fleet-services.ts';
import type { FleetSockets } from './fleet-sockets.ts';
import { fleetHandlers } from './handlers.ts';

export interface ListenerParts {
  readonly services: FleetServices;
  readonly sockets: FleetSockets;
  readonly onDefect: (error: unknown, where: string) => void;
}

const LOOPBACK = '127.0.0.1';
const LOCAL_ONLY = createAccessRules(
  { allowedHosts: [], allowedOrigins: [] },
  { host: 'use a loopback address', origin: 'only pages of this machine are' },
);
/** No name leads to a unix socket, so none can be made to lead there. */
const ON_SOCKET: AccessRules = { ...LOCAL_ONLY, isHostAllowed: () => true };

/** Rejects with what the system said. */
export async function listenOnSocket(path: string, parts: ListenerParts): Promise<Transport> {
  const transport = createTransport(parts, ON_SOCKET, undefined);
  const answer = await transport.listenOnPath(path);
  if (answer === 'taken') throw new Error(`${path} is there already`);
  return transport;
}

/** From `first` on the next free port, as agents find theirs. `tokenOf`: a port may have one from an earlier host. */
export async function listenOnLoopback<T extends { readonly value: string }>(
  first: number,
  tokenOf: (port: number) => Promise<T>,
  parts: ListenerParts,
): Promise<{
  readonly transport: Transport;
  readonly host: string;
  readonly port: number;
  readonly token: T;
}> {
  const candidates = toCandidates({ preferred: first, first: undefined, taken: [] });
  for (const port of candidates) {
    const token = await tokenOf(port);
    const transport = createTransport(parts, LOCAL_ONLY, token.value);
    const bound = await transport.listen({ host: LOOPBACK, port });
    if (bound !== 'taken') return { transport, host: LOOPBACK, port: bound.port, token };
    transport.closeNow();
  }
  const last = candidates.at(-1);
  throw new AppError('bind.no_free_port', `ports ${first}–${last} on ${LOOPBACK} are all taken`);
}

function createTransport(
  { services, sockets, onDefect }: ListenerParts,
  access: AccessRules,
  token: string | undefined,
): NodeTransport {
  const { limits, clock } = services;
  const authenticator: Authenticator = createAuthenticator({
    token,
    failuresPerMinute: limits.authFailuresPerMinute,
    clock,
  });
  const http = createHttpApp({
    routes: FLEET_ROUTES,
    handlers: fleetHandlers,
    loadSchemas: async () => (await import('../../contract/fleet/schemas.ts')).FLEET_SCHEMAS,
    services,
    access,
    authenticator,
    legacyRest: 'off',
    hasAuthenticatedSocket: () => false,
    bodyBytesMax: limits.bodyBytes,
    uploadBytesMax: 0,
    jsonDepthMax: limits.jsonDepth,
    onDefect,
  });
  const app: TransportApp = {
    handle: http.handle,
    upgrade(request) {
      const decision = http.checkUpgrade(request);
      if (!('authenticated' in decision)) return { refuse: decision };
      const refusal = decision.authenticated ? sockets.hasRoom() || TOO_MANY : NO_TOKEN;
      if (refusal !== true) return { refuse: errorResponse(refusal(), request.origin, request.path) };
      return { accept: (peer) => sockets.accept(peer) };
    },
  };
  const { frameBytes, bufferedBytes, stallMs, connections } = limits;
  return createNodeTransportFactory({ connectionsMax: connections })(app, {
    frameBytes,
    bufferedBytes,
    stallMs,
  });
}

const TOO_MANY = () => new AppError('sockets.full', 'Too many clients follow this fleet; try again later');
const NO_TOKEN = () =>
  new AppError('auth.required', 'A token is required: send it as "Authorization: Bearer <token>"');
