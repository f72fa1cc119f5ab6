import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { connectClients, type LoadClient } from '../fixtures/load-clients.ts';
import { checkPromises, tellGaps } from '../fixtures/load-promises.ts';

const CLIENTS = 20;
const RESTARTS = Number(process.env.OPENAGENT_TEST_RUNS ?? 2);
const ISOLATIONS = ['thread', 'process'] as const;

const all = (clients: readonly LoadClient[], wait: (client: LoadClient) => Promise<void>) =>
  Promise.all(clients.map(wait));

const post = (url: string) => fetch(`${url}/api/restart`, { method: 'POST' });

const info = async (url: string) =>
  (await (await fetch(`${url}/api/agent-info`)).json()) as { port: number; started_at: number };

/** Some answers of one word at once, others token by token, in two sessions of which each has a queue. */
function load(t: TestContext, fleet: FleetProcess, id: string, count = CLIENTS): LoadClient[] {
  const text = (messageId: string) =>
    messageId.endsWith('7') ? `${messageId} ${'word '.repeat(8)}.` : messageId;
  const options = { url: () => fleet.wsUrl(id), sessions: 2, text };
  return connectClients(t, count, { ...options, window: 2 });
}

const yaml = () => 'model: { provider: echo, delay_ms: 2 }\nsupervisor: { intensity: 1000 }\n';

for (const isolation of ISOLATIONS) {
  test(`POST /api/restart under load loses and repeats nothing (${isolation})`, async (t) => {
    const fleet = await startFleet(t, { agents: 2, isolation, yaml });
    const { url, port, dir } = fleet.agent('a1');
    const clients = load(t, fleet, 'a1');
    const neighbours = load(t, fleet, 'a2', 2);
    for (let restart = 1; restart <= RESTARTS; restart++) {
      await all([...clients, ...neighbours], (client) => client.answers(5));
      const before = await info(url);
      assert.equal((await post(url)).status, 200);
      await all(clients, (client) => client.closed(restart));
      await all(clients, (client) => client.answers(1));
      const after = await info(url);
      assert.ok(after.started_at > before.started_at);
      assert.deepEqual([after.port, await readFile(join(dir, '.port'), 'utf8')], [port, String(port)]);
    }
    await all([...clients, ...neighbours], (client) => client.finish());
    const figures = checkPromises(clients, { restarts: 'planned' });
    checkPromises(neighbours, { restarts: 'planned' });
    assert.deepEqual(figures.closed, { 1012: CLIENTS * RESTARTS });
    assert.deepEqual(
      neighbours.map(({ connections }) => connections.length),
      [1, 1],
    );
    t.diagnostic(`${RESTARTS} restarts, ${JSON.stringify(figures)}; ${tellGaps(clients)}`);
    await fleet.stop();
  });
}

test('turns that the drain is too short for run again after the restart, and nothing is lost or repeated', async (t) => {
  const fleet = await startFleet(t, {
    yaml: () => `model: { provider: echo, delay_ms: 20 }
supervisor: { intensity: 1000, drain_ms: 50 }
limits: { attempts_per_turn: 1000 }
`,
  });
  const clients = load(t, fleet, 'a1', 8);
  for (let restart = 1; restart <= RESTARTS; restart++) {
    await all(clients, (client) => client.answers(1));
    assert.equal((await post(fleet.agent('a1').url)).status, 200);
    await all(clients, (client) => client.closed(restart));
  }
  await all(clients, (client) => client.finish());
  const figures = checkPromises(clients, { restarts: 'planned' });
  assert.deepEqual(figures.closed, { 1012: clients.length * RESTARTS });
  const log = await readFile(join(fleet.agent('a1').dir, 'logs/events.jsonl'), 'utf8');
  assert.match(log, /"message\.interrupted"/, 'every turn ended in time: the test shows nothing');
  t.diagnostic(JSON.stringify(figures));
  await fleet.stop();
});

test('the command "restart" closes with 1012 behind its result, and all queued messages are answered', async (t) => {
  const fleet = await startFleet(t, { yaml });
  const clients = load(t, fleet, 'a1', 4);
  await all(clients, (client) => client.answers(3));
  const result = await clients[0]?.command('restart');
  assert.equal(result?.text, 'Restarting...');
  await all(clients, (client) => client.closed(1));
  await all(clients, (client) => client.answers(3));
  await all(clients, (client) => client.finish());
  assert.deepEqual(checkPromises(clients, { restarts: 'planned' }).closed, { 1012: 4 });
  await fleet.stop();
});

for (const isolation of ISOLATIONS) {
  test(`SIGTERM closes with 1001, and what was accepted is answered after the next start (${isolation})`, async (t) => {
    const slow = () => 'model: { provider: echo, delay_ms: 20 }\n';
    const fleet = await startFleet(t, { agents: 2, isolation, yaml: slow });
    const clients = [...load(t, fleet, 'a1', 4), ...load(t, fleet, 'a2', 4)];
    await all(clients, (client) => client.answers(2));
    const { dir } = fleet.agent('a1');
    await fleet.stop();
    await assert.rejects(readFile(join(dir, '.port')), { code: 'ENOENT' });
    await all(clients, (client) => client.closed(1));
    const left = clients.flatMap((client) => client.unanswered());
    assert.ok(
      left.some(({ turnId }) => turnId !== undefined),
      'nothing was waiting: the test shows nothing',
    );
    await fleet.start();
    await all(clients, (client) => client.finish());
    const figures = checkPromises(clients, { restarts: 'planned' });
    assert.deepEqual(figures.closed, { 1001: clients.length });
    t.diagnostic(`${left.length} messages came back; ${JSON.stringify(figures)}`);
    await fleet.stop();
  });
}
