/**
 * The transport over node:http and ws: slower than uWS, but pure JavaScript, so it runs on every platform and its
 * thread may be terminated. It owns the server, the sockets that were upgraded (node:http forgets those) and the
 * rule that a silent socket ends.
 */
import { chmodSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import type { Transport, TransportApp, TransportLimits } from '../transport.ts';
import { toBindFailure } from './bind-failure.ts';
import { NodePeer } from './node-peer.ts';
import { NodeRequest } from './node-request.ts';
import { writeResponse } from './node-response.ts';
import { KEEP_ALIVE_MS, SILENCE_MS } from './rules.ts';

/** Time for a request's headers. */
const HEADERS_MS = 15_000;
/** What uWS takes as a WebSocket: anything else that asks for an upgrade is an ordinary request. */
const WEBSOCKET_KEY_CHARS = 24;

interface Shared {
  readonly app: TransportApp;
  readonly limits: TransportLimits;
  readonly handshakes: WebSocketServer;
  readonly peers: Set<NodePeer>;
  /** Connections that node:http no longer tracks and that did not become a WebSocket. */
  readonly strays: Set<Duplex>;
  /** From here on every answer is its connection's last: an idle one would hold up the closing. */
  isStopped: boolean;
}

/** Also listens on a unix socket, which uWS cannot. */
export interface NodeTransport extends Transport {
  /**
   * In place of `listen`. Nobody but this user can connect, at no moment. Only on the main thread (threads cannot set the
   * umask), and only where nothing is at the path. The file is removed with `stopListening`.
   */
  listenOnPath(path: string): Promise<'taken' | undefined>;
}

export type NodeTransportFactory = (app: TransportApp, limits: TransportLimits) => NodeTransport;

export interface NodeTransportOptions {
  /** A socket from which nothing came for that long is cut; it is pinged at half of it. */
  readonly silenceMs?: number;
  /** Connections of all kinds at once; further ones are closed as they come. */
  readonly connectionsMax?: number;
}

export function createNodeTransportFactory(options: NodeTransportOptions = {}): NodeTransportFactory {
  const { silenceMs = SILENCE_MS, connectionsMax } = options;
  return (app, limits) => {
    const handshakes = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: limits.frameBytes,
    });
    const shared: Shared = { app, limits, handshakes, peers: new Set(), strays: new Set(), isStopped: false };
    const server = createServer({
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: HEADERS_MS,
      // An upload may last; what it must not is stall, which is seen to where bodies are read.
      requestTimeout: 0,
    });
    if (connectionsMax !== undefined) server.maxConnections = connectionsMax;
    // Of one connection that could not be accepted; others can. Without a listener it would end the whole thread.
    server.on('error', () => {});
    server.on('request', (req, res) => void serve(shared, req, res));
    server.on('upgrade', (req, socket, head) => upgrade(shared, req, socket, head));
    const liveness = setInterval(() => {
      for (const peer of shared.peers) peer.checkAlive();
    }, silenceMs / 2);
    liveness.unref();
    return createTransport(server, shared, () => clearInterval(liveness));
  };
}

export const createNodeTransport: NodeTransportFactory = createNodeTransportFactory();

function createTransport(server: Server, shared: Shared, onFreed: () => void): NodeTransport {
  const { peers, strays } = shared;
  const listening = createListening(server);
  let closing: Promise<void> | undefined;
  let markClosed = () => {};
  const closed = new Promise<void>((resolve) => {
    markClosed = resolve;
  });

  const stopListening = () => {
    // Also ends idle keep-alive connections. Its callback comes when the last socket of any kind is gone.
    shared.isStopped = true;
    if (server.listening) server.close(() => markClosed());
  };
  const cut = () => {
    onFreed();
    stopListening();
    for (const peer of peers) peer.terminate();
    for (const socket of strays) socket.destroy();
    server.closeAllConnections();
  };
  const closeAll = async (code: number, reason: string, graceMs: number) => {
    stopListening();
    if (!listening.hasBegun()) markClosed();
    const gone = [...peers].map((peer) => peer.whenGone());
    for (const peer of peers) peer.close(code, reason);
    server.closeIdleConnections();
    const grace = setTimeout(cut, graceMs);
    await Promise.all([closed, ...gone]);
    clearTimeout(grace);
    onFreed();
  };

  return {
    kind: 'node',
    survivesTerminate: true,
    listen: listening.listen,
    listenOnPath: listening.listenOnPath,
    stopListening,
    close(code, reason, graceMs) {
      closing ??= closeAll(code, reason, graceMs);
      return closing;
    },
    closeNow() {
      for (const peer of peers) peer.forget();
      cut();
    },
  };
}

/** Two ways to listen, of which one is gone, and once. */
function createListening(
  server: Server,
): Pick<NodeTransport, 'listen' | 'listenOnPath'> & { hasBegun(): boolean } {
  let hasBegun = false;
  const begin = async (listen: () => void): Promise<NodeJS.ErrnoException | undefined> => {
    if (hasBegun) throw new Error('A transport listens once');
    const failure = await startListening(server, listen);
    hasBegun = failure === undefined;
    return failure;
  };
  return {
    hasBegun: () => hasBegun,
    async listen({ host, port }) {
      const failure = await begin(() => server.listen({ host, port, exclusive: true }));
      if (!failure) return { port: (server.address() as AddressInfo).port };
      const reason = toBindFailure(failure, host, port);
      if (reason === 'taken') return 'taken';
      throw reason;
    },
    async listenOnPath(path) {
      const failure = await begin(() => listenPrivately(server, path));
      if (failure?.code === 'EADDRINUSE') return 'taken';
      if (failure) throw failure;
      return undefined;
    },
  };
}

function startListening(server: Server, listen: () => void): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const onError = (error: NodeJS.ErrnoException) => {
      server.off('listening', onListening);
      resolve(error);
    };
    const onListening = () => {
      server.off('error', onError);
      resolve(undefined);
    };
    server.once('error', onError);
    server.once('listening', onListening);
    listen();
  });
}

/** The file is made within `listen`. By the umask alone it would be 0700: other users can do nothing with either. */
function listenPrivately(server: Server, path: string): void {
  const umask = process.umask(0o077);
  try {
    server.listen({ path, exclusive: true });
    if (server.listening) chmodSync(path, 0o600);
  } finally {
    process.umask(umask);
  }
}

async function serve(shared: Shared, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const request = new NodeRequest(req, false, shared.limits.stallMs);
  const answer = shared.app.handle(request);
  if (answer instanceof Promise) {
    res.once('close', () => {
      if (!res.writableFinished) request.gone();
    });
  }
  const response = answer instanceof Promise ? await answer : answer;
  if (shared.isStopped) res.shouldKeepAlive = false;
  request.release();
  writeResponse(res, response, shared.limits.stallMs);
  // A long answer may have begun before the stop; its connection would now idle on.
  res.once('finish', () => {
    if (shared.isStopped) req.socket.destroySoon();
  });
}

function upgrade(shared: Shared, req: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { app, limits, handshakes, peers, strays } = shared;
  const isWebSocket =
    req.method === 'GET' &&
    req.headers.upgrade?.toLowerCase() === 'websocket' &&
    req.headers['sec-websocket-key']?.length === WEBSOCKET_KEY_CHARS;
  strays.add(socket);
  socket.once('close', () => strays.delete(socket));
  // node:http has taken its own listener away; a reset here must not become an uncaught exception.
  socket.on('error', () => socket.destroy());
  if (!isWebSocket) {
    // E.g. curl --http2 offers h2c. node:http leaves any upgrade to us; the answer is that of an ordinary request.
    void serve(shared, req, toResponse(req, socket));
    return;
  }
  const decision = app.upgrade(new NodeRequest(req, true, limits.stallMs));
  if ('refuse' in decision) {
    writeResponse(toResponse(req, socket), decision.refuse, limits.stallMs);
    return;
  }
  handshakes.handleUpgrade(req, socket, head, (ws) => {
    strays.delete(socket);
    const peer = new NodePeer(ws, socket, limits);
    peers.add(peer);
    ws.once('close', () => peers.delete(peer));
    peer.open(decision.accept);
  });
}

/** A response on a connection that node:http has handed over; it is the last one there. */
function toResponse(req: IncomingMessage, socket: Duplex): ServerResponse {
  const res = new ServerResponse(req);
  res.shouldKeepAlive = false;
  res.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0]);
  res.once('finish', () => {
    res.detachSocket(socket as Parameters<ServerResponse['detachSocket']>[0]);
    socket.end(() => socket.destroy());
  });
  return res;
}
