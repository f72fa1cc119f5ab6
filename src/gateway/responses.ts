/**
 * Every HTTP answer is made here, so that none can go out without its security headers, and an error looks the same
 * whichever rule made it: `{error, code, details?}`.
 */
import { AppError, ERRORS } from '../contract/errors.ts';
import type { HttpResponse } from './transport.ts';

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
  'access-control-allow-headers': 'Content-Type, Authorization',
});
/** Where an error does not say when to come back. */
const RETRY_AFTER_SECONDS = 1;

/** `origin` is an Origin that the access rules allowed, or '' for none: it is echoed, never replaced by `*`. */
export function jsonResponse(output: unknown, origin: string): HttpResponse {
  return { status: 200, headers: withCors(JSON_HEADERS, origin), body: JSON.stringify(output) };
}

export function preflightResponse(origin: string): HttpResponse {
  return { status: 204, headers: withCors(BARE_HEADERS, origin), body: '' };
}

export function errorResponse(error: AppError, origin: string): HttpResponse {
  const { code, message, details } = AppError.toWire(error);
  const body = details === undefined ? { error: message, code } : { error: message, code, details };
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
