/** The fleet gateway's routes as a client of either listener sees them. */
import assert from 'node:assert/strict';
import { readFile, stat } from 'node:fs/promises';
import { test } from 'node:test';
import { Announcement } from '../../src/contract/fleet/announcement.ts';
import { FLEET_ROUTES } from '../../src/contract/fleet/routes.ts';
import { agentStatus } from '../fixtures/agent-status.ts';
import { startFleetGateway } from '../fixtures/fleet-gateway.ts';

const BEAT = {
  ...{ atMs: 0, lagMs: 1.5, progress: 7, turnsRunning: 1, turnsWaiting: 2, sockets: 3 },
  memory: { heapUsed: 10, external: 20, arrayBuffers: 5 },
  turns: { accepted: 9, done: 5, failed: 2, cancelled: 1, interrupted: 1, took: [], tookMs: 0 },
  models: { calls: 0, failedCalls: 0, inputTokens: 0, outputTokens: 0, costUsd: 0 },
  task: undefined,
};

test('agents are told in the order of the command line, with what only a running one can tell', async (t) => {
  const { ask } = await startFleetGateway(t, {
    agents: [
      agentStatus('b', { beat: BEAT, cpuPercent: 12.5 }),
      agentStatus('a', {
        state: 'backoff',
        port: undefined,
        readyAtMs: undefined,
        restartInMs: 500,
        reason: { code: 'agent.crashed', message: 'it fell' },
        lastError: { code: 'agent.crashed', message: 'it fell', atMs: 1_700_000_000_000 },
        config: {
          state: 'invalid',
          changedAtMs: 1_700_000_001_000,
          problem: { code: 'config.invalid', message: 'line 3' },
        },
      }),
    ],
  });
  const { json } = await ask('/api/agents');
  assert.deepEqual(
    json.map(({ id }: { id: string }) => id),
    ['b', 'a'],
  );
  const [b, a] = json;
  assert.deepEqual(b.turns, { running: 1, waiting: 2, done: 5, failed: 2, cancelled: 1, interrupted: 1 });
  assert.deepEqual([b.heap_bytes, b.external_bytes, b.lag_ms, b.cpu_percent], [10, 20, 1.5, 12.5]);
  assert.ok(b.uptime_seconds >= 5 && b.silent_ms > 0);
  assert.deepEqual([a.turns, a.port, a.uptime_seconds, a.restart_in_ms], [null, null, null, 500]);
  assert.deepEqual(a.last_error, { code: 'agent.crashed', message: 'it fell', at: 1_700_000_000 });
  assert.deepEqual(a.config, {
    state: 'invalid',
    changed_at: 1_700_000_001,
    problem: { code: 'config.invalid', message: 'line 3' },
  });
  assert.deepEqual((await ask('/api/agents/a')).json, a);
});

test('of a refused directory with the name of an agent, the agent is meant', async (t) => {
  const refused = agentStatus('a1', { state: 'refused', dir: '/elsewhere/a1' });
  const { ask } = await startFleetGateway(t, { agents: [refused, agentStatus('a1')] });
  assert.equal((await ask('/api/agents/a1')).json.dir, '/agents/a1');
  assert.equal((await ask('/api/agents')).json.length, 2);
});

test('actions are passed on and answered at once with what the agent is now', async (t) => {
  const { ask, fleet } = await startFleetGateway(t);
  for (const action of ['start', 'stop', 'restart', 'release']) {
    const { status, json } = await ask(`/api/agents/a2/${action}`, { method: 'POST' });
    assert.deepEqual([status, json.ok, json.agent.id], [200, true, 'a2']);
  }
  assert.deepEqual(fleet.told, ['start a2', 'stop a2', 'restart a2', 'release a2']);
});

test('an action that is not possible says what the agent is, one on a stranger that there is none', async (t) => {
  const { ask, fleet } = await startFleetGateway(t, {
    agents: [agentStatus('a1', { state: 'wedged' }), agentStatus('bad', { state: 'refused' })],
  });
  fleet.refused.add('restart');
  const refusal = await ask('/api/agents/a1/restart', { method: 'POST' });
  assert.deepEqual([refusal.status, refusal.json.code], [409, 'agent.action_refused']);
  assert.match(refusal.json.error, /a1 is wedged/);
  assert.deepEqual(refusal.json.details, { state: 'wedged' });
  assert.match((await ask('/api/agents/bad/start', { method: 'POST' })).json.error, /bad is refused/);
  for (const [method, target] of [
    ['GET', '/api/agents/nobody'],
    ['POST', '/api/agents/nobody/stop'],
    ['DELETE', '/api/agents/nobody'],
    ['GET', '/api/logs?agents=a1,nobody'],
    ['GET', '/api/incidents?agents=nobody'],
    ['GET', '/api/incidents/nobody/x'],
  ] as const) {
    const answer = await ask(target, { method });
    assert.deepEqual([answer.status, answer.json.code], [404, 'agent.not_found'], `${method} ${target}`);
  }
});

test('a directory is added by its whole path, and an agent removed', async (t) => {
  const { ask, fleet } = await startFleetGateway(t);
  const add = (dir: unknown) => ask('/api/agents', { method: 'POST', body: { dir } });
  const added = await add('/agents/new');
  assert.deepEqual([added.status, added.json.agent.state], [200, 'waiting']);
  assert.deepEqual(
    [
      (await add('agents/new')).status,
      (await add('')).status,
      (await add(7)).status,
      (await add('/a\0')).status,
    ],
    [400, 400, 400, 400],
  );
  assert.equal((await add('/other/new')).json.code, 'agent.id_duplicate');
  assert.deepEqual((await ask('/api/agents/new', { method: 'DELETE' })).json, { ok: true });
  assert.deepEqual(
    fleet.statuses.map(({ id }) => id),
    ['a1', 'a2'],
  );
});

test('what nobody serves is 404, another method 405, another body 400, 413 and 415', async (t) => {
  const { ask } = await startFleetGateway(t, { limits: { bodyBytes: 100 } });
  const statuses = await Promise.all(
    (
      [
        ['/api/nothing', {}, 404],
        ['/api/agents/a1/dance', { method: 'POST' }, 404],
        ['/api/agents', { method: 'PUT' }, 405],
        ['/api/agents/a1/stop', {}, 405],
        ['/api/agents', { method: 'POST', body: '{' }, 400],
        ['/api/agents', { method: 'POST', body: { dir: '/x', more: 1 } }, 400],
        ['/api/agents', { method: 'POST', body: { dir: `/${'x'.repeat(200)}` } }, 413],
        ['/api/agents', { method: 'POST', body: '{}', headers: { 'content-type': 'text/plain' } }, 415],
        ['/api/logs?lines=0', {}, 400],
        ['/api/logs?lines=10001', {}, 400],
        ['/api/events?limit=x', {}, 400],
        ['/api/agents/%zz', {}, 400],
        ['/ws', {}, 426],
      ] as const
    ).map(async ([target, asked, expected]) => [target, (await ask(target, asked)).status, expected]),
  );
  for (const [target, status, expected] of statuses) assert.equal(status, expected, String(target));
});

test('over TCP every route but the probes wants the token, and a socket does as well', async (t) => {
  const { ask, token, follow } = await startFleetGateway(t, { port: 0 });
  const probes = ['/livez', '/readyz', '/startupz'];
  for (const { method, path } of Object.values(FLEET_ROUTES)) {
    const target = path.replaceAll(/\{\w+\}/g, 'a1');
    const isProbe = probes.includes(path);
    const bare = await ask(target, { method, tcp: true, headers: {} });
    assert.equal(bare.status, isProbe ? 200 : 401, `${method} ${path}`);
    const wrong = { authorization: 'Bearer wrong' };
    if (path === '/api/fleet') assert.equal((await ask(target, { tcp: true, headers: wrong })).status, 401);
  }
  assert.match(await token(), /^[\w-]{43}$/);
  assert.equal((await ask('/api/agents', { tcp: true })).status, 200);
  await assert.rejects(follow({}, true), /401/);
  await assert.rejects(follow({ authorization: 'Bearer wrong' }, true), /401/);
  const client = await follow(undefined, true);
  client.send({ type: 'ping' });
  await client.frame('pong');
});

test('wrong tokens are counted, and a peer with too many is locked out for its minute, the unix socket is not', async (t) => {
  const { ask } = await startFleetGateway(t, { port: 0, limits: { authFailuresPerMinute: 2 } });
  const wrong = { authorization: 'Bearer wrong' };
  const guess = async () => (await ask('/api/fleet', { tcp: true, headers: wrong })).status;
  assert.deepEqual([await guess(), await guess(), await guess()], [401, 401, 429]);
  const locked = await ask('/api/fleet', { tcp: true });
  assert.equal(locked.status, 429);
  assert.ok(Number(locked.headers['retry-after']) > 0);
  assert.equal((await ask('/api/fleet')).status, 200);
});

test('over TCP Host and Origin are those of an agent; on the unix socket any Host will do, no page of another site', async (t) => {
  const { ask, token } = await startFleetGateway(t, { port: 0 });
  const authorization = `Bearer ${await token()}`;
  const statusOf = async (tcp: boolean, headers: Readonly<Record<string, string>>) =>
    (await ask('/api/fleet', { tcp, headers: { authorization, ...headers } })).status;
  assert.equal(await statusOf(true, { host: 'evil.example' }), 421);
  assert.equal(await statusOf(true, { origin: 'https://evil.example' }), 403);
  assert.equal(await statusOf(true, { 'sec-fetch-site': 'cross-site' }), 403);
  assert.equal(await statusOf(true, { origin: 'http://localhost:3000' }), 200);
  assert.equal(await statusOf(false, { host: 'fleet' }), 200);
  assert.equal(await statusOf(false, { host: 'fleet', origin: 'null' }), 403);
  const refusal = await ask('/livez', { tcp: true, headers: { host: 'evil.example' } });
  assert.doesNotMatch(refusal.text, /channels\.websocket/);
});

test('who looks for the fleet finds its socket, its port and its token, all for this user alone', async (t) => {
  const { gateway, runDir } = await startFleetGateway(t, { port: 0 });
  const path = `${runDir}/${process.pid}`;
  const modeOf = async (ending: string) => ((await stat(`${path}.${ending}`)).mode & 0o777).toString(8);
  assert.deepEqual(await Promise.all(['sock', 'json', 'token'].map(modeOf)), ['600', '600', '600']);
  assert.equal(((await stat(runDir)).mode & 0o777).toString(8), '700');
  const found = Announcement.parse(JSON.parse(await readFile(`${path}.json`, 'utf8')));
  assert.equal(found.socket, gateway.socket);
  assert.equal(`http://${found.http?.host}:${found.http?.port}`, gateway.url);
  assert.equal(found.http?.token_file, `${path}.token`);
  await gateway.close();
  for (const ending of ['sock', 'json', 'token']) await assert.rejects(stat(`${path}.${ending}`), /ENOENT/);
});

test('the host tells of itself', async (t) => {
  const { ask, gateway, runDir } = await startFleetGateway(t);
  const { json } = await ask('/api/fleet');
  assert.deepEqual(
    [json.pid, json.version, json.deaths, json.agents, json.socket, json.url],
    [process.pid, '1.2.3', 2, 2, `${runDir}/${process.pid}.sock`, null],
  );
  assert.equal(gateway.url, undefined);
});

test('metrics come as text that Prometheus knows', async (t) => {
  const { ask } = await startFleetGateway(t);
  const { status, headers, text } = await ask('/metrics');
  assert.equal(status, 200);
  assert.match(headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/);
  assert.match(text, /^# TYPE openagent_\w+ gauge$/m);
});

test('more connections than there may be are closed, and those that are open are served', async (t) => {
  const { ask, follow } = await startFleetGateway(t, { limits: { connections: 1 } });
  const client = await follow();
  await assert.rejects(ask('/livez'), /socket hang up|ECONNRESET|EPIPE/);
  client.send({ type: 'ping' });
  await client.frame('pong');
});
