/** What a call can fail with. `code` is one of the table in `docs/errors.md`, or one of the two of this side. */
import type { ErrorCode } from '../../../src/contract/errors.ts';

/** `connection.lost`: nobody answered, or the answer was cut off. `client.closed`: this client was closed meanwhile. */
export type ClientErrorCode = ErrorCode | 'connection.lost' | 'client.closed';

export interface AgentErrorInfo {
  readonly code: string;
  /** HTTP status; undefined for what came over the WebSocket. */
  readonly status?: number | undefined;
  readonly details?: unknown;
  /** When the same call may be worth another try, in seconds. */
  readonly retryAfterSeconds?: number | undefined;
  /** Of a turn that ended with an error. */
  readonly turnId?: string | undefined;
  readonly cause?: unknown;
}

export class AgentError extends Error {
  override readonly name = 'AgentError';
  /** A `ClientErrorCode`, or one that a newer agent knows. */
  readonly code: string;
  readonly status: number | undefined;
  readonly details: unknown;
  readonly retryAfterSeconds: number | undefined;
  readonly turnId: string | undefined;

  constructor(message: string, info: AgentErrorInfo) {
    super(message, info.cause === undefined ? undefined : { cause: info.cause });
    this.code = info.code;
    this.status = info.status;
    this.details = info.details;
    this.retryAfterSeconds = info.retryAfterSeconds;
    this.turnId = info.turnId;
  }
}

/** From an HTTP answer that is no success. Takes any body: proxies answer in their own words. */
export async function errorOfResponse(response: Response): Promise<AgentError> {
  const text = await response.text().catch(() => '');
  const { error, code, details } = toErrorBody(text);
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  return new AgentError(error ?? (text.slice(0, 200) || `HTTP ${response.status}`), {
    code: code ?? 'internal',
    status: response.status,
    details,
    retryAfterSeconds: Number.isFinite(seconds) ? seconds : undefined,
  });
}

export function connectionLost(what: string, cause?: unknown): AgentError {
  return new AgentError(`${what}: the connection was lost`, { code: 'connection.lost', cause });
}

export function clientClosed(what: string): AgentError {
  return new AgentError(`${what}: the client was closed`, { code: 'client.closed' });
}

function toErrorBody(text: string): { error?: string; code?: string; details?: unknown } {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body !== 'object' || body === null) return {};
    const { error, code, details } = body as Record<string, unknown>;
    return {
      ...(typeof error === 'string' ? { error } : {}),
      ...(typeof code === 'string' ? { code } : {}),
      ...(details === undefined ? {} : { details }),
    };
  } catch {
    return {}; // not JSON: whatever stands between us and the agent has spoken
  }
}
