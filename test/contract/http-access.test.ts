import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OpenAI } from 'openai';
import type { Route } from '../../src/contract/route.ts';
import { ROUTES } from '../../src/contract/routes.ts';
import { type Ask, request, start, TOKEN } from '../fixtures/http-app.ts';

describe('every combination of Host, Origin, token and peer', () => {
  const hosts = { 'localhost:8765': true, 'evil.example': false, '': false };
  const origins = { '': true, 'http://localhost:8081': true, 'http://evil.example': false, null: false };
  const credentials = {
    '': 'missing',
    'Bearer secret': 'right',
    'Bearer wrong': 'wrong',
    'Basic x': 'missing',
  };
  const peers = ['127.0.0.1', '::1', '10.0.0.9'];
  const modes = ['no token', 'token', 'token, legacy without socket', 'token, legacy with socket'] as const;

  for (const mode of modes)
    for (const [host, isHostAllowed] of Object.entries(hosts))
      for (const [origin, isOriginAllowed] of Object.entries(origins))
        for (const [authorization, credential] of Object.entries(credentials))
          for (const peer of peers) {
            const isLegacy =
              mode === 'token, legacy with socket' && authorization === '' && peer !== '10.0.0.9';
            const expected = !isHostAllowed
              ? 421
              : !isOriginAllowed
                ? 403
                : mode === 'no token' || credential === 'right' || isLegacy
                  ? 200
                  : 401;
            const name = `${mode}; Host ${host || 'absent'}; Origin ${origin || 'absent'}; ${authorization || 'no credential'}; from ${peer}: ${expected}`;
            test(name, () => {
              const { ask } = start({
                token: mode === 'no token' ? undefined : TOKEN,
                legacyRest: mode.includes('legacy') ? 'loopback' : 'off',
                socketsOf: mode === 'token, legacy with socket' ? ['127.0.0.1', '::1', '10.0.0.9'] : [],
              });
              const asked = { path: '/api/agent-info', host, origin, authorization, peer };
              assert.equal(ask(asked).status, expected);
              const open = isHostAllowed && isOriginAllowed ? 200 : expected;
              assert.equal(ask({ ...asked, path: '/api/health' }).status, open, 'health needs no credential');
              const preflight = isHostAllowed && isOriginAllowed ? 204 : expected;
              assert.equal(ask({ ...asked, method: 'OPTIONS' }).status, preflight, 'nor does preflight');
            });
          }
});

test('legacy REST counts the authenticated socket of that very peer only', () => {
  const { ask } = start({ token: TOKEN, legacyRest: 'loopback', socketsOf: ['127.0.0.1'] });
  assert.equal(ask({ path: '/api/agent-info', peer: '127.0.0.1' }).status, 200);
  assert.equal(ask({ path: '/api/agent-info', peer: '127.0.0.2' }).status, 401);
});

test('a page of an allowed origin may send every header that a route reads', () => {
  const { ask } = start({});
  const { headers } = ask({ method: 'OPTIONS', origin: 'http://localhost:8081' });
  const allowed = (headers['access-control-allow-headers'] ?? '').toLowerCase().split(', ');
  const read = Object.values<Route>(ROUTES).flatMap((row) => row.headers ?? []);
  // These a browser sets by itself.
  const wanted = read.filter((name) => name !== 'content-length' && name !== 'accept-encoding');
  assert.ok(wanted.includes('idempotency-key'));
  assert.deepEqual(
    wanted.filter((name) => !allowed.includes(name)),
    [],
  );
});

describe("preflight of what OpenAI's library sends from a browser", () => {
  const ALWAYS = 'Content-Type, Authorization, If-Match, If-None-Match, If-Range, Range, Idempotency-Key';
  const origin = 'http://localhost:8081';
  const preflight = (wanted: string, asked: Ask = {}) =>
    start({}).ask({
      ...{ method: 'OPTIONS', path: '/v1/responses', origin },
      ...{ headers: { 'access-control-request-headers': wanted }, ...asked },
    });
  const allowedOf = (wanted: string) => preflight(wanted).headers['access-control-allow-headers'];

  test('every header of its request is allowed', async () => {
    let sent: string[] = [];
    const client = new OpenAI({
      ...{ apiKey: 'x', baseURL: 'http://127.0.0.1:1/v1', dangerouslyAllowBrowser: true, timeout: 1_000 },
      fetch: async (_url, init) => {
        sent = [...new Headers(init?.headers).keys()];
        return Response.json({});
      },
    });
    await client.responses.create({ model: 'x', input: 'hi' });
    assert.ok(sent.filter((name) => name.startsWith('x-stainless-')).length > 5, sent.join());
    // A browser asks for none that any page may send.
    const wanted = sent.filter((name) => name !== 'accept');
    const allowed = (allowedOf(wanted.join(',')) ?? '').toLowerCase().split(', ');
    assert.deepEqual(
      wanted.filter((name) => !allowed.includes(name)),
      [],
    );
  });

  test('other names are not echoed, nor more than a few', () => {
    const odd = 'x-other, cookie, x-stainless-, x-stainless-1, x-stainless-a\r\nx: y, x-stainless-a_b';
    assert.equal(allowedOf(odd), ALWAYS);
    assert.equal(allowedOf(`${odd}, X-Stainless-OS ,x-stainless-os`), `${ALWAYS}, x-stainless-os`);
    const many = Array.from({ length: 20_000 }, (_, n) => `x-stainless-${'a'.repeat((n % 40) + 1)}`);
    assert.ok((allowedOf(many.join(',')) ?? '').split(', ').length <= 7 + 20);
  });

  test('a page of another origin is told nothing', () => {
    const answer = preflight('x-stainless-os', { origin: 'http://evil.example' });
    assert.deepEqual([answer.status, answer.headers['access-control-allow-headers']], [403, undefined]);
    const none = preflight('x-stainless-os', { origin: '' });
    assert.deepEqual([none.status, none.headers['access-control-allow-headers']], [204, undefined]);
  });
});

describe('WebSocket upgrade', () => {
  const cases: readonly [string, Ask & { isOpen?: true }, 'authenticated' | 'not authenticated' | number][] =
    [
      ['no token configured', { isOpen: true }, 'authenticated'],
      ['no token configured, any Bearer', { isOpen: true, authorization: 'Bearer x' }, 'authenticated'],
      ['no credential yet', {}, 'not authenticated'],
      ['right Bearer', { authorization: 'Bearer secret' }, 'authenticated'],
      ['wrong Bearer', { authorization: 'Bearer wrong' }, 401],
      ['another scheme', { authorization: 'Basic x' }, 'not authenticated'],
      ['another path', { path: '/wss' }, 404],
      ['another path with a wrong Bearer', { path: '/api/health', authorization: 'Bearer wrong' }, 404],
      ['foreign Host', { host: 'evil.example' }, 421],
      ['foreign Host, right Bearer', { host: 'evil.example', authorization: 'Bearer secret' }, 421],
      ['foreign Host, no token configured', { isOpen: true, host: 'evil.example' }, 421],
      ['foreign Origin', { origin: 'http://evil.example' }, 403],
      [
        'foreign Origin, right Bearer',
        { origin: 'http://evil.example', authorization: 'Bearer secret' },
        403,
      ],
      ['foreign Origin, no token configured', { isOpen: true, origin: 'http://evil.example' }, 403],
      ['foreign Origin on an unknown path', { path: '/x', origin: 'http://evil.example' }, 403],
      ['Origin null', { isOpen: true, origin: 'null' }, 403],
      ['Origin of a loopback page', { isOpen: true, origin: 'http://localhost:8081' }, 'authenticated'],
      ['cross-site without Origin', { isOpen: true, secFetchSite: 'cross-site' }, 403],
    ];
  for (const [name, { isOpen, ...asked }, expected] of cases) {
    test(`${name}: ${expected}`, () => {
      const { app } = start({ token: isOpen ? undefined : TOKEN });
      const decision = app.checkUpgrade(request({ path: '/ws', ...asked, isUpgrade: true }));
      const authenticated = 'status' in decision || decision.authenticated;
      const outcome = 'status' in decision ? decision.status : `${authenticated ? '' : 'not '}authenticated`;
      assert.equal(outcome, expected);
    });
  }

  test('guesses by upgrade and by REST are counted together, and a locked out peer may not upgrade', () => {
    const { app, ask } = start({ token: TOKEN, failuresPerMinute: 2 });
    app.checkUpgrade(request({ path: '/ws', authorization: 'Bearer wrong' }));
    ask({ path: '/api/agent-info', authorization: 'Bearer wrong' });
    const decision = app.checkUpgrade(request({ path: '/ws', authorization: 'Bearer secret' }));
    assert.ok('status' in decision);
    assert.deepEqual([decision.status, decision.headers['retry-after']], [429, '60']);
  });
});
