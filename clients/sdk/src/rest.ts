/**
 * One typed method per row of the agent's route table. Types come from its schemas, nothing of zod is loaded. Requests
 * that change nothing are tried again when the agent restarts or is busy; others only where the caller says so.
 */
import ky, { HTTPError, type KyInstance, TimeoutError } from 'ky';
import type { z } from 'zod';
import type { RequestHeader, Route } from '../../../src/contract/route.ts';
import type { AgentRouteSchemas } from '../../../src/contract/route-schemas.ts';
import { ROUTES, type Routes } from '../../../src/contract/routes.ts';
import { AgentError, connectionLost, errorOfResponse } from './errors.ts';

export type RouteName = keyof Routes;

type ParamNames<P extends string> = P extends `${string}{${infer Name}}${infer Rest}`
  ? (Name extends `${infer Greedy}*` ? Greedy : Name) | ParamNames<Rest>
  : never;
type Params<P extends string> = [ParamNames<P>] extends [never]
  ? object
  : { readonly params: { readonly [K in ParamNames<P>]: string } };
type Query<S> = S extends { readonly query: infer Q extends z.ZodType }
  ? Optional<'query', z.input<Q>>
  : object;
type Body<S> = S extends { readonly body: infer B extends z.ZodType }
  ? { readonly body: z.input<B> }
  : object;
type Stream<R> = R extends { readonly stream: true } ? { readonly body: SentBody } : object;
type SentBody = NonNullable<RequestInit['body']>;
type Optional<K extends string, T> = object extends T ? { readonly [P in K]?: T } : { readonly [P in K]: T };

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Of a conditional request: `{ 'if-match': etag }`. */
  readonly headers?: { readonly [K in RequestHeader]?: string };
  /** Time for each try, in milliseconds; false for none. Default 30,000. */
  readonly timeoutMs?: number | false;
  /** How often it is tried again. Default 2 for GET, else 0. */
  readonly retries?: number;
}

export type RouteRequest<K extends RouteName> = Params<Routes[K]['path']> &
  Query<AgentRouteSchemas[K]> &
  Body<AgentRouteSchemas[K]> &
  Stream<Routes[K]> &
  CallOptions;

export type RouteData<K extends RouteName> = Routes[K] extends { readonly bytes: true }
  ? Response
  : z.output<AgentRouteSchemas[K]['response']>;

export interface RouteAnswer<K extends RouteName> {
  /** Of a 304 undefined: what the caller has is still right. */
  readonly data: RouteData<K>;
  readonly status: number;
  /** As to be sent in `if-match` and `if-none-match`; undefined where the route has no version. */
  readonly etag: string | undefined;
  readonly headers: Headers;
}

type Arguments<K extends RouteName> =
  object extends RouteRequest<K> ? [request?: RouteRequest<K>] : [request: RouteRequest<K>];

/** `rest.getHealth()`, `rest.patchConfigSection({ params, body })`, …; rejects with an `AgentError`. */
export type RestMethods = { readonly [K in RouteName]: (...args: Arguments<K>) => Promise<RouteData<K>> };

export interface RestOptions {
  /** `http://host:port`, with or without a path before `/api`. */
  readonly url: string;
  readonly token?: string | undefined;
  readonly fetch?: typeof fetch | undefined;
}

export interface RestClient {
  readonly methods: RestMethods;
  /** As the method of that name, with status, version and headers. */
  request<K extends RouteName>(name: K, ...args: Arguments<K>): Promise<RouteAnswer<K>>;
}

const TIMEOUT_MS = 30_000;
const RETRIES = 2;
const RETRY_DELAY_MS_MAX = 3_000;

/** A request with its types taken off. */
interface LooseRequest extends CallOptions {
  readonly params?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
}

export function createRestClient(options: RestOptions): RestClient {
  const base = options.url.replace(/\/+$/, '');
  const http = ky.create({
    ...(options.fetch ? { fetch: options.fetch } : {}),
    ...(options.token === undefined ? {} : { headers: { authorization: `Bearer ${options.token}` } }),
    // Those ky tries again; whatever else is no success is told by us.
    throwHttpErrors: isWorthARetry,
  });
  const request = (name: RouteName, input: LooseRequest = {}) => call(http, base, ROUTES[name], input);
  const methods = Object.fromEntries(
    (Object.keys(ROUTES) as RouteName[]).map((name) => [
      name,
      async (input?: LooseRequest) => (await request(name, input)).data,
    ]),
  );
  return {
    methods: methods as unknown as RestMethods,
    request: request as unknown as RestClient['request'],
  };
}

async function call(http: KyInstance, base: string, row: Route, input: LooseRequest) {
  const isRead = row.method === 'GET';
  const response = await send(http, `${base}${toPath(row.path, input.params ?? {})}${toQuery(input.query)}`, {
    method: row.method,
    timeout: input.timeoutMs ?? TIMEOUT_MS,
    headers: { ...input.headers },
    retry: {
      limit: input.retries ?? (isRead ? RETRIES : 0),
      methods: [row.method.toLowerCase() as 'get'],
      statusCodes: [429, 503],
      afterStatusCodes: [429, 503],
      backoffLimit: RETRY_DELAY_MS_MAX,
      maxRetryAfter: RETRY_DELAY_MS_MAX,
      jitter: true,
    },
    ...(input.signal ? { signal: input.signal } : {}),
    ...toBody(row, input.body),
  });
  if (!response.ok && response.status !== 304) throw await errorOfResponse(response);
  const etag = response.headers.get('etag') ?? undefined;
  const { status, headers } = response;
  if (row.bytes) return { data: response, status, etag, headers };
  return { data: status === 304 ? undefined : await toJson(response), status, etag, headers };
}

type SendOptions = NonNullable<Parameters<KyInstance>[1]>;

async function send(http: KyInstance, url: string, options: SendOptions): Promise<Response> {
  try {
    return await http(url, options);
  } catch (cause) {
    if (cause instanceof HTTPError) throw await errorOfResponse(cause.response);
    if (options.signal?.aborted) throw cause;
    if (cause instanceof TimeoutError) {
      throw new AgentError(`${url} did not answer in time`, { code: 'connection.lost', cause });
    }
    throw connectionLost(url, cause);
  }
}

function isWorthARetry(status: number): boolean {
  return status === 429 || status === 503;
}

async function toJson(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch (cause) {
    throw connectionLost(response.url, cause);
  }
}

/** A greedy parameter keeps its slashes. */
function toPath(path: string, params: Readonly<Record<string, string>>): string {
  return path.replaceAll(/\{(\w+)(\*?)\}/g, (_, name: string, greedy: string) => {
    const value = params[name] ?? '';
    return greedy === '' ? encodeURIComponent(value) : value.split('/').map(encodeURIComponent).join('/');
  });
}

function toQuery(query: Readonly<Record<string, unknown>> | undefined): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null);
  if (given.length === 0) return '';
  return `?${new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]))}`;
}

function toBody(row: Route, body: unknown): { json?: unknown; body?: SentBody } {
  if (body === undefined) return {};
  return row.stream ? { body: body as SentBody } : { json: body };
}
