/**
 * The HTTP half of the gateway, with no socket in sight: which request is let in, where it goes, what it is answered.
 * The order of the checks is the point: Host and Origin before anything that could tell a stranger something, the
 * credential before a single byte of body is read. An answer that needs no waiting is made without a promise, because
 * `GET /api/health` is measured against a bare server.
 */
import { AppError, ERRORS } from '../contract/errors.ts';
import type { Handlers, RouteSchemas, RouteTable } from '../contract/route.ts';
import { type AccessRules, checkAccess } from './access.ts';
import { type Authenticator, bearerOf } from './authenticator.ts';
import { isCompressible, negotiated } from './compression.ts';
import { isLoopbackAddress } from './peer-address.ts';
import {
  type AnySchemas,
  checkContentEncoding,
  checkContentType,
  type InputOptions,
  plainInput,
  readInput,
} from './request-input.ts';
import {
  type Asked,
  errorResponse,
  isReply,
  jsonResponse,
  preflightResponse,
  replyResponse,
  timed,
} from './responses.ts';
import { type AnyHandler, type CompiledRoute, createRouter, type PathMatch, type Router } from './router.ts';
import type { HttpRequest, HttpResponse, StreamedBody } from './transport.ts';

export interface HttpAppOptions<T extends RouteTable, S extends RouteSchemas<T>, Services> {
  readonly routes: T;
  readonly handlers: Handlers<NoInfer<T>, NoInfer<S>, NoInfer<Services>>;
  /** Called when a request has a query or a body to validate, not before. */
  readonly loadSchemas: () => Promise<S>;
  readonly services: Services;
  readonly access: AccessRules;
  readonly authenticator: Authenticator;
  /** `loopback`: no credential needed from a loopback peer that holds an authenticated WebSocket. */
  readonly legacyRest: 'off' | 'loopback';
  readonly hasAuthenticatedSocket: (remoteAddress: string) => boolean;
  readonly bodyBytesMax: number;
  /** JSON bodies that bring files along, each in memory as a whole. */
  readonly fileBodies?: { readonly bytesMax: number; readonly atOnceMax: number };
  /** For bodies that their handlers read as they arrive. */
  readonly uploadBytesMax: number;
  readonly jsonDepthMax: number;
  /** Told of every failure nobody foresaw; the caller sees only `internal`. */
  readonly onDefect: (error: unknown, where: string) => void;
}

export interface HttpApp {
  handle(request: HttpRequest): HttpResponse | Promise<HttpResponse>;
  /** A response refuses the upgrade. `authenticated`: the socket need not send an `auth` frame. */
  checkUpgrade(request: HttpRequest): HttpResponse | { readonly authenticated: boolean };
}

const SOCKET_PATH = '/ws';
const NO_INPUT = Object.freeze({});

export function createHttpApp<T extends RouteTable, S extends RouteSchemas<T>, Services>(
  options: HttpAppOptions<T, S, Services>,
): HttpApp {
  const handlers = options.handlers as unknown as Record<string, AnyHandler>;
  const app = new RoutedHttpApp(options, createRouter(options.routes, handlers));
  return {
    handle: (request) => app.handle(request),
    checkUpgrade: (request) => app.checkUpgrade(request),
  };
}

/** The options with the types of one route table taken off. */
type AppRules = Omit<HttpAppOptions<RouteTable, never, unknown>, 'routes' | 'handlers' | 'loadSchemas'> & {
  readonly loadSchemas: () => Promise<Readonly<Record<string, AnySchemas>>>;
};

class RoutedHttpApp implements HttpApp {
  readonly #rules: AppRules;
  readonly #router: Router;
  #last: { readonly output: unknown; readonly response: HttpResponse } | undefined;
  /** Larger than other bodies may be, and being read. */
  #fileBodies = 0;

  constructor(rules: AppRules, router: Router) {
    this.#rules = rules;
    this.#router = router;
  }

  handle(request: HttpRequest): HttpResponse | Promise<HttpResponse> {
    let allowedOrigin = '';
    try {
      const denied = checkAccess(request, this.#rules.access);
      if (denied !== undefined) return errorResponse(denied, '', request.path);
      allowedOrigin = request.origin;
      if (request.method === 'OPTIONS') {
        return preflightResponse(allowedOrigin, request.header('access-control-request-headers'));
      }
      const match = this.#matchPath(request);
      const route = matchMethod(match, request);
      if (route.row.auth === 'token') this.#authorize(request);
      // What takes input may work long before it first waits; asking for the time costs the others too much.
      const startedMs = route.takesInput ? performance.now() : undefined;
      const output = this.#run(route, match, request);
      if (output instanceof Promise) return this.#settle(output, askedBy(request, allowedOrigin), startedMs);
      if (isReply(output)) return this.#answer(output, askedBy(request, allowedOrigin));
      return allowedOrigin === '' ? this.#plain(output) : jsonResponse(output, allowedOrigin);
    } catch (error) {
      return this.#failure(error, request, allowedOrigin);
    }
  }

  /** A handler that gives the same frozen record again says that nothing has changed. */
  #plain(output: unknown): HttpResponse {
    const last = this.#last;
    if (last !== undefined && last.output === output) return last.response;
    const response = jsonResponse(output, '');
    if (Object.isFrozen(output)) this.#last = { output, response };
    return response;
  }

  checkUpgrade(request: HttpRequest): HttpResponse | { readonly authenticated: boolean } {
    const { access, authenticator } = this.#rules;
    const denied = checkAccess(request, access);
    if (denied !== undefined) return errorResponse(denied, '', request.path);
    if (request.path !== SOCKET_PATH) return errorResponse(notFound(request), request.origin, request.path);
    if (authenticator.isOpen) return { authenticated: true };
    const presented = bearerOf(request.authorization);
    if (presented === undefined) return { authenticated: false };
    const error = credentialError(presented, request.remoteAddress(), authenticator);
    return error === undefined ? { authenticated: true } : errorResponse(error, request.origin, request.path);
  }

  #matchPath(request: HttpRequest): PathMatch {
    if (request.path === SOCKET_PATH) throw socketPathError(request.method);
    const match = this.#router.find(request.path);
    if (match === undefined) throw notFound(request);
    return match;
  }

  #authorize(request: HttpRequest): void {
    const { authenticator } = this.#rules;
    if (authenticator.isOpen) return;
    const peer = request.remoteAddress();
    if (request.authorization === '' && this.#isLegacyCaller(peer)) return;
    const error = credentialError(bearerOf(request.authorization), peer, authenticator);
    if (error !== undefined) throw error;
  }

  #isLegacyCaller(peer: string): boolean {
    const { legacyRest, hasAuthenticatedSocket } = this.#rules;
    return legacyRest === 'loopback' && isLoopbackAddress(peer) && hasAuthenticatedSocket(peer);
  }

  #run(route: CompiledRoute, match: PathMatch, request: HttpRequest): unknown {
    const { row } = route;
    if (row.method !== 'GET') checkContentEncoding(request.header('content-encoding'));
    // A stream may be of any type; what forms of other sites send has been refused by its Origin.
    if (row.method !== 'GET' && !row.stream) checkContentType(request.contentType);
    if (row.query || row.body) return this.#runValidated(route, match, request);
    const input = route.takesInput ? plainInput(request, this.#inputOptions(route, match)) : pathInput(match);
    return route.handler(input, this.#rules.services, request);
  }

  async #runValidated(route: CompiledRoute, match: PathMatch, request: HttpRequest): Promise<unknown> {
    const peer = request.remoteAddress();
    const options = this.#inputOptions(route, match);
    const input = this.#hasFileBody(route, request)
      ? await this.#readFileBody(request, options)
      : await readInput(request, options);
    const onGone = (listener: () => void): void => request.onGone(listener);
    return route.handler(input, this.#rules.services, { remoteAddress: () => peer, onGone });
  }

  /** One of unknown length may become as large as such a body may be. */
  #hasFileBody({ row }: CompiledRoute, request: HttpRequest): boolean {
    const { fileBodies, bodyBytesMax } = this.#rules;
    if (!row.bodyWithFiles || fileBodies === undefined) return false;
    const length = request.header('content-length');
    return length === '' || Number(length) > bodyBytesMax;
  }

  async #readFileBody(request: HttpRequest, options: InputOptions): Promise<object> {
    const atOnceMax = this.#rules.fileBodies?.atOnceMax ?? 0;
    if (this.#fileBodies >= atOnceMax) {
      throw new AppError(
        'upload.busy',
        `${atOnceMax} bodies with files are being read; try again in a moment`,
      );
    }
    this.#fileBodies += 1;
    try {
      return await readInput(request, options);
    } finally {
      this.#fileBodies -= 1;
    }
  }

  #inputOptions(route: CompiledRoute, match: PathMatch): InputOptions {
    const { bodyBytesMax, fileBodies, uploadBytesMax, jsonDepthMax, loadSchemas } = this.#rules;
    return {
      row: route.row,
      params: match.params,
      bodyBytesMax: route.row.bodyWithFiles ? (fileBodies?.bytesMax ?? bodyBytesMax) : bodyBytesMax,
      uploadBytesMax,
      jsonDepthMax,
      loadSchemas: async () => (await loadSchemas())[route.name] ?? {},
    };
  }

  async #settle(
    output: Promise<unknown>,
    asked: Asked,
    startedMs = performance.now(),
  ): Promise<HttpResponse> {
    let response: HttpResponse;
    try {
      response = await this.#answer(await output, asked);
    } catch (error) {
      response = this.#failure(error, asked, asked.allowedOrigin);
    }
    return timed(response, startedMs);
  }

  #answer(output: unknown, asked: Asked): HttpResponse | Promise<HttpResponse> {
    const response = isReply(output)
      ? replyResponse(output, asked, (body) => this.#watch(body, asked))
      : jsonResponse(output, asked.allowedOrigin);
    if (!isCompressible(response)) return response;
    const answer = negotiated(response, asked.acceptEncoding);
    if (!(answer instanceof Promise)) return answer;
    return answer.catch((error) => this.#failure(error, asked, asked.allowedOrigin));
  }

  /** A transport can only cut the connection when a stream fails: here is where somebody is told why. */
  #watch(body: StreamedBody, { method, path }: Asked): StreamedBody {
    const { onDefect } = this.#rules;
    return {
      length: body.length,
      open: () => watched(body, (error) => onDefect(error, `${method} ${path}`)),
    };
  }

  #failure(error: unknown, { method, path }: Pick<Asked, 'method' | 'path'>, origin: string): HttpResponse {
    if (AppError.is(error) && Object.hasOwn(ERRORS, error.code)) return errorResponse(error, origin, path);
    this.#rules.onDefect(error, `${method} ${path}`);
    return errorResponse(new AppError('internal', 'Internal error'), origin, path);
  }
}

async function* watched(body: StreamedBody, onFailure: (error: unknown) => void): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  try {
    for await (const chunk of body.open()) {
      bytes += chunk.byteLength;
      yield chunk;
    }
    if (body.length !== undefined && bytes < body.length)
      throw new Error(`A stream of ${body.length} bytes ended after ${bytes}`);
  } catch (error) {
    onFailure(error);
    throw error;
  }
}

function askedBy(request: HttpRequest, allowedOrigin: string): Asked {
  const { method, path } = request;
  const acceptEncoding = request.header('accept-encoding');
  const ifNoneMatch = request.header('if-none-match');
  return { method, path, allowedOrigin, acceptEncoding, ifNoneMatch };
}

function pathInput({ params }: PathMatch): object {
  return params === undefined ? NO_INPUT : { params };
}

/** HEAD is answered as GET is: leaving out the body, not its length, is the transport's part. */
function matchMethod(match: PathMatch, request: HttpRequest): CompiledRoute {
  const { routes, allow } = match.path;
  const route = routes.get(request.method === 'HEAD' ? 'GET' : request.method);
  if (route === undefined) throw notAllowed(request.method, allow);
  return route;
}

function credentialError(
  presented: string | undefined,
  peer: string,
  authenticator: Authenticator,
): AppError | undefined {
  switch (authenticator.check(presented, peer)) {
    case 'ok':
      return undefined;
    case 'missing':
      return new AppError('auth.required', 'A token is required: send it as "Authorization: Bearer <token>"');
    case 'invalid':
      return new AppError('auth.invalid', 'The token is wrong: send the one that is set for this gateway');
    case 'rate_limited': {
      const seconds = authenticator.retryAfterSeconds(peer);
      return new AppError('auth.rate_limited', `Too many wrong tokens: try again in ${seconds} s`, {
        details: { retry_after_seconds: seconds },
      });
    }
  }
}

function socketPathError(method: string): AppError {
  if (method !== 'GET' && method !== 'HEAD') return notAllowed(method, 'GET, HEAD, OPTIONS');
  return new AppError('upgrade.required', `${SOCKET_PATH} is a WebSocket: connect with ws://`);
}

function notAllowed(method: string, allow: string): AppError {
  return new AppError('method.not_allowed', `${method} is not possible here: use one of ${allow}`, {
    details: { allow },
  });
}

function notFound(request: HttpRequest): AppError {
  return new AppError('route.not_found', `There is no ${request.path.slice(0, 200)} here`);
}
