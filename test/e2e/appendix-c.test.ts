/**
 * The checklist of the reference (its appendix C), row by row as docs/conformance.md numbers them, against a running
 * agent. Where we differ on purpose, the test says what is done instead.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { eventually, isTerminal, openChat } from '../fixtures/chat.ts';
import { startFleet } from '../fixtures/fleet-process.ts';

type Json = Record<string, unknown>;

test('appendix C', async (t) => {
  const fleet = await startFleet(t, {
    yaml: () =>
      'name: Probe\nmodel: { provider: echo, delay_ms: 20 }\nsystem_prompt: $' + '{C_PROMPT:-old}\n',
  });
  const { url, dir } = fleet.agent('a1');

  async function ask(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ response: Response; json: Json }> {
    const response = await fetch(`${url}${path}`, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await response.text();
    return { response, json: text === '' ? {} : (JSON.parse(text) as Json) };
  }
  const get = async (path: string) => (await ask('GET', path)).json;

  await t.test(
    'appendix C 1: every response carries the CORS headers for an allowed origin; OPTIONS anywhere is 204',
    async () => {
      const headers = { origin: 'http://localhost:3000' };
      for (const path of ['/api/health', '/api/vault/notes/none.md', '/nowhere']) {
        const response = await fetch(`${url}${path}`, { headers });
        assert.equal(response.headers.get('access-control-allow-origin'), headers.origin, path);
        assert.match(
          response.headers.get('access-control-allow-methods') ?? '',
          /GET, POST, PUT, PATCH, DELETE, OPTIONS/,
        );
        assert.match(
          response.headers.get('access-control-allow-headers') ?? '',
          /Content-Type, Authorization/,
        );
        assert.equal((await fetch(`${url}${path}`, { method: 'OPTIONS', headers })).status, 204);
      }
    },
  );

  await t.test(
    'appendix C 2: error bodies are {"error"} JSON, also for 404, 405, 413 and bad JSON',
    async () => {
      const bad = await fetch(`${url}/api/config`, {
        method: 'PUT',
        body: '{',
        headers: { 'content-type': 'application/json' },
      });
      const large = await fetch(`${url}/api/vault/notes/x.md`, {
        method: 'PUT',
        body: JSON.stringify('x'.repeat(2 ** 24)),
        headers: { 'content-type': 'application/json' },
      });
      const answers = [
        await fetch(`${url}/nowhere`),
        await fetch(`${url}/api/health`, { method: 'POST' }),
        bad,
        large,
      ];
      assert.deepEqual(
        answers.map(({ status }) => status),
        [404, 405, 400, 413],
      );
      for (const answer of answers) assert.equal(typeof ((await answer.json()) as Json).error, 'string');
    },
  );

  await t.test('appendix C 3: health and agent-info have the keys of the reference', async () => {
    const { status, agent, version, connected_clients } = await get('/api/health');
    assert.deepEqual([status, agent, typeof version, connected_clients], ['ok', 'Probe', 'string', 0]);
    const info = await get('/api/agent-info');
    assert.deepEqual([info.name, info.agent_dir, info.port], ['Probe', dir, fleet.agent('a1').port]);
  });

  await t.test(
    'appendix C 4: PATCH system_prompt and name accept a bare JSON string, which is readable afterwards; PATCH replaces',
    async () => {
      const { json } = await ask('PATCH', '/api/config/system_prompt', 'new prompt');
      assert.deepEqual([json.ok, json.restart_required, json.system_prompt], [true, true, 'new prompt']);
      await ask('PATCH', '/api/config/name', 'Renamed');
      const config = await get('/api/config');
      assert.deepEqual([config.system_prompt, config.name], ['new prompt', 'Renamed']);
      await ask('PATCH', '/api/config/memory', { vault_path: 'memories' });
      await ask('PATCH', '/api/config/memory', {});
      assert.deepEqual((await get('/api/config')).memory, {});
    },
  );

  await t.test('appendix C 5: restart_required is false for model and providers', async () => {
    const { json } = await ask('PATCH', '/api/config/providers', {});
    assert.equal(json.restart_required, false);
    const model = await ask('PATCH', '/api/config/model', { provider: 'echo', delay_ms: 20 });
    assert.equal(model.json.restart_required, false);
  });

  await t.test(
    'appendix C 6: notes: content round-trips byte-exact, 404 is JSON, nested folders are made, segments are decoded',
    async () => {
      const content = '---\r\ntitle: A B\r\n---\r\n\r\nHello [[B]]\r\n';
      const put = await ask('PUT', '/api/vault/notes/sub%20dir/deep/A.md', { content });
      assert.deepEqual([put.json.ok, put.json.path], [true, 'sub dir/deep/A.md']);
      await ask('PUT', '/api/vault/notes/B.md', { content: 'b' });
      const note = await get('/api/vault/notes/sub%20dir/deep/A.md');
      assert.deepEqual([note.content, note.frontmatter, note.links], [content, { title: 'A B' }, ['B']]);
      const missing = await ask('GET', '/api/vault/notes/none.md');
      assert.deepEqual([missing.response.status, typeof missing.json.error], [404, 'string']);
      const paths = ((await get('/api/vault/notes')).notes as Json[]).map(({ path }) => path as string);
      assert.deepEqual(paths, [...paths].sort());
    },
  );

  await t.test('appendix C 7: list and search: tags are always an array', async () => {
    await ask('PUT', '/api/vault/notes/odd.md', { content: '---\ntags: one\n---\nneedle' });
    await ask('PUT', '/api/vault/notes/none.md', { content: '---\ntags:\n---\nneedle' });
    const listed = (await get('/api/vault/notes')).notes as Json[];
    const found = (await get('/api/vault/search?q=needle')).results as Json[];
    assert.equal(found.length, 2);
    for (const { tags } of [...listed, ...found]) assert.ok(Array.isArray(tags), JSON.stringify(tags));
  });

  await t.test(
    'appendix C 8: graph: nodes and edges have their keys, and edges lie between nodes that exist',
    async () => {
      await ask('PUT', '/api/vault/notes/linker.md', { content: '[[B]] [[nobody]]' });
      const { nodes, edges } = (await get('/api/vault/graph')) as { nodes: Json[]; edges: Json[] };
      const shown = JSON.stringify(edges);
      assert.ok(nodes.every((node) => ['id', 'label', 'tags', 'type'].every((key) => key in node)));
      const ids = nodes.map(({ id }) => id);
      assert.ok(
        edges.some(({ source, target }) => source === 'linker.md' && target === 'B.md'),
        shown,
      );
      assert.ok(edges.every(({ source, target }) => ids.includes(source) && ids.includes(target)));
    },
  );

  await t.test(
    'appendix C 11: upload: any field name, a directory of its own, the last component as its name, an empty file is fine',
    async () => {
      const upload = async (name: string, content: string) => {
        const form = new FormData();
        form.append('whatever', new Blob([content]), name);
        return (await (await fetch(`${url}/api/upload`, { method: 'POST', body: form })).json()) as Json;
      };
      const first = await upload('../../evil name.txt', 'one');
      const second = await upload('evil name.txt', '');
      assert.deepEqual([first.filename, second.filename], ['evil name.txt', 'evil name.txt']);
      assert.notEqual(first.path, second.path);
      for (const [{ path }, content] of [
        [first, 'one'],
        [second, ''],
      ] as const) {
        assert.ok(String(path).startsWith(join(dir, 'uploads')), String(path));
        assert.equal(readFileSync(String(path), 'utf8'), content);
      }
      assert.ok(!('transcription' in first));
    },
  );

  await t.test('appendix C 23: the agent directory has its files, and its port in .port', async () => {
    assert.equal(readFileSync(join(dir, '.port'), 'utf8'), String(fleet.agent('a1').port));
    for (const name of ['openagent.yaml', 'openagent.db', 'logs/events.jsonl'])
      assert.ok(existsSync(join(dir, name)), name);
  });

  await t.test('appendix C 12: logs: a bare array, a prefix filter, DELETE answers ok', async () => {
    const entries = await eventually(async () => {
      const found = (await get('/api/logs?lines=50&event=gateway.')) as unknown as Json[];
      return found.length > 0 && found;
    }, 'a line of the gateway');
    assert.ok(Array.isArray(entries));
    assert.ok(
      entries.every(({ event, ts }) => String(event).startsWith('gateway.') && typeof ts === 'number'),
    );
    assert.equal((await ask('DELETE', '/api/logs')).json.ok, true);
  });

  await t.test(
    'appendix C 14: auth_ok with agent_name and version, without client_id as well, and optional without a token',
    async (t) => {
      const named = await openChat(t, fleet.agent('a1').wsUrl, { clientId: 'named' });
      const ok = await named.frame(({ type }) => type === 'auth_ok');
      assert.deepEqual([typeof ok.agent_name, typeof ok.version], ['string', 'string']);
      const nameless = await openChat(t, fleet.agent('a1').wsUrl, { clientId: undefined as never });
      assert.equal(typeof (await nameless.frame(({ type }) => type === 'auth_ok')).client_id, 'string');
    },
  );

  await t.test(
    'appendix C 15 and 22: bad JSON is answered and the connection kept; unknown types are ignored; ping is answered by pong',
    async (t) => {
      const chat = await openChat(t, fleet.agent('a1').wsUrl, { clientId: 'odd' });
      chat.send('not an object' as never);
      await chat.frame(({ type }) => type === 'error', 'error');
      chat.send({ type: 'unheard-of' });
      chat.send({ type: 'ping' });
      await chat.frame(({ type }) => type === 'pong', 'pong');
      assert.equal(chat.frames.filter(({ type }) => type === 'error').length, 1);
      assert.ok(chat.isOpen());
    },
  );

  await t.test(
    'appendix C 16 and 17: a message has a default session and one terminal frame with it; blank text is ignored',
    async (t) => {
      const chat = await openChat(t, fleet.agent('a1').wsUrl, { clientId: 'default' });
      chat.send({ type: 'message', text: '   ' });
      chat.send({ type: 'message', text: 'hi [FILE:/tmp/x.txt]' });
      const answer = await chat.frame(isTerminal, 'answer');
      assert.deepEqual([answer.type, answer.session_id, answer.text], ['response', 'default', 'echo: hi']);
      assert.deepEqual(answer.attachments, [{ type: 'file', path: '/tmp/x.txt', filename: 'x.txt' }]);
      const plain = await chat.ask('plain');
      assert.equal(plain.attachments, null);
      assert.equal(chat.frames.filter(isTerminal).length, 2);
    },
  );

  await t.test(
    'appendix C 18: queued.position starts at 1; beyond 20 waiting a message is refused with its session',
    async (t) => {
      const chat = await openChat(t, fleet.agent('a1').wsUrl, { clientId: 'queue' });
      for (let index = 0; index < 23; index++)
        chat.send({ type: 'message', text: `${index} ${'w '.repeat(50)}`, session_id: 'Q' });
      assert.equal((await chat.frame(({ type }) => type === 'queued', 'queued')).position, 1);
      const refused = await chat.frame(({ type }) => type === 'error', 'refusal');
      assert.equal(refused.session_id, 'Q');
      chat.send({ type: 'command', name: 'stop' });
    },
  );

  await t.test('appendix C 21: ten commands and unknown ones are answered while a turn runs', async (t) => {
    const chat = await openChat(t, fleet.agent('a1').wsUrl, { clientId: 'commands' });
    chat.send({ type: 'message', text: 'long '.repeat(200), session_id: 'L' });
    await chat.frame(({ type }) => type === 'status', 'status');
    const names = ['new', 'reset', 'status', 'queue', 'clear', 'usage', 'help', 'update', 'unheard-of'];
    for (const name of names) chat.send({ type: 'command', name });
    for (const name of names) {
      const { text } = await chat.frame(
        (frame) => frame.type === 'command_result' && frame.name === name,
        name,
      );
      assert.equal(typeof text, 'string');
    }
    assert.ok(
      !chat.frames.some((frame) => isTerminal(frame) && frame.session_id === 'L'),
      'the turn still runs',
    );
    chat.send({ type: 'command', name: 'stop' });
    const stopped = await chat.frame(
      (frame) => frame.type === 'command_result' && frame.name === 'stop',
      'stop',
    );
    assert.doesNotMatch(String(stopped.text), /restart/i);
  });

  await t.test('appendix C 13: restart answers ok and the agent comes back on its port', async () => {
    const { port, started_at } = await get('/api/agent-info');
    assert.equal((await ask('POST', '/api/restart')).json.ok, true);
    const back = await eventually(async () => {
      const info = await get('/api/agent-info').catch(() => ({}) as Json);
      return Number(info.started_at) > Number(started_at) && info;
    }, 'back');
    assert.equal(back.port, port);
  });
});
