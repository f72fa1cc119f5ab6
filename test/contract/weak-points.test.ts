/** Weak points of the reference (its section 9) that no other test holds for the whole route table at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../../src/contract/route.ts';
import { ROUTES } from '../../src/contract/routes.ts';
import { type Ask, start } from '../fixtures/http-app.ts';

const rows = Object.values(ROUTES) as readonly Route[];
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
