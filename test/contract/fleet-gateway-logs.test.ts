/** Logs, events and incidents of all agents together, and the two probes that judge them. */
import assert from 'node:assert/strict';
import { mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { AGENT_STATES } from '../../src/contract/fleet/agent-states.ts';
import { readLog } from '../../src/logging/read-log.ts';
import type { AgentStatus } from '../../src/supervisor/fleet.ts';
import { createLogEntries } from '../../src/supervisor/fleet-gateway/log-entries.ts';
import { agentStatus } from '../fixtures/agent-status.ts';
import { agentWithDir, startFleetGateway } from '../fixtures/fleet-gateway.ts';

const logOf = ({ dir }: AgentStatus) => join(dir, 'logs', 'events.jsonl');
const lines = (times: readonly number[], event = 'x') =>
  times.map((ts) => `${JSON.stringify({ ts, event })}\n`).join('');
const LIMITS = { logAnswerBytes: 1_000_000, logScanBytes: 1_000_000, logReads: 1, logReadsWaiting: 1 };
type Entry = { readonly agent: string; readonly ts: number; readonly event: string };

test('the newest entries of all agents come oldest first, through their old files', async (t) => {
  const [a, b] = [await agentWithDir(t, 'a'), await agentWithDir(t, 'b')];
  await writeFile(`${logOf(a)}.1`, lines([1, 4]));
  await writeFile(logOf(a), `${lines([7, 8])}torn`);
  await writeFile(logOf(b), lines([2, 3, 5, 6, 9]));
  const { ask } = await startFleetGateway(t, { agents: [a, b] });
  const told = async (query: string) =>
    (await ask(`/api/logs${query}`)).json.map(({ agent, ts }: Entry) => `${agent}${ts}`).join(' ');
  assert.equal(await told(''), 'a1 b2 b3 a4 b5 b6 a7 a8 b9');
  assert.equal(await told('?lines=4'), 'b6 a7 a8 b9');
  assert.equal(await told('?agents=a&lines=3'), 'a4 a7 a8');
  assert.equal(await told('?agents=b,a&lines=1'), 'b9');
  assert.equal(await told('?event=y'), '');
});

test('an agent whose log cannot be read hides those of no other', async (t) => {
  const [a, b] = [await agentWithDir(t, 'a'), await agentWithDir(t, 'b')];
  await mkdir(logOf(a));
  await writeFile(logOf(b), lines([1]));
  const gone = agentStatus('gone', { dir: '/nowhere/gone' });
  const refused = agentStatus('refused', { dir: b.dir, state: 'refused' });
  const { ask } = await startFleetGateway(t, { agents: [a, gone, refused, b] });
  assert.deepEqual((await ask('/api/logs')).json, [{ ts: 1, event: 'x', agent: 'b' }]);
});

test('neither the answer nor the number of readers grows without bound', async (t) => {
  const a = await agentWithDir(t, 'a');
  const text = 'ä'.repeat(500);
  await writeFile(
    logOf(a),
    Array.from({ length: 50 }, (_, ts) => `${JSON.stringify({ ts, event: 'x', text })}\n`).join(''),
  );
  const bounded = createLogEntries({ ...LIMITS, logAnswerBytes: 10_000 });
  const places = [{ agent: 'a', dir: a.dir }];
  const answer = Buffer.from(await bounded.read(places, { entries: 50, event: '' }));
  assert.ok(answer.length <= 10_000);
  const entries = JSON.parse(answer.toString()) as Entry[];
  assert.ok(entries.length > 5);
  assert.equal(entries.at(-1)?.ts, 49);
  const busy = createLogEntries(LIMITS);
  const reads = [1, 2, 3, 4].map(() => busy.read(places, { entries: 1, event: '' }));
  const ends = await Promise.allSettled(reads);
  assert.deepEqual(
    ends.map((end) => (end.status === 'fulfilled' ? 'read' : end.reason.code)),
    ['read', 'read', 'logs.full', 'logs.full'],
  );
});

test('an entry that is older than all of a full answer ends the search in its log', async (t) => {
  const [a, b] = [await agentWithDir(t, 'a'), await agentWithDir(t, 'b')];
  await writeFile(logOf(a), lines([100, 101]));
  await writeFile(logOf(b), lines([103, 99, 102]));
  const query = { entries: 9, prefix: '', answerBytes: 1_000, scanBytes: 1_000 };
  const times = async (sinceTs: number) =>
    (await readLog(logOf(b), 1, { ...query, sinceTs })).map(({ ts }) => ts);
  assert.deepEqual([await times(100), await times(1)], [[102], [103, 99, 102]]);
  const { ask } = await startFleetGateway(t, { agents: [a, b] });
  const { json } = await ask('/api/logs?lines=2');
  assert.deepEqual(
    json.map(({ ts }: Entry) => ts),
    [101, 102],
  );
});

test('the newest thousand events are kept, by agent and by name', async (t) => {
  const { ask, gateway } = await startFleetGateway(t, { limits: { events: 10 } });
  for (let port = 1; port <= 25; port += 1) {
    gateway.note({ type: 'agent.changed', agent: agentStatus(port % 2 ? 'odd' : 'even', { port }) });
  }
  const events = async (query = '') =>
    (await ask(`/api/events${query}`)).json as { seq: number; agent: string }[];
  const all = await events();
  assert.deepEqual(
    all.map(({ seq }) => seq),
    Array.from({ length: 10 }, (_, at) => all[0]!.seq + at),
  );
  assert.deepEqual((await events('?limit=2')).length, 2);
  assert.ok((await events('?agents=odd')).every(({ agent }) => agent === 'odd'));
  assert.deepEqual(await events('?event=fleet.'), []);
});

test('a figure that moved is no event; a state, a reason or a port is one', async (t) => {
  const { ask, gateway } = await startFleetGateway(t);
  const tell = (facts: Partial<AgentStatus>) =>
    gateway.note({ type: 'agent.changed', agent: agentStatus('a1', facts) });
  tell({});
  tell({ children: 3, hangs: 1 });
  tell({ port: 9 });
  tell({
    state: 'backoff',
    port: undefined,
    reason: { code: 'agent.crashed', message: 'it\nfell' },
    restartInMs: 5,
  });
  gateway.note({
    type: 'agent.warning',
    id: 'a1',
    warning: {
      ...{ code: 'config.doubtful', message: 'an odd key' },
      details: { percent: 50, period: '2026-11', code: 'other', deep: {}, long: 'x'.repeat(101) },
    },
  });
  gateway.note({
    type: 'agent.incident',
    id: 'a1',
    incident: { kind: 'hung', text: 'hung for 2 s', file: '/d/logs/incidents/2026.json' },
  });
  gateway.note({
    ...{ type: 'config.invalid', id: 'a1', line: 3 },
    problem: { code: 'config.invalid', message: ':3 bad' },
  });
  gateway.note({ type: 'config.applied', id: 'a1', how: 'live', sections: ['model'] });
  gateway.note({ type: 'agent.commanded', id: 'a1', command: 'restart' });
  const { json } = await ask('/api/events?agents=a1');
  assert.deepEqual(
    json.map(({ event, text }: { event: string; text: string }) => `${event}: ${text}`),
    [
      'agent.changed: running on port 8765',
      'agent.changed: running on port 9',
      'agent.changed: backoff: it fell',
      'agent.warning: an odd key',
      'agent.incident: hung for 2 s',
      'config.invalid: openagent.yaml is not used: :3 bad',
      'config.applied: openagent.yaml: applied while running',
      'agent.commanded: restart was asked for',
    ],
  );
  assert.deepEqual(json[3].details, { percent: 50, period: '2026-11', code: 'config.doubtful' });
  assert.equal(json[4].details.name, '2026');
});

const incident = (ts: number, text = 'hung') =>
  JSON.stringify({ ts, event: 'agent.hung', text, stack: ['f (x.mjs:1)'] });

test('incidents are listed newest first, and each is handed out whole under its name', async (t) => {
  const [a, b] = [await agentWithDir(t, 'a'), await agentWithDir(t, 'b')];
  const write = ({ dir }: AgentStatus, name: string, text: string) =>
    writeFile(join(dir, 'logs', 'incidents', name), text);
  await write(a, '2026-01-01T00-00-00.000Z.json', incident(1));
  await write(a, '2026-01-03T00-00-00.000Z.json', incident(3));
  await write(b, '2026-01-02T00-00-00.000Z.json', incident(2, 'stalled'));
  await write(b, '2026-01-09T00-00-00.000Z.json', '{"half');
  await write(b, '2026-01-08T00-00-00.000Z.json.tmp', incident(8));
  const { ask } = await startFleetGateway(t, { agents: [a, b] });
  const list = async (query = '') =>
    (await ask(`/api/incidents${query}`)).json.map((each: Entry) => `${each.agent}${each.ts}`).join(' ');
  assert.equal(await list(), 'a3 b2 a1');
  assert.equal(await list('?limit=1&agents=a'), 'a3');
  const [newest] = (await ask('/api/incidents')).json;
  const { json } = await ask(`/api/incidents/a/${newest.name}`);
  assert.deepEqual([json.agent, json.ts, json.stack], ['a', 3, ['f (x.mjs:1)']]);
});

test('the name of an incident leads to nothing else', async (t) => {
  const [a, b] = [await agentWithDir(t, 'a'), await agentWithDir(t, 'b')];
  const places = join(a.dir, 'logs', 'incidents');
  await writeFile(join(a.dir, 'secret.json'), incident(1));
  await writeFile(join(places, '.hidden.json'), incident(1));
  await symlink(join(a.dir, 'secret.json'), join(places, 'link.json'));
  await mkdir(join(places, 'folder.json'));
  await writeFile(join(places, 'large.json'), '');
  await truncate(join(places, 'large.json'), 5_000_000);
  await writeFile(join(b.dir, 'logs', 'incidents', 'other.json'), incident(1));
  const { ask } = await startFleetGateway(t, { agents: [a, b] });
  for (const name of [
    ...[
      '..%2f..%2fsecret',
      '..%2F..%2Fsecret',
      '%2e%2e%2fsecret',
      '.hidden',
      'link',
      'folder',
      'large',
      'other',
    ],
    ...['%00', 'a%00b', 'x'.repeat(300), 'C%3A%5Cx', '~', '%20'],
  ]) {
    const answer = await ask(`/api/incidents/a/${name}`);
    assert.deepEqual([answer.status, answer.json?.code], [404, 'incident.not_found'], name);
  }
  assert.deepEqual((await ask('/api/incidents?agents=a')).json, []);
  await rm(places, { recursive: true });
  await rename(join(b.dir, 'logs', 'incidents'), places);
  assert.equal((await ask('/api/incidents/a/other')).status, 200);
});

test('ready is a fleet in which every agent runs or was stopped; all others are named with their reason', async (t) => {
  const { ask, fleet } = await startFleetGateway(t, { agents: [] });
  for (const state of AGENT_STATES) {
    const reason =
      state === 'quarantined' ? ({ code: 'agent.crashed', message: 'fell too often' } as const) : undefined;
    fleet.statuses = [agentStatus('fine'), agentStatus('this', { state, reason })];
    const { status, headers, json } = await ask('/readyz');
    const isFine = state === 'running' || state === 'stopped';
    assert.deepEqual(
      [status, json.status, json.agents, json.ready, json.reasons.length],
      isFine ? [200, 'ok', 2, state === 'running' ? 2 : 1, 0] : [503, 'degraded', 2, 1, 1],
      state,
    );
    if (isFine) continue;
    assert.ok(Number(headers['retry-after']) > 0);
    assert.deepEqual([json.reasons[0].agent, json.reasons[0].state], ['this', state]);
    assert.ok(json.reasons[0].reason.length > 3);
    if (reason) assert.equal(json.reasons[0].reason, 'fell too often');
    assert.equal((await ask('/startupz')).status, 200);
    assert.equal((await ask('/livez')).status, 200);
  }
});

test('a fleet is starting until the first start of all is decided, and stopping from when it is told to', async (t) => {
  const { ask, fleet, gateway } = await startFleetGateway(t, {
    isStarting: true,
    agents: [agentStatus('up'), agentStatus('next', { state: 'waiting' })],
  });
  const told = async (path: string) => {
    const { status, json } = await ask(path);
    return [status, json.status, json.reasons.map(({ agent }: Entry) => agent).join()];
  };
  assert.deepEqual(await told('/startupz'), [503, 'starting', 'next']);
  assert.deepEqual(await told('/readyz'), [503, 'starting', 'next']);
  fleet.statuses = [agentStatus('up'), agentStatus('next')];
  // Whose directories are still being looked for nobody can name.
  assert.deepEqual(await told('/startupz'), [503, 'starting', '']);
  gateway.note({ type: 'fleet.settled' });
  assert.deepEqual(
    [await told('/startupz'), await told('/readyz')],
    [
      [200, 'ok', ''],
      [200, 'ok', ''],
    ],
  );
  gateway.note({ type: 'fleet.stopping' });
  assert.deepEqual(await told('/readyz'), [503, 'stopping', '']);
  assert.deepEqual(await told('/startupz'), [200, 'ok', '']);
  assert.equal((await ask('/livez')).status, 200);
});
