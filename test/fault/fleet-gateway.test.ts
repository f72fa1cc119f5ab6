/** The real program: its gateway answers right while an agent hangs, another one is given up and a third one starts. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { systemClock } from '../../src/contract/clock.ts';
import { Announcement } from '../../src/contract/fleet/announcement.ts';
import { acquireDirectoryLock } from '../../src/storage/directory-lock.ts';
import { eventually } from '../fixtures/chat.ts';
import { askFleet, connectFollower } from '../fixtures/fleet-gateway.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';

const BRIDGE = fileURLToPath(new URL('../fixtures/bridges/hanging.mjs', import.meta.url));
/** What one that sleeps in native code may be seen as, however long it takes. */
const STUCK = ['hung', 'stalled', 'wedged'];

/** `calm` and `hanging` run, `broken` is given up at its start, `slow` waits for whoever has its directory: this test. */
function startMixed(t: TestContext): Promise<FleetProcess> {
  return startFleet(t, {
    agents: ['calm', 'hanging'],
    dirs: ['calm', 'hanging', 'broken', 'slow'],
    args: ['--no-watchdog', '--fleet-port', '0', '--token', 'hidden-word'],
    prepare: (place) => {
      mkdirSync(join(place, 'hanging', 'bridges'), { recursive: true });
      cpSync(BRIDGE, join(place, 'hanging', 'bridges', 'hanging.mjs'));
      for (const id of ['broken', 'slow']) mkdirSync(join(place, id));
      writeFileSync(join(place, 'broken', 'openagent.yaml'), 'model: { provider: echo }\n');
      writeFileSync(
        join(place, 'broken', 'openagent.db'),
        'not a database, and of no use to anybody'.repeat(200),
      );
      const waits = 'supervisor: { isolation: process, start_timeout_ms: 120000 }\n';
      writeFileSync(join(place, 'slow', 'openagent.yaml'), `model: { provider: echo }\n${waits}`);
      const lock = acquireDirectoryLock(join(place, 'slow'), { version: '1' }, systemClock, '.writer');
      t.after(() => lock.release());
    },
    yaml: (id) =>
      id === 'hanging'
        ? 'model: { provider: echo }\nchannels: { hanging: { dir: "." } }\n'
        : 'model: { provider: echo }\n',
  });
}

function gatewayOf(fleet: FleetProcess) {
  const { socket, http } = announced(fleet);
  return { socket: socket ?? '', url: `http://${http?.host}:${http?.port}` };
}

function announced({ runDir, hostPid }: FleetProcess): Announcement {
  return Announcement.parse(JSON.parse(readFileSync(join(runDir, `${hostPid}.json`), 'utf8')));
}

function order(fleet: FleetProcess, kind: string): void {
  const file = join(fleet.place, 'order');
  writeFileSync(`${file}.tmp`, kind);
  renameSync(`${file}.tmp`, file);
}

type Row = { readonly id: string; readonly state: string; readonly silent_ms: number | null };

test('every route answers right while one agent hangs, one is given up and one is starting', async (t) => {
  const fleet = await startMixed(t);
  const gateway = gatewayOf(fleet);
  const ask = (target: string, method = 'GET') => askFleet(gateway, target, { method });
  await fleet.event(({ id, state }) => id === 'broken' && state === 'quarantined', 'broken quarantined');
  const client = await connectFollower(t, gateway, {}, false);
  client.send({ type: 'follow', events: { since_seq: 0 }, logs: {} });
  await client.frame('following');
  const loggers = async () => {
    const { json } = await ask('/api/logs?agents=hanging,calm&event=server.start');
    return json.map((entry: { agent: string }) => entry.agent).sort();
  };
  // An agent writes its log a moment later, and one that hangs not at all.
  await eventually(async () => (await loggers()).length === 2, 'both have logged');
  order(fleet, 'wedge');
  await client.frame(
    'event',
    ({ event }) => event.agent === 'hanging' && STUCK.includes(String(event.details.state)),
  );

  const rows: Row[] = (await ask('/api/agents')).json;
  assert.deepEqual(
    rows.map(({ id }) => id),
    ['calm', 'hanging', 'broken', 'slow'],
  );
  const [calm, hanging, broken, slow] = rows.map(({ state }) => state);
  assert.deepEqual([calm, broken, slow], ['running', 'quarantined', 'starting']);
  assert.ok(STUCK.includes(hanging ?? ''), hanging);
  assert.ok((rows[1]?.silent_ms ?? 0) > 1_000);

  assert.equal((await ask('/livez')).status, 200);
  const probe = await ask('/readyz');
  const reasons = probe.json.reasons.map(({ agent }: { agent: string }) => agent);
  assert.deepEqual([probe.status, probe.json.status, probe.json.ready], [503, 'starting', 1]);
  assert.deepEqual(reasons, ['hanging', 'broken', 'slow']);
  const start = await ask('/startupz');
  assert.deepEqual([start.status, start.json.reasons[0].agent, start.json.reasons.length], [503, 'slow', 1]);

  const facts = await ask('/api/fleet');
  assert.equal(facts.json.agents, 4);
  assert.ok(facts.json.args.includes('--token') && !facts.text.includes('hidden-word'));
  assert.equal((await ask('/api/agents/hanging')).json.hangs, 1);
  assert.equal((await ask('/api/agents/broken')).json.reason.code, 'storage.corrupt');
  assert.match((await ask('/metrics')).text, /agent="hanging"/);
  assert.deepEqual(await loggers(), ['calm', 'hanging']);
  assert.ok((await ask('/api/events?agents=broken')).json.length > 1);
  assert.equal((await ask('/api/incidents')).status, 200);
  assert.equal((await ask('/api/agents/slow/release', 'POST')).status, 409);
  assert.equal((await askFleet(gateway, '/api/agents', {})).status, 200);
  const { http } = announced(fleet);
  const token = readFileSync(http?.token_file ?? '', 'utf8').trim();
  const authorization = { authorization: `Bearer ${token}` };
  assert.equal(
    (await askFleet(gateway, '/api/agents', { tcp: true, headers: authorization })).json.length,
    4,
  );

  // The others are acted on as ever, and what is done is told.
  assert.equal((await ask('/api/agents/calm/restart', 'POST')).status, 200);
  await client.frame('log', ({ agent, entry }) => agent === 'calm' && entry.event === 'server.stop');
  await client.frame('event', ({ event }) => event.agent === 'calm' && event.details.restarts === 1);
  assert.equal((await ask('/api/agents/broken/release', 'POST')).status, 200);
  await client.frame('event', ({ event }) => event.agent === 'broken' && event.details.command === 'release');
  assert.equal((await ask('/api/agents/broken', 'DELETE')).status, 200);
  assert.equal((await ask('/api/agents/broken')).status, 404);
  const asked = await ask('/api/agents/hanging/stop', 'POST');
  assert.deepEqual([asked.status, [...STUCK, 'stopping'].includes(asked.json.agent.state)], [200, true]);
});

test('two hosts share a run directory; what kill -9 leaves of one the next one removes', async (t) => {
  const first = await startFleet(t, { args: ['--no-watchdog'] });
  const second = await startFleet(t, { args: ['--no-watchdog'], env: { OPENAGENT_RUN_DIR: first.runDir } });
  const socketOf = ({ hostPid }: FleetProcess) => join(first.runDir, `${hostPid}.sock`);
  for (const fleet of [first, second]) {
    const { json } = await askFleet({ socket: socketOf(fleet), url: undefined }, '/api/fleet', {});
    assert.equal(json.pid, fleet.hostPid);
  }
  const files = ({ hostPid }: FleetProcess) => [`${hostPid}.json`, `${hostPid}.sock`];
  // What is announced is written anew now and then, beside the file that it replaces.
  const nowThere = (names: readonly string[]) =>
    eventually(
      () => isDeepStrictEqual(readdirSync(first.runDir).sort(), names.toSorted()),
      `only ${names.join(', ')} in the run directory`,
    );
  const killed = files(first);
  await nowThere([...killed, ...files(second)]);
  await first.killGroup();
  await nowThere([...killed, ...files(second)]);
  await first.start();
  await nowThere([...files(first), ...files(second)]);
  assert.deepEqual(announced(first).dirs, [first.agent('a1').dir]);
  await Promise.all([first.stop(), second.stop()]);
  assert.deepEqual(readdirSync(first.runDir), []);
});
