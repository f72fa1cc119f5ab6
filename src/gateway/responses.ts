/**
 * Every HTTP answer is made here, so that none can go out without its security headers, and an error looks the same
 * whichever rule made it: `{error, code, details?}`.
 */
import { AppError, ERRORS } from '../contract/errors.ts';
import { matchingTag, toEtag } from '../contract/etag.ts';
import { isOpenAiPath, toOpenAiError } from '../contract/openai-error.ts';
import { type BytesReply, type JsonReply, REPLY } from '../contract/route.ts';
import type { HttpResponse, StreamedBody } from './transport.ts';

/** What is left of a request once the transport has freed it. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  /** '' for none, as the rest. */
  readonly allowedOrigin: string;
  readonly acceptEncoding: string;
  readonly ifNoneMatch: string;
}

type AnyReply = JsonReply<unknown> | BytesReply;
type Headers = Readonly<Record<string, string>>;

const BARE_HEADERS: Headers = Object.freeze({
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  vary: 'Origin',
});
/** One shared object for nearly all answers: a transport may keep its encoded form. */
const JSON_HEADERS: Headers = Object.freeze({
  'content-type': 'application/json; charset=utf-8',
  ...BARE_HEADERS,
});
const CORS_HEADERS: Headers = Object.freeze({
  'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE, OPTIONS',
  'access-control-allow-headers':
    'Content-Type, Authorization, If-Match, If-None-Match, If-Range, Range, Idempotency-Key',
  'access-control-expose-headers':
    'ETag, Content-Range, Content-Disposition, Retry-After, Server-Timing, X-Should-Retry',
});
/** Where an error does not say when to come back. */
const RETRY_AFTER_SECONDS = 1;

/** `origin` is an Origin that the access rules allowed, or '' for none: it is echoed, never replaced by `*`. */
export function jsonResponse(output: unknown, origin: string): HttpResponse {
  return { status: 200, headers: withCors(JSON_HEADERS, origin), body: JSON.stringify(output) };
}

export function isReply(output: unknown): output is AnyReply {
  return typeof output === 'object' && output !== null && (output as Partial<AnyReply>)[REPLY] !== undefined;
}

/** `watch` is given a streamed body, and gives back one that tells of its failures. */
export function replyResponse(
  reply: AnyReply,
  asked: Asked,
  watch: (body: StreamedBody) => StreamedBody,
): HttpResponse {
  const { status = 200, etag } = reply;
  const isRead = asked.method === 'GET' || asked.method === 'HEAD';
  const isJson = reply[REPLY] === 'json';
  if (etag !== undefined && isRead && status < 300) {
    const kept = matchingTag(asked.ifNoneMatch, etag);
    if (kept !== undefined) return notModified(asked.allowedOrigin, kept);
  }
  const headers = {
    ...withCors(isJson ? JSON_HEADERS : BARE_HEADERS, asked.allowedOrigin),
    ...reply.headers,
    ...(etag === undefined ? {} : { etag: toEtag(etag) }),
  };
  if (isJson) return { status, headers, body: JSON.stringify(reply.output) };
  const { body } = reply;
  return { status, headers, body: typeof body === 'object' && 'open' in body ? watch(body) : body };
}

/** `vary` is what the whole answer could have said at most. */
function notModified(origin: string, etag: string): HttpResponse {
  const headers = { ...withCors(BARE_HEADERS, origin), vary: 'Origin, Accept-Encoding', etag };
  return { status: 304, headers, body: '' };
}

/** How long a caller waited for the application, for whoever looks at it in a browser. */
export function timed(response: HttpResponse, startedMs: number): HttpResponse {
  const duration = (performance.now() - startedMs).toFixed(1);
  return { ...response, headers: { ...response.headers, 'server-timing': `app;dur=${duration}` } };
}

/** What OpenAI's library tells of itself and, in a browser that lets it, the name it has for itself. */
const CLIENT_HEADER = /^(?:x-stainless-[a-z-]{1,40}|user-agent)$/;
const ASKED_CHARS_MAX = 2_048;
const CLIENT_HEADERS_MAX = 20;

/** `wanted` is `Access-Control-Request-Headers`: headers that clients bring and nobody reads here are allowed by name. */
export function preflightResponse(origin: string, wanted: string): HttpResponse {
  const headers = withCors(BARE_HEADERS, origin);
  const names = wanted.slice(0, ASKED_CHARS_MAX).toLowerCase().split(',');
  const brought = new Set(names.map((name) => name.trim()).filter((name) => CLIENT_HEADER.test(name)));
  if (origin === '' || brought.size === 0) return { status: 204, headers, body: '' };
  const allowed = [
    CORS_HEADERS['access-control-allow-headers'],
    ...[...brought].slice(0, CLIENT_HEADERS_MAX),
  ];
  return {
    status: 204,
    headers: { ...headers, 'access-control-allow-headers': allowed.join(', ') },
    body: '',
  };
}

/** `path`: what was asked for decides what an error looks like. */
export function errorResponse(error: AppError, origin: string, path: string): HttpResponse {
  const wire = AppError.toWire(error);
  const { code, message, details } = wire;
  const plain = details === undefined ? { error: message, code } : { error: message, code, details };
  const body = isOpenAiPath(path) ? toOpenAiError(wire) : plain;
  return {
    status: ERRORS[code].status,
    headers: { ...withCors(JSON_HEADERS, origin), ...headersOf(error) },
    body: JSON.stringify(body),
  };
}

function withCors(headers: Headers, origin: string): Headers {
  return origin === '' ? headers : { ...headers, ...CORS_HEADERS, 'access-control-allow-origin': origin };
}

/** What HTTP wants beside the body for some statuses. */
function headersOf(error: AppError): Headers {
  switch (ERRORS[error.code].status) {
    case 401:
      return { 'www-authenticate': 'Bearer' };
    case 405:
      return { allow: detail(error, 'allow', '') };
    case 415:
      return error.code === 'content_encoding.unsupported' ? { 'accept-encoding': 'identity' } : {};
    case 416:
      return { 'content-range': `bytes */${detail(error, 'length', '*')}` };
    case 426:
      return { upgrade: 'websocket' };
    case 429:
    case 503:
      return { 'retry-after': detail(error, 'retry_after_seconds', String(RETRY_AFTER_SECONDS)) };
    default:
      return {};
  }
}

function detail(error: AppError, name: string, otherwise: string): string {
  const { details } = error;
  if (typeof details !== 'object' || details === null || !(name in details)) return otherwise;
  return String((details as Record<string, unknown>)[name]);
}
