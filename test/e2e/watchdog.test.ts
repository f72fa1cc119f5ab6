/** The host dies in every way it can, the launcher dies, and agents kill the host: who is back, and who is blamed. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseBreadcrumb } from '../../src/contract/breadcrumb.ts';
import { eventually } from '../fixtures/chat.ts';
import { isType, type Told } from '../fixtures/command.ts';
import { type FleetProcess, type FleetProcessOptions, startFleet } from '../fixtures/fleet-process.ts';
import { connectClients } from '../fixtures/load-clients.ts';
import { checkPromises } from '../fixtures/load-promises.ts';
import { isolations } from '../fixtures/matrix.ts';

const KILLER = fileURLToPath(new URL('../fixtures/bridges/killer.mjs', import.meta.url));
const EXIT_HOST_LOST = 5;

const DEATHS = [
  ...isolations('thread').map((isolation) => ({ signal: 'SIGABRT', isolation }) as const),
  ...isolations('thread').map((isolation) => ({ signal: 'SIGSEGV', isolation }) as const),
  ...isolations('process').map((isolation) => ({ signal: 'SIGKILL', isolation }) as const),
];

for (const { signal, isolation } of DEATHS) {
  test(`a host that dies by ${signal} is followed by another that breaks no promise (${isolation})`, async (t) => {
    const fleet = await startFleet(t, {
      agents: 3,
      isolation,
      yaml: () => 'model: { provider: echo, delay_ms: 1 }\n',
    });
    const ports = portsOf(fleet);
    const clients = fleet.ids.flatMap((id) =>
      connectClients(t, 2, { url: () => fleet.agent(id).wsUrl, name: `${id}-client`, window: 2 }),
    );
    await Promise.all(clients.map((client) => client.answers(3)));
    const pid = fleet.hostPid;
    process.kill(pid, signal);
    const { pid: nextPid } = await died(fleet, 1);
    assert.notEqual(nextPid, pid);
    for (const id of fleet.ids) await running(fleet, id, 1);
    assert.deepEqual(portsOf(fleet), ports, 'the ports stay');
    await Promise.all(clients.map((client) => client.answers(1)));
    await Promise.all(clients.map((client) => client.finish()));
    checkPromises(clients, { restarts: 'crash' });
    assert.deepEqual(fleet.events.filter(isState('quarantined')), []);
    await fleet.stop();
  });
}

test('an agent that kills the host again and again is found out and given up; the others run', async (t) => {
  const fleet = await startKillers(t, ['killer', 'calm']);
  told(fleet, 'killer', 'SIGSEGV always');
  const given = await fleet.event(
    (event) => isState('quarantined')(event) && event.id === 'killer',
    'given up',
  );
  const deaths = fleet.events.filter(isType('started')).length - 1;
  assert.equal(deaths, 3);
  const { code, message } = given.reason as { code: string; message: string };
  assert.equal(code, 'agent.crashed');
  assert.match(message, /the host died \(SIGSEGV\) while this agent was in bridge killer/);
  assert.equal(fleet.events.filter(isType('warning')).filter(({ id }) => id === 'killer').length, deaths);
  await running(fleet, 'calm', deaths);
  process.kill(fleet.hostPid, 'SIGKILL');
  await died(fleet, deaths + 1);
  await running(fleet, 'calm', deaths + 1);
  await fleet.event(isType('settled'), 'settled');
  const last = fleet.events.findLast(({ type, id }) => type === 'agent' && id === 'killer');
  assert.equal(last?.state, 'quarantined', 'it stays given up, whoever dies');
  await fleet.stop();
});

test('one death is charged as one crash, and the agent comes back', async (t) => {
  const fleet = await startKillers(t, ['killer', 'calm']);
  told(fleet, 'killer', 'SIGABRT');
  const down = await fleet.event((event) => isState('backoff')(event) && event.id === 'killer', 'backoff');
  assert.match((down.reason as Told).message as string, /SIGABRT\) while this agent was in bridge killer/);
  for (const id of fleet.ids) await running(fleet, id, 1);
  await fleet.stop();
});

test('of two that may have done it each is started alone, after all others', async (t) => {
  const suspects = ['busy-1', 'busy-2'];
  const fleet = await startKillers(t, [...suspects, 'calm']);
  for (const id of suspects) told(fleet, id, 'hold 8000');
  for (const id of suspects) {
    // Taken away, and still busy with it: the look before found a file to read, which is an activity as well.
    await eventually(() => !existsSync(join(fleet.place, id, 'kill')), 'order taken');
    await eventually(() => crumbOf(fleet, id)?.activities.find(({ kind }) => kind === 'bridge'), 'crumb');
  }
  process.kill(fleet.hostPid, 'SIGKILL');
  const next = await died(fleet, 1);
  for (const id of fleet.ids) await running(fleet, id, 1);
  const told1 = fleet.events.slice(fleet.events.indexOf(next));
  const at = (id: string, state: string) =>
    told1.findIndex((event) => event.id === id && event.state === state);
  const order = told1.map(({ id, state, type }) => `${id ?? type} ${state ?? ''}`).join(', ');
  assert.ok(at('calm', 'running') < at('busy-1', 'starting'), order);
  assert.ok(at('busy-1', 'running') < at('busy-2', 'starting'), order);
  const warning = told1.find(({ code }) => code === 'host.died')?.message as string;
  assert.match(warning, /busy-1, busy-2/);
  await fleet.stop();
});

test('a host that dies too often is given up, with a code of its own', async (t) => {
  const fleet = await startFleet(t);
  for (let deaths = 1; deaths <= 6; deaths++) {
    process.kill(fleet.hostPid, 'SIGKILL');
    if (deaths < 6) await died(fleet, deaths);
  }
  assert.equal(await fleet.exit, EXIT_HOST_LOST);
  assert.match(fleet.output(), /died 6 times within a minute \(at last: SIGKILL\); giving up/);
  assert.deepEqual(fleet.processes(), []);
});

test('a stop that comes while no host runs ends the launcher', async (t) => {
  const fleet = await startFleet(t);
  for (let deaths = 1; deaths <= 4; deaths++) {
    process.kill(fleet.hostPid, 'SIGKILL');
    if (deaths < 4) await died(fleet, deaths);
  }
  await eventually(() => /starting it again in 1000 ms/.test(fleet.output()) || undefined, 'a pause');
  fleet.kill('SIGTERM');
  assert.equal(await fleet.exit, 0);
  assert.deepEqual(fleet.processes(), []);
});

for (const isolation of isolations('thread')) {
  test(`the launcher dies: agents go on, it is said once, and SIGTERM to the host still drains (${isolation})`, async (t) => {
    const fleet = await startFleet(t, { agents: 2, isolation });
    process.kill(fleet.pid, 'SIGKILL');
    const { pid } = await fleet.event(isType('unwatched'), 'unwatched');
    assert.equal(pid, fleet.hostPid);
    for (const id of fleet.ids) assert.equal((await fetch(`${fleet.agent(id).url}/api/health`)).status, 200);
    process.kill(fleet.hostPid, 'SIGTERM');
    await fleet.exit;
    assert.equal(fleet.events.filter(isType('unwatched')).length, 1);
    assert.equal(fleet.events.at(-1)?.type, 'stopped');
    assert.equal(fleet.events.at(-1)?.exit_code, 0);
    assert.deepEqual(fleet.processes(), []);
  });
}

test('--no-watchdog is one process: it drains as ever, and stays dead when it dies', async (t) => {
  const fleet = await startFleet(t, { args: ['--no-watchdog'] });
  assert.equal(fleet.hostPid, fleet.pid);
  assert.equal(fleet.events[0]?.watchdog, 'none');
  await fleet.stop();
  await fleet.start();
  process.kill(fleet.pid, 'SIGKILL');
  assert.equal(await fleet.exit, null);
  assert.deepEqual(fleet.processes(), []);
});

/** Agents whose bridge does what a file says. */
function startKillers(t: TestContext, agents: readonly string[], options: FleetProcessOptions = {}) {
  return startFleet(t, {
    ...options,
    agents,
    yaml: (id) =>
      id === 'calm'
        ? 'model: { provider: echo }\n'
        : 'model: { provider: echo }\nchannels:\n  killer: {}\nsupervisor: { backoff_ms_min: 20, backoff_ms_max: 50, hang_ms: 60000 }\n',
    prepare: (place) => {
      for (const id of agents.filter((name) => name !== 'calm')) {
        mkdirSync(join(place, id, 'bridges'), { recursive: true });
        cpSync(KILLER, join(place, id, 'bridges/killer.mjs'));
      }
    },
  });
}

/** Whole or not at all: the bridge polls. */
function told(fleet: FleetProcess, id: string, text: string): void {
  const file = join(fleet.place, id, 'kill');
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

function crumbOf(fleet: FleetProcess, id: string) {
  return parseBreadcrumb(readFileSync(join(fleet.agent(id).dir, '.crumb'), 'latin1'));
}

const isState =
  (state: string) =>
  (event: Told): boolean =>
    event.type === 'agent' && event.state === state;

/** The first event of the host after so many deaths. */
function died(fleet: FleetProcess, deaths: number): Promise<Told> {
  return fleet.event((event) => event.type === 'started' && event.deaths === deaths, `death ${deaths}`);
}

/** Runs under the host that came after so many deaths. */
async function running(fleet: FleetProcess, id: string, deaths: number): Promise<void> {
  const started = await died(fleet, deaths);
  await fleet.event(
    (event) =>
      isState('running')(event) &&
      event.id === id &&
      fleet.events.indexOf(event) > fleet.events.indexOf(started),
    `${id} running after ${deaths} deaths`,
  );
}

function portsOf(fleet: FleetProcess): readonly number[] {
  return fleet.ids.map((id) => fleet.agent(id).port);
}
