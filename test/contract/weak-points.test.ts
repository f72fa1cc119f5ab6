/** Weak points of the reference (its section 9) that no other test holds for the whole route table at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { modelOfClient } from '../../src/actors/agent-mind.ts';
import type { Route } from '../../src/contract/route.ts';
import { ROUTES } from '../../src/contract/routes.ts';
import { type Ask, start, text } from '../fixtures/http-app.ts';

const rows = Object.values(ROUTES) as readonly Route[];
const patternOf = ({ path }: Route) =>
  new RegExp(`^${path.replaceAll(/\{\w+\*\}/g, '.+').replaceAll(/\{\w+\}/g, '[^/]+')}$`);
const pathOf = ({ path }: Route) => path.replaceAll(/\{\w+\*?\}/g, 'x');

test('weak points 3 and 6: no page of another site can read or change anything, token or not', async () => {
  const strangers: readonly [string, Ask, number][] = [
    ['its Origin', { origin: 'http://evil.example' }, 403],
    ['a sandboxed frame', { origin: 'null' }, 403],
    ['a rebound name', { host: 'evil.example:8765' }, 421],
    ['an image or a link', { secFetchSite: 'cross-site' }, 403],
  ];
  const { ask, defects, restarts } = start({});
  for (const row of rows) {
    for (const [what, asked, status] of strangers) {
      const answer = await ask({ method: row.method, path: pathOf(row), body: '{}', ...asked });
      assert.equal(answer.status, status, `${row.method} ${row.path} by ${what}`);
    }
  }
  assert.deepEqual([defects, restarts], [[], []]);
});

test('weak point 6: what a form can send without a preflight changes nothing', async () => {
  const { ask, defects, restarts } = start({});
  for (const row of rows.filter(({ method, stream }) => method !== 'GET' && !stream)) {
    for (const contentType of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
      const answer = await ask({ method: row.method, path: pathOf(row), contentType, body: '{}' });
      assert.equal(answer.status, 415, `${row.method} ${row.path} as ${contentType}`);
    }
  }
  assert.deepEqual([defects, restarts], [[], []]);
});

test('weak point 1: with a token every route but health wants it', async () => {
  const { ask } = start({ token: 'secret' });
  for (const row of rows) {
    const { status } = await ask({ method: row.method, path: pathOf(row), body: '{}' });
    if (row.path !== '/api/health') assert.equal(status, 401, `${row.method} ${row.path}`);
  }
});

test('weak point 56: unknown paths are 404, other methods 405 with Allow, and both are JSON', () => {
  const { ask, defects } = start({});
  // A fixed name is none of the names that another row has a parameter for.
  const fits = (path: string) => {
    const named = rows.filter((row) => row.path === path);
    return named.length > 0 ? named : rows.filter((row) => patternOf(row).test(path));
  };
  const assertJson = (answer: ReturnType<typeof ask>, status: number, what: string) => {
    assert.equal(answer.status, status, what);
    assert.match(answer.headers['content-type'] ?? '', /^application\/json/, what);
    const body = JSON.parse(text(answer)) as {
      error: string | { message: string; code: string };
      code: string;
    };
    // Under /v1/ as OpenAI's clients want it.
    const { error, code } =
      typeof body.error === 'string' ? body : { error: body.error.message, code: body.error.code };
    assert.deepEqual([typeof error, typeof code], ['string', 'string'], what);
  };
  for (const path of ['/', '/api', '/nowhere', '/api/nowhere', '/api/health/', '/api/config/a/b', '//'])
    assertJson(ask({ path }), 404, path);
  for (const path of new Set(rows.map(pathOf))) {
    const known = fits(path).map(({ method }) => method);
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'TRACE'] as const) {
      if (known.includes(method as (typeof known)[number])) continue;
      const answer = ask({ method, path, body: '{}' });
      assertJson(answer, 405, `${method} ${path}`);
      for (const one of known) assert.ok(answer.headers.allow?.includes(one), `${method} ${path}: ${one}`);
    }
  }
  assert.deepEqual(defects, []);
});

test('weak point 23: a channel with a model of its own has that one, and the others the one of the agent', () => {
  const channels = { websocket: 'openai:gpt-4.1', telegram: 'groq:a' };
  const modelOf = (clientId: string) => modelOfClient(channels, { clientId });
  assert.deepEqual(
    ['bridge:telegram', 'somebody', 'ws-1', 'bridge:discord', 'bridge:constructor'].map(modelOf),
    ['groq:a', 'openai:gpt-4.1', 'openai:gpt-4.1', undefined, undefined],
  );
});
