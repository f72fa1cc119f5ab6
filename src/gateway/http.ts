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
import { isLoopbackAddress } from './peer-address.ts';
import { type AnySchemas, checkContentType, readInput } from './request-input.ts';
import { errorResponse, jsonResponse, preflightResponse } from './responses.ts';
import { type AnyHandler, type CompiledRoute, createRouter, type PathMatch, type Router } from './router.ts';
import type { HttpRequest, HttpResponse } from './transport.ts';

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

  constructor(rules: AppRules, router: Router) {
    this.#rules = rules;
    this.#router = router;
  }

  handle(request: HttpRequest): HttpResponse | Promise<HttpResponse> {
    let allowedOrigin = '';
    try {
      const denied = checkAccess(request, this.#rules.access);
      if (denied !== undefined) return errorResponse(denied, '');
      allowedOrigin = request.origin;
      if (request.method === 'OPTIONS') return preflightResponse(allowedOrigin);
      const match = this.#matchPath(request);
      const route = matchMethod(match, request);
      if (route.row.auth === 'token') this.#authorize(request);
      const output = this.#run(route, match, request);
      if (output instanceof Promise) return this.#settle(output, askedBy(request, allowedOrigin));
      return jsonResponse(output, allowedOrigin);
    } catch (error) {
      return this.#failure(error, askedBy(request, allowedOrigin));
    }
  }

  checkUpgrade(request: HttpRequest): HttpResponse | { readonly authenticated: boolean } {
    const { access, authenticator } = this.#rules;
    const denied = checkAccess(request, access);
    if (denied !== undefined) return errorResponse(denied, '');
    if (request.path !== SOCKET_PATH) return errorResponse(notFound(request), request.origin);
    if (authenticator.isOpen) return { authenticated: true };
    const presented = bearerOf(request.authorization);
    if (presented === undefined) return { authenticated: false };
    const error = credentialError(presented, request.remoteAddress(), authenticator);
    return error === undefined ? { authenticated: true } : errorResponse(error, request.origin);
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
    if (row.method !== 'GET') checkContentType(request.contentType);
    if (row.query || row.body) return this.#runValidated(route, match, request);
    return route.handler(match.params ? { params: match.params } : NO_INPUT, this.#rules.services, request);
  }

  async #runValidated(route: CompiledRoute, match: PathMatch, request: HttpRequest): Promise<unknown> {
    const peer = request.remoteAddress();
    const input = await readInput(request, {
      row: route.row,
      params: match.params,
      bodyBytesMax: this.#rules.bodyBytesMax,
      loadSchemas: async () => (await this.#rules.loadSchemas())[route.name] ?? {},
    });
    return route.handler(input, this.#rules.services, { remoteAddress: () => peer });
  }

  async #settle(output: Promise<unknown>, asked: Asked): Promise<HttpResponse> {
    try {
      return jsonResponse(await output, asked.allowedOrigin);
    } catch (error) {
      return this.#failure(error, asked);
    }
  }

  #failure(error: unknown, asked: Asked): HttpResponse {
    if (AppError.is(error) && Object.hasOwn(ERRORS, error.code)) {
      return errorResponse(error, asked.allowedOrigin);
    }
    this.#rules.onDefect(error, `${asked.method} ${asked.path}`);
    return errorResponse(new AppError('internal', 'Internal error'), asked.allowedOrigin);
  }
}

/** What is left of a request once the transport has freed it. */
interface Asked {
  readonly method: string;
  readonly path: string;
  readonly allowedOrigin: string;
}

function askedBy({ method, path }: HttpRequest, allowedOrigin: string): Asked {
  return { method, path, allowedOrigin };
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
      return new AppError('auth.invalid', 'The token is wrong: send the one this agent is configured with');
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
  return new AppError('route.not_found', `There is no ${request.path.slice(0, 200)} on this agent`);
}
