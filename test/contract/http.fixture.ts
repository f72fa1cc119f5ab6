/** Plain requests, an agent's HTTP app around recording services, and a route table with more in it than the agent's. */
import assert from 'node:assert/strict';
import { z } from 'zod';
import { AppError } from '../../src/contract/errors.ts';
import { defineRoutes, type Handlers, type RouteSchemas } from '../../src/contract/route.ts';
import type { AgentInfo } from '../../src/contract/route-schemas.ts';
import { createAccessRules } from '../../src/gateway/access.ts';
import { createAuthenticator } from '../../src/gateway/authenticator.ts';
import { createHttpApp, type HttpApp } from '../../src/gateway/http.ts';
import { createAgentHttp } from '../../src/gateway/rest/agent-http.ts';
import type { HttpRequest, HttpResponse } from '../../src/gateway/transport.ts';

export const TOKEN = 'secret';
export const INFO: AgentInfo = {
  name: 'Probe',
  agent_dir: '/agents/probe',
  port: 8765,
  version: '0.1.0',
  id: 'probe',
  transport: 'node',
  transport_note: 'uWebSockets.js is not installed',
  isolation: 'thread',
  model: 'echo',
  started_at: 1_700_000_000.5,
  state: 'running',
  legacy_rest: 'off',
};

export type Ask = Partial<Omit<HttpRequest, 'remoteAddress' | 'readBody'>> & {
  readonly peer?: string;
  readonly body?: string | Buffer;
};

export function request({ peer = '127.0.0.1', body = '', ...values }: Ask): HttpRequest {
  return {
    method: 'GET',
    path: '/api/health',
    query: '',
    host: 'localhost:8765',
    origin: '',
    authorization: '',
    contentType: '',
    secFetchSite: '',
    isUpgrade: false,
    ...values,
    remoteAddress: () => peer,
    readBody: async (bytesMax) => {
      const bytes = Buffer.from(body as string);
      if (bytes.length > bytesMax) throw new AppError('body.too_large', `At most ${bytesMax} bytes`);
      return bytes;
    },
  };
}

export interface StartOptions {
  readonly token?: string | undefined;
  readonly failuresPerMinute?: number;
  readonly legacyRest?: 'off' | 'loopback';
  readonly socketsOf?: readonly string[];
  readonly restartError?: Error;
}

export function appOptions(options: StartOptions) {
  const clock = { nowMs: 0, monotonicMs: () => clock.nowMs };
  const defects: { error: unknown; where: string }[] = [];
  const restarts: string[] = [];
  return {
    clock,
    defects,
    restarts,
    access: createAccessRules({ allowedHosts: [], allowedOrigins: [] }),
    authenticator: createAuthenticator({
      token: options.token,
      failuresPerMinute: options.failuresPerMinute ?? 10,
      clock,
    }),
    legacyRest: options.legacyRest ?? 'off',
    hasAuthenticatedSocket: (address: string) => options.socketsOf?.includes(address) ?? false,
    bodyBytesMax: 100,
    onDefect: (error: unknown, where: string) => void defects.push({ error, where }),
    services: {
      info: () => INFO,
      connectedClients: () => 2,
      requestRestart(by: string) {
        if (options.restartError) throw options.restartError;
        restarts.push(by);
      },
    },
  };
}

export function start(options: StartOptions) {
  const given = appOptions(options);
  const app: HttpApp = createAgentHttp(given);
  const ask = (asked: Ask): HttpResponse => {
    const response = app.handle(request(asked));
    assert.ok(!(response instanceof Promise));
    return response;
  };
  return { ...given, app, ask };
}

const NOTE_ROUTES = defineRoutes({
  putNote: {
    method: 'POST',
    path: '/notes/{path*}',
    summary: '',
    auth: 'none',
    body: true,
    errors: [],
  },
  search: { method: 'GET', path: '/search', summary: '', auth: 'none', query: true, errors: [] },
  boom: { method: 'GET', path: '/boom', summary: '', auth: 'none', errors: [] },
  boomIn: { method: 'GET', path: '/boom/{how}', summary: '', auth: 'none', errors: [] },
});

const NOTE_SCHEMAS = {
  putNote: {
    body: z.object({ text: z.string(), tags: z.array(z.string()).default([]) }),
    response: z.object({}),
  },
  search: {
    query: z.object({ q: z.string(), n: z.coerce.number().int().default(20) }),
    response: z.object({}),
  },
  boom: { response: z.object({}) },
  boomIn: { response: z.object({}) },
} as const satisfies RouteSchemas<typeof NOTE_ROUTES>;

/** A table with what the agent's own does not have yet: parameters, query, body, handlers that fail. */
export function startNotes(loadSchemas = async () => NOTE_SCHEMAS) {
  const calls: unknown[] = [];
  let loads = 0;
  const handlers: Handlers<typeof NOTE_ROUTES, typeof NOTE_SCHEMAS, unknown> = {
    putNote: async (input, _services, caller) => {
      calls.push({ ...input, from: caller.remoteAddress() });
      return {};
    },
    search: (input) => {
      calls.push(input);
      return {};
    },
    boom: () => {
      throw new Error('secret detail');
    },
    boomIn: async ({ params }) => {
      await Promise.resolve();
      if (params.how === 'other')
        throw Object.assign(new Error('secret detail'), { name: 'AppError', code: 'x' });
      throw new Error('secret detail');
    },
  };
  const given = appOptions({});
  const app = createHttpApp({
    ...given,
    routes: NOTE_ROUTES,
    handlers,
    loadSchemas: () => {
      loads += 1;
      return loadSchemas();
    },
  });
  return { ...given, app, calls, loads: () => loads };
}

export function text(response: HttpResponse): string {
  return String(response.body);
}

export function codeOf(response: HttpResponse): string {
  return JSON.parse(text(response)).code;
}
