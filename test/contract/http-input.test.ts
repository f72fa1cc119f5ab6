import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { z } from 'zod';
import type { ErrorCode } from '../../src/contract/errors.ts';
import { createHttpApp } from '../../src/gateway/http.ts';
import {
  type Ask,
  appOptions,
  codeOf,
  request,
  start,
  startNotes,
  TOKEN,
  text,
} from '../fixtures/http-app.ts';

describe('input', () => {
  const bad: readonly [string, Ask, number, ErrorCode, string?][] = [
    ['no body', { body: '' }, 400, 'request.bad_json'],
    ['a body that is not JSON', { body: '{"text":' }, 400, 'request.bad_json'],
    ['a body that is not UTF-8', { body: Buffer.from([0x22, 0xff, 0x22]) }, 400, 'request.bad_json'],
    ['a body above the limit', { body: JSON.stringify({ text: 'x'.repeat(100) }) }, 413, 'body.too_large'],
    ['a body that nests too deep', { body: '{"text":[[[]]]}' }, 400, 'request.bad_json'],
    ['a body of another type', { body: '[1]' }, 400, 'request.invalid', 'body'],
    ['a missing field', { body: '{}' }, 400, 'request.invalid', 'body.text'],
    ['a field of a wrong type', { body: '{"text":1}' }, 400, 'request.invalid', 'body.text'],
    ['a wrong nested field', { body: '{"text":"","tags":["a",1]}' }, 400, 'request.invalid', 'body.tags.1'],
    ['a bad path', { path: '/notes/%ff' }, 400, 'request.invalid', 'path.path'],
    ['a missing parameter', { method: 'GET', path: '/search' }, 400, 'request.invalid', 'query.q'],
    ['a wrong one', { method: 'GET', path: '/search', query: 'q=a&n=x' }, 400, 'request.invalid', 'query.n'],
    ['one twice', { method: 'GET', path: '/search', query: 'q=a&q=b' }, 400, 'request.invalid', 'query.q'],
  ];
  for (const [name, asked, status, code, field] of bad) {
    test(`${name}: ${status} ${code}${field ? ` naming ${field}` : ''}`, async () => {
      const { app, calls, defects } = startNotes();
      const response = await app.handle(request({ method: 'POST', path: '/notes/a', ...asked }));
      assert.deepEqual([response.status, codeOf(response)], [status, code]);
      if (field) assert.equal(JSON.parse(text(response)).details.issues[0].field, field);
      assert.deepEqual([calls, defects], [[], []], 'the handler is not reached, and this is no defect');
    });
  }

  test('a handler gets decoded parameters and validated, defaulted input', async () => {
    const { app, calls } = startNotes();
    await app.handle(request({ method: 'POST', path: '/notes/a/b%20c%2Fd', body: '{"text":"x","z":1}' }));
    await app.handle(request({ path: '/search', query: 'q=%C3%A4+b' }));
    assert.deepEqual(calls, [
      { params: { path: 'a/b c/d' }, body: { text: 'x', tags: [] }, from: '127.0.0.1' },
      { query: { q: 'ä b', n: 20 } },
    ]);
  });

  test('the body is asked for before the handler returns, and not at all when refused', async () => {
    let reads = 0;
    const counting = {
      ...request({ method: 'POST', path: '/notes/a' }),
      readBody: async () => {
        reads += 1;
        return Buffer.from('{"text":""}');
      },
    };
    const { app } = startNotes();
    const answer = app.handle(counting);
    assert.equal(reads, 1);
    assert.equal((await answer).status, 200);
    await app.handle({ ...counting, contentType: 'text/plain' });
    assert.equal(reads, 1);
  });

  test('schemas are loaded with the first request that has something to validate', async () => {
    const { app, loads } = startNotes();
    await app.handle(request({ path: '/boom', method: 'GET' }));
    await app.handle(request({ path: '/nothing' }));
    assert.equal(loads(), 0);
    await app.handle(request({ path: '/search', query: 'q=a' }));
    assert.equal(loads(), 1);
  });
});

describe('defects', () => {
  for (const path of ['/boom', '/boom/later', '/boom/other']) {
    test(`weak point 10: ${path}: 500 internal without the message, reported with its stack`, async () => {
      const { app, defects } = startNotes();
      const response = await app.handle(request({ path, origin: 'http://localhost' }));
      assert.equal(response.status, 500);
      assert.equal(text(response), '{"error":"Internal error","code":"internal"}');
      assert.equal(response.headers['access-control-allow-origin'], 'http://localhost');
      assert.deepEqual(
        defects.map(({ where }) => where),
        [`GET ${path}`],
      );
      const [defect] = defects;
      assert.ok(defect?.error instanceof Error);
      assert.match(defect.error.stack ?? '', /secret detail[\s\S]*http-app/);
    });
  }

  test('schemas that cannot be loaded are a defect, not a crash', async () => {
    const { app, defects } = startNotes(() => Promise.reject(new Error('no such file')));
    const response = await app.handle(request({ method: 'POST', path: '/notes/a', body: '{' }));
    assert.deepEqual([response.status, defects.length], [500, 1]);
  });
});

test('a route table that names one method and path twice is refused at start', () => {
  const row = { method: 'GET', path: '/a', summary: '', auth: 'none', errors: [] } as const;
  const handlers = { one: () => '', two: () => '' };
  const schemas = { one: { response: z.string() }, two: { response: z.string() } };
  const create = () =>
    createHttpApp({
      ...appOptions({}),
      routes: { one: row, two: row },
      handlers,
      loadSchemas: async () => schemas,
    });
  assert.throws(create, /GET \/a stands twice/);
});

test('whatever is sent, nothing throws and nothing is a 5xx', async () => {
  const apps = [start({}).app, start({ token: TOKEN }).app, startNotes().app];
  const oneOf = (...values: string[]) => fc.oneof(fc.constantFrom(...values), fc.string({ unit: 'binary' }));
  const asked = fc.record({
    method: oneOf('GET', 'HEAD', 'POST', 'PUT', 'OPTIONS', 'DELETE', '__proto__'),
    path: oneOf('/api/health', '/api/restart', '/ws', '/search', '/notes/%', '/notes/x', '__proto__', ''),
    query: oneOf('', 'q=1', 'q=%', '__proto__=1&q=2', '&&=', 'q=1&n=Infinity'),
    host: oneOf('localhost', 'localhost', 'localhost', 'localhost:1', '[::1]', ''),
    origin: oneOf('', '', '', 'http://localhost', 'null'),
    authorization: oneOf('', 'Bearer secret', 'Bearer '),
    contentType: oneOf('', 'application/json', 'text/plain', ';;,'),
    secFetchSite: oneOf('', '', 'cross-site'),
    peer: oneOf('127.0.0.1', '::1', '::ffff:1.2.3.4', ''),
    body: fc.oneof(fc.json(), fc.string(), fc.constant('{"text":"x","__proto__":{"tags":1}}')),
  });
  await fc.assert(
    fc.asyncProperty(asked, async (values) => {
      for (const app of apps) {
        const response = await app.handle(request(values));
        assert.ok(response.status >= 200 && response.status < 500, `${response.status} ${response.body}`);
        assert.equal(response.headers.vary, 'Origin');
        if (response.status >= 400 && values.method !== 'HEAD') assert.ok(codeOf(response));
        const decision = app.checkUpgrade(request({ ...values, isUpgrade: true }));
        assert.ok(!('status' in decision) || decision.status < 500);
      }
    }),
    { numRuns: 1_000 },
  );
});
