/**
 * HTTP through the egress guard: the connection goes to an address that was judged, each redirect is judged like the
 * first URL, and no proxy of the environment stands in between. `fetch` would resolve the name again by itself.
 */
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { pipeline, type Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { AppError } from '../contract/errors.ts';
import type { EgressGuard, EgressTarget } from './egress-guard.ts';

export interface GuardedRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal;
}

export interface GuardedResponse {
  readonly url: URL;
  readonly status: number;
  readonly statusText: string;
  readonly headers: IncomingHttpHeaders;
  /** Decoded. Read it to its end, or destroy it. */
  readonly body: Readable;
}

const REDIRECTS_MAX = 10;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
const HEADER_BYTES = 64 * 1024;
/** Meant for the host they were given for. */
const OF_ONE_HOST = ['authorization', 'cookie', 'proxy-authorization'];

/** One request, redirects as they come. */
export async function requestGuarded(
  guard: EgressGuard,
  url: string | URL,
  request: GuardedRequest = {},
): Promise<GuardedResponse> {
  return send(await guard.check(url), request);
}

/** A GET that follows redirects, each of which passes the guard. */
export async function getGuarded(
  guard: EgressGuard,
  url: string | URL,
  request: Omit<GuardedRequest, 'method' | 'body'> = {},
): Promise<GuardedResponse> {
  let next: string | URL = url;
  let headers = request.headers ?? {};
  for (let hops = 0; hops <= REDIRECTS_MAX; hops += 1) {
    const response = await requestGuarded(guard, next, { ...request, headers });
    const { location } = response.headers;
    if (!REDIRECTS.includes(response.status) || location === undefined) return response;
    response.body.destroy();
    const target = resolveLocation(location, response.url);
    if (new URL(target).origin !== response.url.origin) headers = withoutSecrets(headers);
    next = target;
  }
  throw new AppError('egress.failed', `More than ${REDIRECTS_MAX} redirects`);
}

/**
 * The same as `fetch`, for libraries that take one. Only GET and HEAD follow redirects; with `redirect: 'manual'` no
 * request does.
 */
export function createGuardedFetch(guard: EgressGuard): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer());
    const sent: GuardedRequest = {
      method: request.method,
      headers: Object.fromEntries(request.headers),
      ...(body === undefined ? {} : { body }),
      signal: request.signal,
    };
    const isFollowed = request.redirect === 'follow' && request.method === 'GET';
    const response = isFollowed
      ? await getGuarded(guard, request.url, sent)
      : await requestGuarded(guard, request.url, sent);
    return toFetchResponse(response);
  };
}

async function toFetchResponse({ status, statusText, headers, body }: GuardedResponse): Promise<Response> {
  const { Readable } = await import('node:stream');
  const isEmpty = [101, 204, 205, 304].includes(status);
  if (isEmpty) body.destroy();
  const listed = Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((each): [string, string] => [name, each]),
  );
  const web = isEmpty ? null : (Readable.toWeb(body) as ReadableStream<Uint8Array>);
  return new Response(web, { status, statusText, headers: listed });
}

function resolveLocation(location: string, base: URL): string {
  // A whole URL stays as it is written, so that the guard sees an address in an unusual form.
  if (/^\s*[a-z][a-z0-9+.-]*:/i.test(location)) return location.trim();
  try {
    const host = /^\s*[/\\]{2}/.test(location) ? `${base.protocol}${location.trim()}` : undefined;
    return host ?? new URL(location, base).href;
  } catch (cause) {
    throw new AppError('egress.failed', 'The server redirects to something that is no URL', { cause });
  }
}

function withoutSecrets(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !OF_ONE_HOST.includes(name.toLowerCase())),
  );
}

function send(target: EgressTarget, { method = 'GET', headers, body, signal }: GuardedRequest) {
  return new Promise<GuardedResponse>((resolve, reject) => {
    const { url, lookup } = target;
    const options: RequestOptions = {
      method,
      headers: { 'accept-encoding': 'gzip, deflate, br', ...headers },
      lookup,
      // A connection that is kept might be to an address that was judged for another agent's rules.
      agent: false,
      maxHeaderSize: HEADER_BYTES,
      ...(signal === undefined ? {} : { signal }),
    };
    const start = url.protocol === 'https:' ? requestHttps : requestHttp;
    let request: ClientRequest;
    try {
      request = start(url, options);
    } catch (cause) {
      return reject(new AppError('egress.failed', `${url.host} cannot be asked`, { cause }));
    }
    request.once('response', (message) => resolve(toResponse(url, message)));
    request.on('error', (cause) => reject(signal?.aborted ? signal.reason : unreachable(url, cause)));
    request.end(body);
  });
}

function toResponse(url: URL, message: IncomingMessage): GuardedResponse {
  const { statusCode: status = 0, statusMessage: statusText = '' } = message;
  const { 'content-encoding': encoding, ...rest } = message.headers;
  const decoder = decoderFor(encoding?.trim().toLowerCase());
  if (decoder === undefined) return { url, status, statusText, headers: message.headers, body: message };
  // Whoever reads the body gets the error; nothing is to be done here.
  const body = pipeline(message, decoder, () => undefined);
  const { 'content-length': _length, ...headers } = rest;
  return { url, status, statusText, headers, body };
}

function decoderFor(encoding: string | undefined) {
  switch (encoding) {
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    default:
      return undefined;
  }
}

function unreachable(url: URL, cause: Error): AppError {
  if (AppError.is(cause)) return cause;
  const { code = cause.message } = cause as NodeJS.ErrnoException;
  return new AppError('egress.failed', `${url.host} cannot be reached: ${code}`, { cause });
}
