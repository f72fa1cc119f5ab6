/** Hot reload in the real program: files edited, broken, added and removed under a fleet that runs. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Told } from '../fixtures/command.ts';
import { startFleet } from '../fixtures/fleet-process.ts';

const yaml = (name: string, more = ''): string => `model: {provider: echo}\nname: ${name}\n${more}`;

const isConfig =
  (id: string, fields: Record<string, unknown>) =>
  (event: Told): boolean =>
    event.type === 'config' &&
    event.id === id &&
    Object.entries(fields).every(([key, value]) => JSON.stringify(event[key]) === JSON.stringify(value));

/** An agent that runs again after this event. */
const runsAfter =
  (events: readonly Told[], after: Told, id: string) =>
  (event: Told): boolean =>
    event.type === 'agent' &&
    event.id === id &&
    event.state === 'running' &&
    events.indexOf(event) > events.indexOf(after);

test('a fleet under a pattern follows its files and directories', async (t) => {
  const fleet = await startFleet(t, { agents: ['a1', 'a2'], yaml, dirs: ['*'] });
  const { events, place } = fleet;
  const fileOf = (id: string) => join(place, id, 'openagent.yaml');
  const health = async (id: string) => {
    const answer = await fetch(`${fleet.agent(id).url}/api/health`);
    return (await answer.json()) as { agent: string };
  };

  const { url: before } = fleet.agent('a2');
  writeFileSync(join(place, 'new'), yaml('changed'));
  renameSync(join(place, 'new'), fileOf('a2'));
  const applied = await fleet.event(
    isConfig('a2', { state: 'applied', how: 'restart', sections: ['name'] }),
    'applied',
  );
  await fleet.event(runsAfter(events, applied, 'a2'), 'a2 runs again');
  assert.deepEqual([(await health('a2')).agent, fleet.agent('a2').url], ['changed', before]);

  writeFileSync(fileOf('a2'), yaml('broken', 'logging: {level: loud}\n'));
  const invalid = await fleet.event(isConfig('a2', { state: 'invalid', line: 3 }), 'refused');
  assert.equal((await health('a2')).agent, 'changed');
  assert.equal((await fetch(`${before}/api/restart`, { method: 'POST' })).status, 200);
  await fleet.event(runsAfter(events, invalid, 'a2'), 'a2 runs with the last good one');
  assert.equal((await health('a2')).agent, 'changed');
  assert.ok(events.some(({ type, message }) => type === 'warning' && /last good/.test(String(message))));

  const patched = await fetch(`${fleet.agent('a1').url}/api/config/name`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json' },
    body: '"by rest"',
  });
  assert.equal(((await patched.json()) as { restart_required: boolean }).restart_required, true);
  await fleet.event(isConfig('a1', { how: 'next start', sections: ['name'] }), 'seen');

  mkdirSync(join(place, 'a3'));
  writeFileSync(fileOf('a3'), yaml('third'));
  await fleet.event(({ type, id, state }) => type === 'agent' && id === 'a3' && state === 'running', 'a3');
  assert.equal(events.filter(({ id, state }) => id === 'a1' && state === 'running').length, 1);
  rmSync(join(place, 'a1'), { recursive: true });
  await fleet.event(({ type, id }) => type === 'removed' && id === 'a1', 'removed');
  assert.equal(existsSync(join(place, 'a1')), false, 'nothing of it came back');

  if (process.platform !== 'linux') return;
  const open = readdirSync(`/proc/${fleet.hostPid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${fleet.hostPid}/fd/${fd}`);
    } catch {
      return ''; // Closed in this moment.
    }
  });
  assert.equal(open.filter((link) => link === 'anon_inode:inotify').length, 1, 'one watch for all agents');
});

test('with --no-reload files wait for the next start', async (t) => {
  const fleet = await startFleet(t, { agents: ['a1'], yaml, args: ['--no-reload'] });
  writeFileSync(join(fleet.place, 'a1', 'openagent.yaml'), yaml('later'));
  const { url } = fleet.agent('a1');
  const first = fleet.events.findLast(({ state }) => state === 'running') as Told;
  assert.equal((await fetch(`${url}/api/restart`, { method: 'POST' })).status, 200);
  await fleet.event(runsAfter(fleet.events, first, 'a1'), 'a1 runs again');
  const answer = (await (await fetch(`${url}/api/health`)).json()) as { agent: string };
  assert.equal(answer.agent, 'later');
  await fleet.stop();
});

test('an agent added by command is there again after the death of the host, until it is removed', async (t) => {
  const fleet = await startFleet(t, { agents: ['a1'], yaml });
  const { events, place } = fleet;
  const started = () => events.findLast(({ type }) => type === 'started') as Told;
  const ask = (method: string, path: string, body?: object) =>
    new Promise<number | undefined>((resolve, reject) => {
      const socketPath = String(started().socket);
      const headers = { 'content-type': 'application/json' };
      request({ socketPath, method, path, headers }, (answer) => resolve(answer.resume().statusCode))
        .on('error', reject)
        .end(body && JSON.stringify(body));
    });
  mkdirSync(join(place, 'a2'));
  writeFileSync(join(place, 'a2', 'openagent.yaml'), yaml('second'));
  assert.equal(await ask('POST', '/api/agents', { dir: join(place, 'a2') }), 200);
  await fleet.event(runsAfter(events, started(), 'a2'), 'a2 runs');
  const first = started();
  process.kill(fleet.hostPid, 'SIGKILL');
  await fleet.event((event) => event.type === 'started' && event !== first, 'another host');
  await fleet.event(runsAfter(events, started(), 'a2'), 'a2 runs again');
  assert.equal(await ask('DELETE', '/api/agents/a2'), 200);
  await fleet.event(({ type, id }) => type === 'removed' && id === 'a2', 'removed');
});
