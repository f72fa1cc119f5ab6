/**
 * How an error looks to OpenAI's own clients, which read every answer under `/v1/` with their eyes: an object where other
 * routes have a text. Free of zod: also what is refused before any route is known looks like this.
 */
import { ERRORS, type WireError } from './errors.ts';

export interface OpenAiError {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** A code of the ERRORS table. */
    readonly code: string;
    /** The field that is wrong, where it is known. */
    readonly param: string | null;
  };
}

const PREFIX = '/v1/';

export function isOpenAiPath(path: string): boolean {
  return path.startsWith(PREFIX);
}

export function toOpenAiError({ code, message, details }: WireError): OpenAiError {
  return { error: { message, type: typeOf(ERRORS[code].status), code, param: paramOf(details) } };
}

function typeOf(status: number): string {
  if (status === 401) return 'authentication_error';
  if (status === 402) return 'insufficient_quota';
  if (status === 403) return 'permission_error';
  if (status === 429) return 'rate_limit_error';
  return status < 500 ? 'invalid_request_error' : 'server_error';
}

function paramOf(details: unknown): string | null {
  const issues = (details as { issues?: readonly { field?: unknown }[] } | undefined)?.issues;
  const field = Array.isArray(issues) ? (issues[0] as { field?: unknown } | undefined)?.field : undefined;
  return typeof field === 'string' ? field.replace(/^body\./, '') : null;
}
