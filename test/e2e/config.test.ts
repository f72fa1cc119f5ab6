/** The configuration over REST, on a real fleet: what clients see, and what of it reaches the agent that runs. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { WebSocket } from 'ws';
import { startFleet } from '../fixtures/fleet-process.ts';

const TOKEN = 'canary-token-0123456789';
const DEADLINE_MS = 20_000;

const yaml = (id: string) => `# kept
name: ${id}
channels: {websocket: {token: ${TOKEN}}}
providers: {openai: {api_key: canary-key-0123456789}} # kept too
logging: {level: error}
supervisor: {isolation: ${id}}
`;

async function startBoth(t: TestContext) {
  const fleet = await startFleet(t, { agents: ['thread', 'process'], yaml });
  const ask = async (id: string, method: string, path: string, body?: unknown, headers: object = {}) => {
    const response = await fetch(`${fleet.agent(id).url}/api/config${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    assert.equal(/canary/.test(text), false, text);
    const etag = response.headers.get('etag') ?? '';
    return { status: response.status, etag, body: text === '' ? undefined : JSON.parse(text) };
  };
  const fileOf = (id: string) => readFileSync(join(fleet.agent(id).dir, 'openagent.yaml'), 'utf8');
  return { fleet, ask, fileOf };
}

/** The first frame of this type. */
async function nextFrame(socket: WebSocket, type: string): Promise<Record<string, unknown>> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  for (;;) {
    const [data] = await once(socket, 'message', { signal });
    const frame = JSON.parse(String(data));
    if (frame.type === type) return frame;
  }
}

test('the configuration is read, changed, refused, restored and applied, in a thread and in a process', async (t) => {
  const { fleet, ask, fileOf } = await startBoth(t);
  for (const id of fleet.ids) {
    const first = await ask(id, 'GET', '');
    assert.deepEqual([first.status, first.body.name], [200, id]);
    assert.equal(first.body.providers.openai.api_key, '****6789');
    assert.equal((await ask(id, 'GET', '', undefined, { 'if-none-match': first.etag })).status, 304);

    const prompt = await ask(id, 'PATCH', '/system_prompt', 'be brief');
    assert.deepEqual(prompt.body, {
      system_prompt: 'be brief',
      ok: true,
      restart_required: true,
      applied: 'next start',
      warnings: [],
    });
    assert.match(fileOf(id), /^# kept\n[\s\S]*# kept too\n[\s\S]*system_prompt: be brief\n$/);

    const stale = { 'if-match': first.etag };
    const late = await ask(id, 'PATCH', '/name', 'late', stale);
    assert.deepEqual(
      [late.status, late.body.code, `"${late.body.details.etag}"`],
      [409, 'config.conflict', prompt.etag],
    );

    const before = fileOf(id);
    const wrong = await ask(id, 'PATCH', '/channels', { websocket: { port: 'eight' } });
    assert.deepEqual([wrong.status, wrong.body.code], [422, 'config.invalid']);
    assert.match(wrong.body.error, /^openagent\.yaml:\d+:\d+ channels\.websocket\.port: expected/);
    assert.equal(wrong.body.details[0].key, 'channels.websocket.port');
    const deep = await ask(id, 'PUT', '', JSON.parse(`${'['.repeat(60)}${']'.repeat(60)}`));
    assert.ok([400, 422].includes(deep.status), JSON.stringify(deep));
    assert.equal(fileOf(id), before);

    const { body: list } = await ask(id, 'GET', '/versions');
    assert.equal(list.versions.length, 1);
    const restored = await ask(id, 'POST', `/versions/${list.versions[0].id}/restore`);
    assert.deepEqual([restored.status, restored.body.ok, fileOf(id)], [200, true, yaml(id)]);
    assert.equal((await ask(id, 'GET', '/versions/0000000000000-00000000')).status, 404);
  }
  await fleet.stop();
});

test('the level of the log changes at once, clients are told, and a new model comes by a restart of its own', async (t) => {
  const { fleet, ask } = await startBoth(t);
  for (const id of fleet.ids) {
    const { wsUrl, port } = fleet.agent(id);
    const socket = new WebSocket(wsUrl);
    t.after(() => socket.terminate());
    await once(socket, 'open', { signal: AbortSignal.timeout(DEADLINE_MS) });
    const hello = nextFrame(socket, 'auth_ok');
    socket.send(JSON.stringify({ type: 'auth', token: TOKEN, client_id: 'c1', capabilities: ['resources'] }));
    await hello;
    const event = nextFrame(socket, 'resource_event');
    await ask(id, 'PATCH', '/name', 'not logged');
    assert.deepEqual(await event, { type: 'resource_event', resource: 'config', action: 'updated' });
    const level = await ask(id, 'PATCH', '/logging', { level: 'info' });
    assert.deepEqual([level.body.restart_required, level.body.applied], [false, 'live']);
    const closed = once(socket, 'close', { signal: AbortSignal.timeout(DEADLINE_MS) });
    const model = await ask(id, 'PATCH', '/model', { provider: 'echo', delay_ms: 3 });
    assert.deepEqual([model.body.restart_required, model.body.applied], [false, 'restart']);
    assert.deepEqual([(await closed)[0], fleet.agent(id).port], [1012, port]);
    await fleet.event((told) => {
      return told.type === 'agent' && told.id === id && told.state === 'running' && told.restarts === 1;
    });
    assert.equal((await ask(id, 'GET', '')).body.model.delay_ms, 3);
  }
  const dirs = fleet.ids.map((id) => fleet.agent(id).dir);
  await fleet.stop();
  for (const dir of dirs) {
    const lines = readFileSync(join(dir, 'logs/events.jsonl'), 'utf8').trim().split('\n');
    const updates = lines.map((line) => JSON.parse(line)).filter(({ event }) => event === 'config.update');
    assert.deepEqual(
      updates.map(({ section }) => section),
      ['logging', 'model'],
    );
  }
});
