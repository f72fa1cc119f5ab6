/**
 * The host dies under load, or has to be replaced because an agent can be ended in no other way: all are back, and no
 * promise is broken. OPENAGENT_TEST_RUNS above 10 makes it fifty agents with five hundred turns.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually } from '../fixtures/chat.ts';
import type { Told } from '../fixtures/command.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { connectClients, type LoadClient } from '../fixtures/load-clients.ts';
import { checkPromises, tellGaps } from '../fixtures/load-promises.ts';
import { isolations } from '../fixtures/matrix.ts';

const IS_LONG = Number(process.env.OPENAGENT_TEST_RUNS ?? 0) > 10;
const AGENTS = IS_LONG ? 50 : 10;
const TURNS_PER_AGENT = 10;
const CLIENTS_PER_AGENT = 2;
const RECONNECT_MS = 100;
/** Six of them make a turn, which has to last until the last one is accepted. */
const TOKEN_MS = IS_LONG ? 1_500 : 400;
const BRIDGE = fileURLToPath(new URL('../fixtures/bridges/hanging.mjs', import.meta.url));

for (const isolation of isolations('thread')) {
  test(`${AGENTS * TURNS_PER_AGENT} turns of ${AGENTS} agents outlive the host's SIGABRT (${isolation})`, async (t) => {
    const fleet = await startFleet(t, {
      agents: AGENTS,
      isolation,
      yaml: () => `model: { provider: echo, delay_ms: ${TOKEN_MS} }\n`,
    });
    const clients = fleet.ids.flatMap((id) =>
      connectClients(t, CLIENTS_PER_AGENT, {
        url: () => fleet.agent(id).wsUrl,
        name: id,
        sessions: TURNS_PER_AGENT / CLIENTS_PER_AGENT,
        messages: TURNS_PER_AGENT / CLIENTS_PER_AGENT,
        reconnectMs: RECONNECT_MS,
      }),
    );
    const turns = await eventually(() => {
      const accepted = clients.flatMap((client) => client.unanswered()).filter(({ turnId }) => turnId);
      return accepted.length === AGENTS * TURNS_PER_AGENT && accepted;
    }, 'all turns under way');
    const pid = fleet.hostPid;
    const killedMs = performance.now();
    process.kill(pid, 'SIGABRT');
    const { pid: nextPid } = await died(fleet, 1);
    assert.notEqual(nextPid, pid);
    for (const id of fleet.ids) await running(fleet, id, 1);
    const readyMs = performance.now() - killedMs;
    await finish(clients);
    const figures = checkPromises(clients, { restarts: 'crash' });
    // A process of its own sees its host die, and ends well.
    assert.deepEqual(figures.closed, { [isolation === 'thread' ? 1006 : 1001]: clients.length });
    for (const { id, turnId } of turns) assert.equal(turnOf(clients, id), turnId, 'it is the turn it was');
    t.diagnostic(
      `${turns.length} turns under way; last of ${AGENTS} agents ready after ${Math.round(readyMs)} ms; ` +
        `${JSON.stringify(figures)}`,
    );
    await fleet.stop();
  });
}

describe('an agent in a native call that does not end', { concurrency: 2 }, () => {
  test('costs the host where it is a thread: it is charged, the others are back', async (t) => {
    const { fleet, clients } = await startWedging(t, 'thread');
    const pid = fleet.hostPid;
    const orderedMs = performance.now();
    order(fleet, 'wedge');
    await fleet.event(isState('stuck', 'wedged'), 'wedged');
    const wedgedMs = performance.now() - orderedMs;
    const next = await died(fleet, 1);
    assert.notEqual(next.pid, pid);
    await running(fleet, 'calm', 1);
    const replacedMs = performance.now() - orderedMs;
    const charged = await fleet.event(
      (event) => isState('stuck', 'backoff')(event) && isAfter(fleet, event, next),
      'charged',
    );
    const { code, message } = charged.reason as Told;
    assert.equal(code, 'agent.crashed', fleet.output());
    assert.match(String(message), /the host died \(.*\) while this agent was in bridge hanging/);
    await running(fleet, 'stuck', 1);
    const again = performance.now() - orderedMs;
    await Promise.all(clients.map((client) => client.answers(3)));
    await finish(clients);
    checkPromises(clients, { restarts: 'crash' });
    t.diagnostic(
      `wedged after ${Math.round(wedgedMs)} ms, neighbour back after ${Math.round(replacedMs)} ms, ` +
        `itself after ${Math.round(again)} ms; ${tellGaps(clients)}`,
    );
    // No stop: the `sleep` was started behind the product's back, and nobody knows that it is the agent's.
  });

  test('costs nobody else where it is a process', async (t) => {
    const { fleet, clients } = await startWedging(t, 'process');
    const [pid, orderedMs] = [fleet.hostPid, performance.now()];
    order(fleet, 'wedge');
    await fleet.event((event) => isState('stuck', 'running')(event) && event.restarts === 1, 'up again');
    const againMs = performance.now() - orderedMs;
    await Promise.all(clients.map((client) => client.answers(3)));
    await finish(clients);
    const neighbours = clients.filter(({ name }) => name.startsWith('calm'));
    assert.deepEqual(checkPromises(neighbours, { restarts: 'planned' }).closed, {});
    checkPromises(clients, { restarts: 'crash' });
    assert.equal(fleet.hostPid, pid);
    const states = fleet.events.filter(({ type, id }) => type === 'agent' && id === 'stuck');
    t.diagnostic(`${states.map(({ state }) => state).join(', ')}; up again after ${Math.round(againMs)} ms`);
    await fleet.stop();
  });
});

async function startWedging(t: TestContext, isolation: 'thread' | 'process') {
  let place = '';
  const fleet = await startFleet(t, {
    agents: ['stuck', 'calm'],
    isolation,
    prepare: (directory) => {
      place = directory;
      mkdirSync(join(directory, 'stuck/bridges'), { recursive: true });
      cpSync(BRIDGE, join(directory, 'stuck/bridges/hanging.mjs'));
    },
    yaml: (id) =>
      id === 'calm'
        ? 'model: { provider: echo, delay_ms: 2 }\n'
        : `model: { provider: echo, delay_ms: 2 }
channels: { hanging: { dir: ${join(place, id)} } }
supervisor: { native_stall_ms: 3000, backoff_ms_min: 20, backoff_ms_max: 50 }
`,
  });
  const clients = fleet.ids.flatMap((id) =>
    connectClients(t, 2, { url: () => fleet.agent(id).wsUrl, name: id }),
  );
  await Promise.all(clients.map((client) => client.answers(3)));
  return { fleet, clients };
}

/** Whole at once: the bridge may look at any moment. */
function order(fleet: FleetProcess, kind: string): void {
  const file = join(fleet.agent('stuck').dir, 'order');
  writeFileSync(`${file}.tmp`, kind);
  renameSync(`${file}.tmp`, file);
}

const isState =
  (id: string, state: string) =>
  (event: Told): boolean =>
    event.type === 'agent' && event.id === id && event.state === state;

const isAfter = (fleet: FleetProcess, event: Told, earlier: Told): boolean =>
  fleet.events.indexOf(event) > fleet.events.indexOf(earlier);

/** The first event of the host after so many deaths. */
function died(fleet: FleetProcess, deaths: number): Promise<Told> {
  return fleet.event((event) => event.type === 'started' && event.deaths === deaths, `death ${deaths}`);
}

/** Runs under the host that came after so many deaths. */
async function running(fleet: FleetProcess, id: string, deaths: number): Promise<void> {
  const started = await died(fleet, deaths);
  await fleet.event(
    (event) => isState(id, 'running')(event) && isAfter(fleet, event, started),
    `${id} running after ${deaths} deaths`,
  );
}

async function finish(clients: readonly LoadClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.finish()));
}

function turnOf(clients: readonly LoadClient[], messageId: string): string | undefined {
  return clients.find(({ messages }) => messages.has(messageId))?.messages.get(messageId)?.turnId;
}
