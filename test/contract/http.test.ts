import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { AppError, type ErrorCode } from '../../src/contract/errors.ts';
import { defineRoutes } from '../../src/contract/route.ts';
import { ROUTE_SCHEMAS } from '../../src/contract/route-schemas.ts';
import { CONTROL_ROUTES } from '../../src/contract/routes/control.ts';
import { createHttpApp } from '../../src/gateway/http.ts';
import {
  type Ask,
  appOptions,
  codeOf,
  INFO,
  request,
  start,
  startNotes,
  TOKEN,
  text,
} from '../fixtures/http-app.ts';
import { startReplies } from '../fixtures/http-replies.ts';

describe('routes', () => {
  test('health says who answers and counts clients', () => {
    const response = start({}).ask({ path: '/api/health' });
    assert.deepEqual(JSON.parse(text(response)), {
      status: 'ok',
      agent: 'Probe',
      version: '0.1.0',
      connected_clients: 2,
    });
  });

  test('agent-info has every key of its schema', () => {
    const body = JSON.parse(text(start({}).ask({ path: '/api/agent-info' })));
    assert.deepEqual(ROUTE_SCHEMAS.getAgentInfo.response.strict().parse(body), INFO);
  });

  test('restart is asked for once, by whom is told, and no body or content type is needed', () => {
    for (const contentType of ['', 'application/json', 'application/octet-stream']) {
      const { ask, restarts } = start({});
      const response = ask({ method: 'POST', path: '/api/restart', contentType });
      assert.deepEqual([response.status, text(response)], [200, '{"ok":true}']);
      assert.deepEqual(restarts, ['rest 127.0.0.1']);
    }
  });

  test('an agent that is stopping answers restart with 503 and Retry-After', () => {
    const { ask } = start({ restartError: new AppError('agent.stopping', 'The agent is stopping') });
    const response = ask({ method: 'POST', path: '/api/restart' });
    assert.deepEqual([response.status, codeOf(response)], [503, 'agent.stopping']);
    assert.equal(response.headers['retry-after'], '1');
  });

  const encodings: readonly [string, number][] = [
    ['gzip', 415],
    ['br', 415],
    ['deflate', 415],
    ['X-Unheard-Of', 415],
    ['identity, gzip', 415],
    ['identity', 200],
    ['Identity', 200],
    ['', 200],
  ];
  test('a body in another encoding than identity is 415 on every route, and none of it is read', async () => {
    for (const [encoding, status] of encodings) {
      const asked = { method: 'POST', body: '{"text":"x"}', headers: { 'content-encoding': encoding } };
      const unread = () => assert.fail('the body is read');
      const read = status === 415 ? { readBody: unread, stream: unread } : {};
      for (const answer of [
        start({}).app.handle(request({ ...asked, path: '/api/restart' })),
        startNotes().app.handle({ ...request({ ...asked, path: '/notes/a' }), ...read }),
        startReplies().app.handle({ ...request({ ...asked, path: '/upload' }), ...read }),
      ]) {
        const response = await answer;
        assert.equal(response.status, status, encoding);
        if (status === 200) continue;
        const { code, error } = JSON.parse(text(response));
        assert.equal(code, 'content_encoding.unsupported');
        assert.ok(error.includes(encoding), error);
        assert.equal(response.headers['accept-encoding'], 'identity');
      }
    }
  });

  test('no GET or HEAD changes anything', async () => {
    const { app, restarts } = start({});
    for (const { path } of Object.values(CONTROL_ROUTES)) {
      for (const method of ['GET', 'HEAD']) await app.handle(request({ method, path }));
    }
    assert.deepEqual(restarts, []);
  });

  test('an answer that needs no waiting is given without a promise', () => {
    const { app } = start({});
    for (const { path, method } of Object.values(CONTROL_ROUTES)) {
      assert.ok(!(app.handle(request({ path, method })) instanceof Promise), path);
    }
  });
});

describe('headers', () => {
  const always = { 'x-content-type-options': 'nosniff', 'cache-control': 'no-store', vary: 'Origin' };
  const json = { 'content-type': 'application/json; charset=utf-8', ...always };
  const cors = {
    'access-control-allow-origin': 'http://localhost:8081',
    'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE, OPTIONS',
    'access-control-allow-headers':
      'Content-Type, Authorization, If-Match, If-None-Match, If-Range, Range, Idempotency-Key',
    'access-control-expose-headers':
      'ETag, Content-Range, Content-Disposition, Retry-After, Server-Timing, X-Should-Retry',
  };
  const cases: readonly [string, Ask, Record<string, string>][] = [
    ['without Origin', {}, json],
    ['with an allowed Origin', { origin: 'http://localhost:8081' }, { ...json, ...cors }],
    ['an error for an allowed Origin', { path: '/x', origin: 'http://localhost:8081' }, { ...json, ...cors }],
    ['a foreign Origin', { origin: 'http://evil.example' }, json],
    ['an allowed Origin to a foreign Host', { host: 'evil.example', origin: 'http://localhost:8081' }, json],
    ['preflight', { method: 'OPTIONS', origin: 'http://localhost:8081' }, { ...always, ...cors }],
    ['preflight of any path', { method: 'OPTIONS', path: '/x', origin: '' }, always],
  ];
  for (const [name, asked, expected] of cases) {
    test(name, () => assert.deepEqual({ ...start({}).ask(asked).headers }, expected));
  }
});

describe('refusals', () => {
  const cases: readonly [string, Ask, number, ErrorCode, Record<string, string>][] = [
    ['an unknown path', { path: '/api/unknown' }, 404, 'route.not_found', {}],
    ['a trailing slash', { path: '/api/health/' }, 404, 'route.not_found', {}],
    ['an unknown path before the credential', { path: '/', authorization: '' }, 404, 'route.not_found', {}],
    ['a wrong method', { method: 'DELETE' }, 405, 'method.not_allowed', { allow: 'GET, HEAD, OPTIONS' }],
    ['GET of a POST route', { path: '/api/restart' }, 405, 'method.not_allowed', { allow: 'POST, OPTIONS' }],
    ['an invented method', { method: 'BREW' }, 405, 'method.not_allowed', { allow: 'GET, HEAD, OPTIONS' }],
    ['GET /ws', { path: '/ws' }, 426, 'upgrade.required', { upgrade: 'websocket' }],
    ['POST /ws', { path: '/ws', method: 'POST' }, 405, 'method.not_allowed', { allow: 'GET, HEAD, OPTIONS' }],
    ['no credential', { path: '/api/agent-info' }, 401, 'auth.required', { 'www-authenticate': 'Bearer' }],
    [
      'a wrong token',
      { path: '/api/agent-info', authorization: 'Bearer x' },
      401,
      'auth.invalid',
      { 'www-authenticate': 'Bearer' },
    ],
    ['a foreign Host', { host: 'evil.example', path: '/x' }, 421, 'access.host', {}],
    ['a foreign Origin', { origin: 'http://evil.example', path: '/x' }, 403, 'access.origin', {}],
    ['a cross-site request', { secFetchSite: 'cross-site' }, 403, 'access.cross_site', {}],
  ];
  for (const [name, asked, status, code, headers] of cases) {
    test(`${name}: ${status} ${code}`, () => {
      const response = start({ token: TOKEN }).ask(asked);
      const body = JSON.parse(text(response));
      assert.deepEqual([response.status, body.code, typeof body.error], [status, code, 'string']);
      for (const [header, value] of Object.entries(headers)) assert.equal(response.headers[header], value);
    });
  }

  test('too many wrong tokens: 429 with the time left', () => {
    const { ask, clock } = start({ token: TOKEN, failuresPerMinute: 2 });
    const wrong = { path: '/api/agent-info', authorization: 'Bearer x' };
    assert.deepEqual([ask(wrong).status, ask(wrong).status], [401, 401]);
    clock.nowMs += 15_000;
    const response = ask({ ...wrong, authorization: 'Bearer secret' });
    assert.deepEqual([response.status, codeOf(response)], [429, 'auth.rate_limited']);
    assert.equal(response.headers['retry-after'], '45');
    assert.equal(ask({ path: '/api/health' }).status, 200, 'health goes on');
  });

  for (const [name, asked] of Object.entries({
    health: { path: '/api/health' },
    'an unknown path': { path: '/x' },
    'a refused Host': { host: 'evil.example' },
    'a missing credential': { path: '/api/agent-info' },
  })) {
    test(`HEAD of ${name} is answered as GET, for the transport to leave out the body`, () => {
      const { ask } = start({ token: TOKEN });
      const [get, head] = [ask({ ...asked }), ask({ ...asked, method: 'HEAD' })];
      assert.deepEqual(head, get);
      assert.notEqual(head.body, '', 'its length is told');
    });
  }
});

describe('content types of a JSON route', () => {
  const refused = [
    'text/plain',
    'Text/Plain; charset=utf-8',
    'text/plain ;a=b',
    'text/plain, application/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'multipart/mixed',
  ];
  const taken = ['', 'application/json', 'application/json; charset=utf-8', 'application/octet-stream'];
  for (const path of ['/api/restart', '/notes/a']) {
    for (const contentType of [...refused, ...taken]) {
      const expected = refused.includes(contentType) ? 415 : 200;
      test(`POST ${path} as ${contentType || 'nothing'}: ${expected}`, async () => {
        const asked = { method: 'POST', path, contentType, body: '{"text":"x"}' };
        const response =
          path === '/api/restart' ? start({}).ask(asked) : await startNotes().app.handle(request(asked));
        assert.equal(response.status, expected);
      });
    }
  }

  test('a route that reads its body as it arrives takes any type, but nothing from a page of another site', async () => {
    const { app } = startReplies();
    for (const contentType of [...refused, ...taken]) {
      const response = await app.handle(
        request({ method: 'POST', path: '/upload', contentType, body: 'abc' }),
      );
      assert.deepEqual([response.status, text(response)], [200, '{"bytes":3}'], contentType);
    }
    const form = { method: 'POST', path: '/upload', contentType: 'multipart/form-data; boundary=x' };
    for (const foreign of [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { secFetchSite: 'cross-site' },
    ]) {
      assert.equal((await app.handle(request({ ...form, ...foreign }))).status, 403);
    }
  });

  test('the credential comes before the content type', () => {
    const { ask } = start({ token: TOKEN });
    assert.equal(ask({ method: 'POST', path: '/api/restart', contentType: 'text/plain' }).status, 401);
  });
});

test('bodies with files are larger than others, and only so many of them are in memory at once', async () => {
  const routes = defineRoutes({
    put: {
      ...{ method: 'POST', path: '/put', summary: '', auth: 'none', errors: [] },
      ...{ body: true, bodyWithFiles: true },
    },
  });
  const schemas = { put: { body: z.string(), response: z.object({}) } };
  const app = createHttpApp({
    ...appOptions({}),
    ...{ routes, handlers: { put: () => ({}) }, loadSchemas: async () => schemas },
    fileBodies: { bytesMax: 1_000, atOnceMax: 2 },
  });
  const reading: ((body: Buffer) => void)[] = [];
  const put = (length: string) =>
    app.handle({
      ...request({ method: 'POST', path: '/put', headers: { 'content-length': length } }),
      readBody: (bytesMax) => {
        assert.equal(bytesMax, 1_000);
        return new Promise((resolve) => reading.push(resolve));
      },
    });
  const under = [put('1000'), put('')];
  const busy = await put('101');
  assert.deepEqual([busy.status, codeOf(busy), reading.length], [503, 'upload.busy', 2]);
  const small = put('100');
  for (const read of reading.splice(0)) read(Buffer.from('""'));
  for (const answer of await Promise.all([...under, small])) assert.equal(answer.status, 200);
  const next = put('101');
  for (const read of reading.splice(0)) read(Buffer.from('no JSON'));
  assert.equal((await next).status, 400);
  const last = [put('101'), put('101')];
  for (const read of reading.splice(0)) read(Buffer.from('""'));
  for (const answer of await Promise.all(last))
    assert.equal(answer.status, 200, 'also after one that failed');
});

test('no module that an agent loads for its REST interface imports zod before a request needs it', () => {
  const entry = new URL('../../src/gateway/rest/agent-http.ts', import.meta.url);
  const loaded = staticImports(entry);
  assert.ok(
    [...loaded].some((name) => name.endsWith('/contract/routes.ts')),
    'the walk reaches the table',
  );
  assert.deepEqual(
    [...loaded].filter((name) => name === 'zod' || name.endsWith('/route-schemas.ts')),
    [],
  );
});

/** Every module reached from `entry` by imports that are evaluated: not `import type`, not `import()`. */
function staticImports(entry: URL, seen = new Set<string>()): Set<string> {
  if (seen.has(entry.href)) return seen;
  seen.add(entry.href);
  const source = readFileSync(entry, 'utf8');
  for (const [, specifier = ''] of source.matchAll(
    /^(?:import|export)(?! type\b)[^;]*? from '([^']+)';$/gm,
  )) {
    if (specifier.startsWith('.')) staticImports(new URL(specifier, entry), seen);
    else seen.add(specifier);
  }
  return seen;
}
