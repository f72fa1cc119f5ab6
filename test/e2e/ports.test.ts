/** Where agents listen: the next free port, told the same way everywhere, kept by whoever had it. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually } from '../fixtures/chat.ts';
import type { Told } from '../fixtures/command.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { freeRange, range, takePorts } from '../fixtures/taken-ports.ts';

const FAULT_BRIDGE = fileURLToPath(new URL('../fixtures/bridges/fault.mjs', import.meta.url));
const SPAN = 100;

for (const isolation of ['thread', 'process'] as const) {
  test(`agents pass over ports that other programs have (${isolation})`, async (t) => {
    const preferred = await freeRange(8);
    await takePorts(t, range(preferred, 5), '127.0.0.1');
    await takePorts(t, [preferred + 5], '0.0.0.0');
    const fleet = await startFleet(t, { agents: 2, isolation, port: preferred });
    assert.deepEqual(await portsOf(fleet), [preferred + 6, preferred + 7]);
    await fleet.stop();
  });
}

test('30 agents that start at once with one preferred port get 30 ports', async (t) => {
  const preferred = await freeRange(SPAN);
  const fleet = await startFleet(t, { agents: 30, port: preferred });
  assert.deepEqual(await portsOf(fleet), range(preferred, 30));
  await fleet.stop();
});

test('the search ends at port 65535', async (t) => {
  const fleet = await startFleet(t, { agents: 2, port: 65_530 });
  for (const port of await portsOf(fleet)) assert.ok(port >= 65_530, String(port));
  await fleet.stop();
  await takePorts(t, range(65_530, 6), '127.0.0.1');
  const full = await startFleet(t, { port: 65_530, yaml: () => GIVES_UP_AT_ONCE, ready: 'settled' });
  const { code, message } = reasonOf(full, 'a1');
  assert.equal(code, 'bind.no_free_port');
  assert.match(message, /65530–65535/);
});

test('a busy range, a wrong port and a wrong host each fail alone and say why', async (t) => {
  const preferred = await freeRange(SPAN + 1);
  await takePorts(t, range(preferred, SPAN), '127.0.0.1');
  const websocket: Readonly<Record<string, string>> = {
    busy: `{ port: ${preferred} }`,
    high: '{ port: 99999 }',
    nowhere: '{ port: 0, host: no-such-host.invalid, token: a-token-of-the-test }',
    foreign: '{ port: 0, host: 203.0.113.7, token: a-token-of-the-test }',
    fine: '{ port: 0 }',
  };
  const fleet = await startFleet(t, {
    agents: Object.keys(websocket),
    port: 'file',
    yaml: (id) => `${GIVES_UP_AT_ONCE}channels:\n  websocket: ${websocket[id]}\n`,
    ready: 'settled',
  });
  assert.deepEqual(statesOf(fleet), {
    busy: 'quarantined',
    high: 'refused',
    nowhere: 'quarantined',
    foreign: 'quarantined',
    fine: 'running',
  });
  const busy = reasonOf(fleet, 'busy');
  assert.equal(busy.code, 'bind.no_free_port');
  assert.ok(busy.message.includes(`${preferred}–${preferred + SPAN - 1}`), busy.message);
  assert.match(busy.message, /Free one, or choose another start in `channels\.websocket\.port`/);
  const high = reasonOf(fleet, 'high');
  assert.match(high.message, /openagent\.yaml:4:22 channels\.websocket\.port: .*0 to 65535, got 99999/);
  for (const id of ['nowhere', 'foreign']) {
    const { code, message } = reasonOf(fleet, id);
    assert.equal(code, 'bind.host_unknown');
    assert.match(message, /channels\.websocket\.host.*Use an address of this machine/);
  }
  assert.equal((await fetch(`${fleet.agent('fine').url}/api/health`)).status, 200);
  await fleet.stop();
});

test('.port is preferred inside the range only; anything else in it is ignored', async (t) => {
  const preferred = await freeRange(SPAN);
  const written: Readonly<Record<string, string>> = {
    inside: String(preferred + 7),
    outside: String(preferred + SPAN),
    garbage: 'not a port\n',
  };
  const fleet = await startFleet(t, {
    agents: Object.keys(written),
    port: preferred,
    prepare: (place) => {
      for (const [id, text] of Object.entries(written)) {
        mkdirSync(join(place, id));
        writeFileSync(join(place, id, '.port'), text);
      }
    },
  });
  assert.equal(fleet.agent('inside').port, preferred + 7);
  assert.deepEqual(await portsOf(fleet), [preferred, preferred + 1, preferred + 7]);
  await fleet.stop();
});

test('.port stays through a restart and goes with stop and quarantine', async (t) => {
  const fleet = await startFleet(t, {
    agents: ['restarted', 'given-up'],
    yaml: (id) => (id === 'restarted' ? ECHO : `${GIVES_UP_AT_ONCE}channels: { fault: {} }\n`),
    prepare: (place) => {
      mkdirSync(join(place, 'given-up/bridges'), { recursive: true });
      cpSync(FAULT_BRIDGE, join(place, 'given-up/bridges/fault.mjs'));
    },
  });
  await portsOf(fleet);
  const { dir, url } = fleet.agent('restarted');
  const file = join(dir, '.port');
  const before = readFileSync(file, 'utf8');
  const isBack = (event: Told) =>
    event.id === 'restarted' && event.state === 'running' && event.restarts === 1;
  assert.equal((await fetch(`${url}/api/restart`, { method: 'POST' })).ok, true);
  await eventually(() => {
    assert.equal(readFileSync(file, 'utf8'), before);
    return fleet.events.some(isBack);
  }, 'restarted');
  assert.equal(readFileSync(file, 'utf8'), before);

  writeFileSync(join(fleet.place, 'command'), 'throw');
  await fleet.event(({ id, state }) => id === 'given-up' && state === 'quarantined', 'quarantined');
  await eventually(() => !existsSync(join(fleet.agent('given-up').dir, '.port')), '.port removed');
  await fleet.stop();
  assert.ok(!existsSync(file));
});

const ECHO = 'model: { provider: echo }\n';
const GIVES_UP_AT_ONCE = `${ECHO}supervisor: { intensity: 0 }\n`;

/** Sorted. The report, the file and the agent itself say the same. */
async function portsOf(fleet: FleetProcess): Promise<readonly number[]> {
  const ports = await Promise.all(
    fleet.ids.map(async (id) => {
      const { dir, url, port } = fleet.agent(id);
      const info = (await (await fetch(`${url}/api/agent-info`)).json()) as { id: string; port: number };
      assert.deepEqual([info.id, info.port], [id, port]);
      assert.equal(readFileSync(join(dir, '.port'), 'utf8'), String(port));
      return port;
    }),
  );
  return ports.sort((a, b) => a - b);
}

function statesOf(fleet: FleetProcess): Readonly<Record<string, unknown>> {
  return Object.fromEntries(fleet.ids.map((id) => [id, fleet.agent(id).state]));
}

function reasonOf(fleet: FleetProcess, agentId: string): { code: string; message: string } {
  const told = fleet.events.findLast(({ type, id, reason }) => type === 'agent' && id === agentId && reason);
  assert.ok(told, `${agentId} has no reason\n${fleet.output()}`);
  return told.reason as { code: string; message: string };
}
