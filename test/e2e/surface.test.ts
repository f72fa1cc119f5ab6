/** The whole surface of a running agent: what holds for every route and for every file it makes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import { createAgentClient } from '../../clients/sdk/src/node.ts';
import type { Route } from '../../src/contract/route.ts';
import { ROUTES } from '../../src/contract/routes.ts';
import { eventually, logOf, openChat } from '../fixtures/chat.ts';
import { startFleet } from '../fixtures/fleet-process.ts';

const TOKEN = 'correct-horse-battery';
const rows = Object.values(ROUTES) as readonly Route[];
/** What the system itself writes on the way, whoever asks. */
const MOVES_BY_ITSELF = /^(\.crumb|openagent\.db.*|vault-index\.db.*|logs(\/.*)?|\.children\.json)$/;

interface Entry {
  readonly path: string;
  readonly mode: number;
  readonly what: string;
}

function everythingIn(dir: string): readonly Entry[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    const { mode, mtimeMs, size } = statSync(path);
    const what = entry.isDirectory() ? 'folder' : `${size} ${mtimeMs}`;
    return { path: relative(dir, path), mode: mode & 0o777, what };
  });
}

test('what holds for every route and every file of an agent', async (t) => {
  const fleet = await startFleet(t, {
    yaml: () => `model: { provider: echo }\nchannels: { websocket: { token: ${TOKEN} } }\n`,
  });
  const { dir, url, wsUrl } = fleet.agent('a1');
  const agent = createAgentClient({ url, token: TOKEN });
  const chat = await openChat(t, wsUrl, { clientId: 'someone', token: TOKEN });
  await chat.ask('hello');
  await agent.rest.putNote({ params: { path: 'ideas/today.md' }, body: { content: '[[tomorrow]]' } });
  await agent.upload([{ file: new Blob(['report']), name: 'report.txt' }]);
  const file = (await agent.rest.listFiles()).files[0];
  assert.ok(file);

  await t.test('everything an agent makes is for its owner only', () => {
    const made = everythingIn(dir).filter(({ path }) => path !== 'openagent.yaml');
    assert.ok(made.length > 10, JSON.stringify(made));
    assert.deepEqual(
      made.filter(({ mode }) => (mode & 0o077) !== 0).map(({ path, mode }) => `${path} ${mode.toString(8)}`),
      [],
    );
  });

  await t.test('reading every route changes nothing', async () => {
    const authorization = `Bearer ${TOKEN}`;
    // Whatever a first look brings about (the vault is read, documents are made) is over after it.
    for (const round of ['first', 'second']) {
      const before = everythingIn(dir).filter(({ path }) => !MOVES_BY_ITSELF.test(path));
      for (const { method, path } of rows) {
        if (method !== 'GET') continue;
        const target = path
          .replace('{path*}', 'ideas/today.md')
          .replace('{id}', file.id)
          .replace('{section}', 'model');
        for (const read of ['GET', 'HEAD']) {
          const response = await fetch(`${url}${target}?q=tomorrow&path=ideas/today.md`, {
            method: read,
            headers: { authorization },
          });
          await response.arrayBuffer();
          assert.ok(response.status < 500, `${read} ${target}: ${response.status}`);
        }
      }
      const after = everythingIn(dir).filter(({ path }) => !MOVES_BY_ITSELF.test(path));
      if (round === 'second') assert.deepEqual(after, before);
    }
  });

  await t.test('every route but those open to all wants the token, in a header', async () => {
    for (const { method, path, auth } of rows) {
      const target = path.replaceAll(/\{\w+\*?\}/g, 'x');
      const { status } = await fetch(`${url}${target}?token=${TOKEN}&access_token=${TOKEN}`, { method });
      if (auth === 'token') assert.equal(status, 401, `${method} ${path}`);
      else assert.notEqual(status, 401, `${method} ${path}`);
    }
  });

  await t.test('a token in a URL opens nothing, and is not logged', async () => {
    const socket = new WebSocket(`${wsUrl}?token=${TOKEN}`);
    t.after(() => socket.terminate());
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'ping' }));
    const [data] = await once(socket, 'message');
    assert.equal((JSON.parse(String(data)) as { code: string }).code, 'auth.required');
    await eventually(
      () => logOf(dir).some(({ event }) => event === 'message.response'),
      'the log is written',
    );
    const texts = everythingIn(dir)
      .filter(({ path, what }) => what !== 'folder' && /\.port|logs\//.test(path))
      .map(({ path }) => path);
    assert.ok(texts.includes('.port'), texts.join());
    assert.ok(!JSON.stringify(logOf(dir)).includes(TOKEN));
    assert.ok(!fleet.output().includes(TOKEN));
  });
  await fleet.stop();
});
