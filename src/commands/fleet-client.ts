/**
 * Talks to the gateway of a running fleet over its unix socket: requests by the route table, and its WebSocket. What
 * comes back is checked, because the fleet may be of another version than this program; without that it would fail
 * somewhere inside a table.
 */
import { request as httpRequest } from 'node:http';
import type { z } from 'zod';
import { AppError, type WireError } from '../contract/errors.ts';
import { FLEET_ROUTES } from '../contract/fleet/routes.ts';
import { FLEET_SCHEMAS } from '../contract/fleet/schemas.ts';
import type { FleetListener, FleetSocket } from './fleet-socket.ts';
import { lineText } from './terminal-text.ts';

type Routes = typeof FLEET_ROUTES;
/** Those of its API; probes and figures are for other programs. */
export type FleetRoute = Exclude<keyof Routes, 'metrics' | 'live' | 'ready' | 'startedUp'>;

export type FleetAnswers = {
  readonly [K in FleetRoute]: z.output<(typeof FLEET_SCHEMAS)[K]['response']>;
};

export interface FleetRequest {
  readonly params?: Readonly<Record<string, string>>;
  /** What is undefined is left out. */
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  readonly timeoutMs?: number;
}

export interface FleetClient {
  request<K extends FleetRoute>(route: K, request?: FleetRequest): Promise<FleetAnswers[K]>;
  /** Resolves when it is open; rejects with `fleet.lost` otherwise. */
  connect(listener: FleetListener): Promise<FleetSocket>;
}

const TIMEOUT_MS = 10_000;
/** The name under which every gateway of ours knows itself; the socket decides who is talked to. */
const HOST = 'localhost';

export function openFleetClient(socketPath: string): FleetClient {
  return {
    async request<K extends FleetRoute>(route: K, request: FleetRequest = {}) {
      const { method } = FLEET_ROUTES[route];
      const { status, text } = await exchange(socketPath, method, pathOf(route, request), request);
      if (status >= 400) throw errorOf(status, text);
      const where = `${method} ${FLEET_ROUTES[route].path}`;
      return read(FLEET_SCHEMAS[route].response, text, where) as FleetAnswers[K];
    },
    async connect(listener) {
      // Most commands need none.
      const { connectFleetSocket } = await import('./fleet-socket.ts');
      return connectFleetSocket(socketPath, listener, lost);
    },
  };
}

function pathOf(route: FleetRoute, { params = {}, query = {} }: FleetRequest): string {
  const path = FLEET_ROUTES[route].path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(params[name] ?? ''),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') search.set(name, String(value));
  }
  return search.size === 0 ? path : `${path}?${search}`;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
  { body, signal, timeoutMs = TIMEOUT_MS }: FleetRequest,
): Promise<Answer> {
  const text = body === undefined ? '' : JSON.stringify(body);
  const headers = {
    host: HOST,
    accept: 'application/json',
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(method === 'GET' ? {} : { 'content-length': Buffer.byteLength(text) }),
  };
  const late = AbortSignal.timeout(timeoutMs);
  const ends = signal === undefined ? late : AbortSignal.any([signal, late]);
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      if (late.aborted) reject(lost(`it did not answer within ${timeoutMs / 1000} s`));
      else reject(signal?.aborted ? error : lost(error.code ?? error.message));
    };
    const request = httpRequest(
      { socketPath, method, path, headers, agent: false, signal: ends },
      (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.once('error', fail);
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }),
        );
      },
    );
    request.once('error', fail);
    request.end(text);
  });
}

function lost(why: string): AppError {
  const message = `the fleet cannot be reached (${why}); see whether it still runs: openagent-supervisor ps`;
  return new AppError('fleet.lost', message);
}

function errorOf(status: number, text: string): AppError {
  try {
    const { error, code, details } = JSON.parse(text) as Record<string, unknown>;
    if (typeof error === 'string' && typeof code === 'string') {
      return AppError.fromWire({ message: error, details, code } as WireError);
    }
  } catch {
    // said below
  }
  return strange(`status ${status}: ${lineText(text.slice(0, 200))}`);
}

function read(schema: z.ZodType, text: string, where: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw strange(`${where} is no JSON`);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw strange(`${where}: ${issue?.path.join('.')}: ${issue?.message}`);
}

function strange(what: string): AppError {
  return new AppError(
    'fleet.answer_invalid',
    `the fleet answers what this program does not understand (${what}); it may be of another version: use the same one for both`,
  );
}
