/** The way of the README, on a copy of the example agents. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { cp, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { connectClients } from '../fixtures/load-clients.ts';

const AGENTS = fileURLToPath(new URL('../../agents', import.meta.url));
/** What a start leaves in an agent's directory; the examples may be running while this test does. */
const LEFT = /^((openagent|vault-index)\.db.*|logs|memories|uploads|\.(port|lock|writer|cache).*)$/;

function examples(t: TestContext): Promise<FleetProcess> {
  return startFleet(t, {
    agents: readdirSync(AGENTS),
    prepare: (place) =>
      cp(AGENTS, place, { recursive: true, filter: (source) => !LEFT.test(basename(source)) }),
    yaml: (id) => readFileSync(join(AGENTS, id, 'openagent.yaml'), 'utf8'),
  });
}

async function get(url: string): Promise<Record<string, unknown>> {
  const response = await fetch(url);
  assert.equal(response.status, 200, url);
  assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
  return (await response.json()) as Record<string, unknown>;
}

test('every example runs, says who it is, agrees with its .port, and is left as it was cloned', async (t) => {
  const fleet = await examples(t);
  assert.deepEqual([...fleet.ids].sort(), ['hello', 'slow-typist']);
  for (const id of fleet.ids) {
    const { url, port, dir } = fleet.agent(id);
    const health = await get(`${url}/api/health`);
    assert.deepEqual([health.status, health.connected_clients], ['ok', 0]);
    const info = await get(`${url}/api/agent-info`);
    assert.deepEqual(
      { id: info.id, port: info.port, dir: info.agent_dir, model: info.model, state: info.state },
      { id, port, dir, model: 'echo', state: 'running' },
    );
    assert.equal(info.name, health.agent);
    assert.equal(await readFile(join(dir, '.port'), 'utf8'), String(port));
  }
  await fleet.stop();
  for (const id of fleet.ids) {
    const names = (dir: string) =>
      readdirSync(dir)
        .filter((name) => !LEFT.test(name))
        .sort();
    assert.deepEqual(names(fleet.agent(id).dir), names(join(AGENTS, id)));
  }
});

test('a message is answered, a restart keeps the port, and an id known before it is not run again', async (t) => {
  const fleet = await examples(t);
  const { url, wsUrl, port } = fleet.agent('hello');
  const [client] = connectClients(t, 1, { url: () => wsUrl, messages: 1, text: () => 'hello' });
  assert.ok(client);
  await client.finish();
  const asked = [...client.messages.values()][0];
  assert.ok(asked);
  const types = client.connections[0]?.frames.map(({ frame }) => frame.type);
  assert.deepEqual(types, ['auth_ok', 'pong', 'status', 'response']);
  const first = client.connections[0]?.frames.at(-1);
  assert.deepEqual(first?.frame, {
    type: 'response',
    text: 'echo: hello',
    attachments: null,
    model: 'echo',
    session_id: asked.sessionId,
    turn_id: asked.turnId,
    id: asked.id,
  });
  const response = await fetch(`${url}/api/restart`, { method: 'POST' });
  assert.deepEqual([response.status, await response.json()], [200, { ok: true }]);
  await client.closed(1);
  assert.equal(client.connections[0]?.closeCode, 1012);
  await client.ready(2);
  assert.equal((await get(`${url}/api/agent-info`)).port, port);
  client.again(asked.id);
  await client.frame(2, ({ id }) => id === asked.id);
  const second = client.connections[1]?.frames.map(({ raw }) => raw);
  assert.deepEqual(second?.slice(2), [first?.raw]);
  await fleet.stop();
});
