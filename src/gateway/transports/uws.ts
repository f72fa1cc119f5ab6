/**
 * The transport over uWebSockets.js. It owns every native handle of its thread, and its memory rules: the request is
 * gone when the handler returns, a response must not be touched after it was aborted, an ArrayBuffer is emptied after
 * its callback, a closed socket throws. Two mistakes here end the whole process and every agent in it: returning from
 * a handler that neither answered nor set an abort handler, and leaving a thread while handles are open
 * (https://github.com/uNetworking/uWebSockets.js/issues/925).
 */
import type {
  HttpResponse,
  Transport,
  TransportApp,
  TransportFactory,
  TransportLimits,
} from '../transport.ts';
import type { BodyPump } from './body-pump.ts';
import { SILENCE_MS } from './rules.ts';
import { UwsPeer } from './uws-peer.ts';
import { UwsRequest, type UwsRequestKind } from './uws-request.ts';
import { isStreamed, pumpTo, writeWhole } from './uws-response.ts';
import type { Uws, UwsApp, UwsHttpRequest, UwsHttpResponse } from './uws-types.ts';

/**
 * A frame over the limit is answered with close code 1009 up to this multiple of it. uWS itself cuts a frame over its
 * own maximum without a close frame, so its maximum must be higher than ours; it also bounds what one socket can make
 * us hold.
 */
const FRAME_HEADROOM = 2;
/** Loaded when a port was not to be had: its probe brings half of node:net and its friends. */
const bindFailure = () => import('./bind-failure.ts');

/** Somebody else may take a free port between finding and binding it. */
const FREE_PORT_ATTEMPTS = 10;
/** After the last close frame: lets FINs cross, so that closing does not reset connections with unread data. */
const LINGER_MS = 20;

const UPGRADE: UwsRequestKind = { isUpgrade: true, method: undefined };
const GET: UwsRequestKind = { isUpgrade: false, method: 'GET' };
const OTHER: UwsRequestKind = { isUpgrade: false, method: undefined };

interface Shared {
  readonly app: TransportApp;
  readonly stallMs: number;
  readonly peers: Set<UwsPeer>;
  /** Requests whose response is still being made. */
  readonly pending: Set<UwsRequest>;
  /** Called whenever one of the two sets has shrunk. */
  onSettled: () => void;
}

export function createUwsTransport(uws: Uws): TransportFactory {
  return (app, limits) => {
    const { stallMs } = limits;
    const shared: Shared = { app, stallMs, peers: new Set(), pending: new Set(), onSettled: () => {} };
    const server = uws.App();
    routeSockets(server, shared, limits);
    // uWS has told the method of nearly all requests by the route it chose.
    server.get('/*', (res, req) => serve(shared, res, req, GET));
    server.any('/*', (res, req) => serve(shared, res, req, OTHER));
    return new UwsTransport(uws, server, shared);
  };
}

class UwsTransport implements Transport {
  readonly kind = 'uws';
  readonly survivesTerminate = false;
  readonly #uws: Uws;
  readonly #server: UwsApp;
  readonly #shared: Shared;
  #listenSocket: object | undefined;
  #isFreed = false;
  #closing: Promise<void> | undefined;

  constructor(uws: Uws, server: UwsApp, shared: Shared) {
    this.#uws = uws;
    this.#server = server;
    this.#shared = shared;
    // A throw, a rejection or process.exit() in a worker thread aborts the process if a handle is still open then.
    process.on('exit', this.#onExit);
  }

  async listen({ host, port }: { host: string; port: number }): Promise<{ port: number } | 'taken'> {
    for (let attempt = 0; attempt < FREE_PORT_ATTEMPTS; attempt++) {
      const wanted = port === 0 ? await (await bindFailure()).findFreePort(host) : port;
      if (this.#isFreed || this.#listenSocket) throw new Error('A transport listens once');
      this.#server.listen(host, wanted, this.#uws.LIBUS_LISTEN_EXCLUSIVE_PORT, (bound) => {
        if (bound) this.#listenSocket = bound;
      });
      if (this.#listenSocket) return { port: this.#uws.us_socket_local_port(this.#listenSocket) };
      const failure = await (await bindFailure()).whyNotBound(host, wanted);
      if (failure !== 'taken') throw failure;
      if (port !== 0) break;
    }
    return 'taken';
  }

  stopListening(): void {
    if (this.#listenSocket && !this.#isFreed) this.#uws.us_listen_socket_close(this.#listenSocket);
    this.#listenSocket = undefined;
  }

  close(code: number, reason: string, graceMs: number): Promise<void> {
    this.#closing ??= this.#isFreed ? Promise.resolve() : this.#closeAll(code, reason, graceMs);
    return this.#closing;
  }

  closeNow(): void {
    if (this.#isFreed) return;
    const { peers } = this.#shared;
    // Nobody is told: at the thread's exit the app's own parts may be gone already.
    for (const peer of peers) peer.forget();
    peers.clear();
    this.#free();
    this.#shared.onSettled();
  }

  readonly #onExit = () => this.closeNow();

  #free(): void {
    if (this.#isFreed) return;
    this.#isFreed = true;
    process.off('exit', this.#onExit);
    this.#server.close();
  }

  async #closeAll(code: number, reason: string, graceMs: number): Promise<void> {
    const { peers, pending } = this.#shared;
    this.stopListening();
    const hadWork = peers.size + pending.size > 0;
    const settled = whenSettled(this.#shared, graceMs);
    for (const peer of [...peers]) peer.close(code, reason);
    await settled;
    for (const peer of [...peers]) peer.terminate();
    if (hadWork && !this.#isFreed) await new Promise((resolve) => setTimeout(resolve, LINGER_MS));
    this.#free();
  }
}

/** Resolves when no socket is open and no response is owed, or after `graceMs`. */
function whenSettled(shared: Shared, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      shared.onSettled = () => {};
      resolve();
    };
    const timer = setTimeout(finish, graceMs);
    shared.onSettled = () => {
      if (shared.peers.size + shared.pending.size === 0) finish();
    };
    shared.onSettled();
  });
}

interface SocketData {
  readonly peer: UwsPeer;
}

function routeSockets(server: UwsApp, shared: Shared, limits: TransportLimits): void {
  server.ws<SocketData>('/*', {
    maxPayloadLength: limits.frameBytes * FRAME_HEADROOM,
    // The bound is kept by the peer: uWS would drop close frames and pings too.
    maxBackpressure: 0,
    idleTimeout: SILENCE_MS / 1_000,
    sendPingsAutomatically: true,
    upgrade: (res, req, context) => upgrade(shared, limits, res, req, context),
    open(ws) {
      const { peer } = ws.getUserData();
      shared.peers.add(peer);
      peer.open(ws);
    },
    message: (ws, message, isBinary) => ws.getUserData().peer.receive(message, isBinary),
    drain: (ws) => ws.getUserData().peer.drained(),
    pong: (ws, payload) => ws.getUserData().peer.ponged(payload),
    close(ws, code, message) {
      const { peer } = ws.getUserData();
      shared.peers.delete(peer);
      // Whoever waits for the last socket goes on even when the listener throws.
      try {
        peer.closed(code, message);
      } finally {
        shared.onSettled();
      }
    },
  });
}

function upgrade(
  shared: Shared,
  limits: TransportLimits,
  res: UwsHttpResponse,
  req: UwsHttpRequest,
  context: object,
): void {
  const request = new UwsRequest(res, req, UPGRADE, shared.stallMs);
  try {
    const decision = shared.app.upgrade(request);
    if ('refuse' in decision) {
      writeWhole(res, decision.refuse, false);
      return;
    }
    const key = req.getHeader('sec-websocket-key');
    const protocol = req.getHeader('sec-websocket-protocol').split(',', 1)[0]?.trim() ?? '';
    // No extensions: permessage-deflate would cost memory per socket and CPU per frame.
    const peer = new UwsPeer(decision.accept, limits);
    res.upgrade<SocketData>({ peer }, key, protocol, '', context);
  } catch (defect) {
    failWith(res, defect);
  }
}

function serve(shared: Shared, res: UwsHttpResponse, req: UwsHttpRequest, kind: UwsRequestKind): void {
  const request = new UwsRequest(res, req, kind, shared.stallMs);
  let response: HttpResponse | Promise<HttpResponse>;
  try {
    response = shared.app.handle(request);
    if (!(response instanceof Promise)) {
      const isHead = request.method === 'HEAD';
      if (typeof response.body === 'string' || !isStreamed(response, isHead)) {
        request.release();
        writeWhole(res, response, isHead);
        return;
      }
      response = Promise.resolve(response);
    }
  } catch (defect) {
    failWith(res, defect);
    return;
  }
  void answerLater(shared, res, request, response);
}

async function answerLater(
  shared: Shared,
  res: UwsHttpResponse,
  request: UwsRequest,
  answer: Promise<HttpResponse>,
): Promise<void> {
  const settle = () => {
    if (shared.pending.delete(request)) shared.onSettled();
  };
  let pump: BodyPump | undefined;
  // Only here: an abort handler costs a tenth of what a synchronous answer does. First, because uWS aborts the process
  // when a handler returns with neither an answer nor this.
  res.onAborted(() => {
    request.abort();
    pump?.abort();
    settle();
  });
  shared.pending.add(request);
  request.keep();
  try {
    const response = await answer;
    if (request.isAborted) return;
    request.release();
    const isHead = request.method === 'HEAD';
    if (isStreamed(response, isHead)) {
      pump = pumpTo(res, response, shared.stallMs);
      await pump.run();
    } else res.cork(() => writeWhole(res, response, isHead));
  } catch (defect) {
    if (!request.isAborted) res.cork(() => failWith(res, defect));
  } finally {
    settle();
  }
}

const INTERNAL_ERROR: HttpResponse = {
  status: 500,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ error: 'Internal error', code: 'internal' }),
};

/** The app broke its promise not to throw. The client gets an answer, then the defect takes the thread down. */
function failWith(res: UwsHttpResponse, defect: unknown): void {
  process.nextTick(() => {
    throw defect;
  });
  try {
    writeWhole(res, INTERNAL_ERROR, false);
  } catch (error) {
    // The response was ended before the defect: there is nothing left to write to, and the defect is on its way.
    if (!(error instanceof Error)) throw error;
  }
}
