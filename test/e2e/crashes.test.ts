/** An agent that fails is restarted alone; a bridge that fails is restarted alone; what was accepted is answered. */
import assert from 'node:assert/strict';
import { cpSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Chat, eventually, logOf, openChat } from '../fixtures/chat.ts';
import type { Told } from '../fixtures/command.ts';
import { type FleetProcess, type FleetProcessOptions, startFleet } from '../fixtures/fleet-process.ts';
import { IS_WHOLE } from '../fixtures/matrix.ts';

const BRIDGES = fileURLToPath(new URL('../fixtures/bridges/', import.meta.url));
const NODE_MODULES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const ISOLATIONS = ['thread', 'process'] as const;
const asked = process.env.OPENAGENT_TEST_TRANSPORT;
/** In a thread the transports end differently: one of them holds native handles. */
const THREAD_TRANSPORTS = asked === undefined ? ['uws', 'node'] : [asked];

const FAULTS = [
  { command: 'throw', code: 'agent.crashed', says: /thrown as told/ },
  { command: 'reject', code: 'agent.crashed', says: /rejected as told/ },
  { command: 'exit', code: 'agent.exited', says: /code 3/ },
] as const;
/** Only a process of its own may be killed: in a thread it is the host's, see `watchdog.test.ts`. */
const PROCESS_FAULTS = [
  ...FAULTS,
  ...(['SIGKILL', 'SIGABRT', 'SIGSEGV'] as const)
    .filter((signal) => IS_WHOLE || signal === 'SIGKILL')
    .map((signal) => ({
      command: `kill ${signal}`,
      code: 'agent.exited',
      says: new RegExp(`ended by ${signal}`),
    })),
] as const;

for (const isolation of ISOLATIONS) {
  for (const transport of isolation === 'thread' ? THREAD_TRANSPORTS : [asked ?? 'auto']) {
    test(`throw, rejection and exit restart the agent alone, then quarantine it (${isolation}, ${transport})`, async (t) => {
      const fleet = await startFaulty(t, { isolation, args: ['--transport', transport] });
      const neighbour = await openChat(t, fleet.agent('calm').wsUrl, { clientId: 'neighbour' });
      const port = fleet.agent('faulty').port;
      for (const [index, fault] of faultsOf(isolation).entries()) {
        const socket = await openChat(t, fleet.agent('faulty').wsUrl, { clientId: 'hit' });
        command(fleet, fault.command);
        const down = await fleet.event(isDown(index + 1), fault.command);
        await answers(neighbour, `while faulty is down by ${fault.command}`);
        assert.equal(reasonOf(down).code, fault.code);
        assert.match(reasonOf(down).message, fault.says);
        await socket.closed();
        const up = await fleet.event(isUp(index + 1), `up after ${fault.command}`);
        assert.equal(up.port, port, 'the port stays');
      }
      command(fleet, 'throw always');
      const given = await fleet.event(isState('faulty', 'quarantined'), 'quarantined');
      assert.equal(reasonOf(given).code, 'agent.crashed');
      assert.match(reasonOf(given).message, /thrown as told .*fault\.mjs/);
      await answers(neighbour, 'after the quarantine');
      assert.ok(neighbour.isOpen(), 'the socket of before all faults');
      assert.equal(fleet.events.filter(isState('calm', 'running')).length, 1);
      await fleet.stop();
    });
  }
}

for (const isolation of ISOLATIONS) {
  test(`a bridge restarts alone, and turns survive their agent (${isolation})`, async (t) => {
    const fleet = await startFaulty(t, { isolation });
    await t.test('a bridge whose run throws or rejects restarts alone', async (t) => {
      const { dir, url, wsUrl } = fleet.agent('faulty');
      const chat = await openChat(t, wsUrl, { clientId: 'stays' });
      const info = await agentInfo(url);
      const eventsBefore = fleet.events.length;
      const ran = (times: number) => () =>
        logOf(dir).filter(({ event }) => event === 'fault.running').length >= times;
      await eventually(ran(1), 'the bridge runs');
      command(fleet, 'run rejects, then throws');
      await eventually(ran(3), 'the bridge runs again');
      await answers(chat, 'meanwhile');
      assert.deepEqual(await agentInfo(url), info, 'the same incarnation');
      assert.deepEqual(fleet.events.slice(eventsBefore), [], 'the supervisor has nothing to tell');
      const errors = logOf(dir).filter(({ event }) => event === 'bridge.error');
      assert.deepEqual(
        errors.map(({ name, error }) => [name, error]),
        [
          ['fault', 'run rejected as told'],
          ['fault', 'run threw as told'],
        ],
      );
    });
    await t.test(
      'turns accepted before the end reach their returning client under the same turn_id',
      async (t) => {
        const before = await openChat(t, fleet.agent('faulty').wsUrl, { clientId: 'returning' });
        for (const session of ['a', 'b']) before.send({ type: 'message', text: 'one', session_id: session });
        before.send({ type: 'message', text: 'waits', session_id: 'a' });
        const accepted = [
          await before.frame((frame) => frame.type === 'status' && frame.session_id === 'a'),
          await before.frame((frame) => frame.type === 'status' && frame.session_id === 'b'),
          await before.frame((frame) => frame.type === 'queued'),
        ];
        command(fleet, 'exit');
        await before.closed();
        assert.deepEqual(before.frames.filter(isResponse), [], 'it ended in the middle of them');
        await fleet.event(isUp(1), 'up again');
        const after = await openChat(t, fleet.agent('faulty').wsUrl, { clientId: 'returning' });
        for (const [index, text] of ['echo: one', 'echo: one', 'echo: waits'].entries()) {
          const id = accepted[index]?.turn_id;
          const response = await after.frame(
            (frame) => isResponse(frame) && frame.turn_id === id,
            `answer ${id}`,
          );
          assert.equal(response.text, text);
        }
        assert.equal(after.frames.filter(isResponse).length, 3);
      },
    );
    await fleet.stop();
  });
}

test('a bridge talks to its agent as a client, in a thread and in a process', async (t) => {
  const fleet = await startFleet(t, {
    agents: ISOLATIONS,
    yaml: (isolation) => `model: { provider: echo }
supervisor: { isolation: ${isolation} }
channels:
  websocket: { token: a-token-of-the-test }
  round-trip: { says: hello }
`,
    prepare: (place) => {
      for (const id of ISOLATIONS) {
        copyBridge(join(place, id), 'round-trip.mjs');
        symlinkSync(NODE_MODULES, join(place, id, 'node_modules'));
      }
    },
  });
  for (const id of ISOLATIONS) {
    const { dir } = fleet.agent(id);
    const entry = await eventually(() => logOf(dir).find(({ event }) => event === 'round.trip'), 'answer');
    assert.equal(entry.text, 'echo: hello');
    assert.equal(entry.bridge, 'round-trip');
  }
  await fleet.stop();
});

function faultsOf(isolation: FleetProcessOptions['isolation']) {
  return isolation === 'process' ? PROCESS_FAULTS : FAULTS;
}

/** `faulty` fails as the file `command` says, and may fail once in each way. `calm` only serves. */
function startFaulty(t: TestContext, options: FleetProcessOptions): Promise<FleetProcess> {
  return startFleet(t, {
    ...options,
    agents: ['faulty', 'calm'],
    yaml: (id) =>
      id === 'calm'
        ? 'model: { provider: echo }\n'
        : `model: { provider: echo, delay_ms: 300 }
channels:
  fault: {}
supervisor: { intensity: ${faultsOf(options.isolation).length}, backoff_ms_min: 50, backoff_ms_max: 100 }
`,
    prepare: (place) => copyBridge(join(place, 'faulty'), 'fault.mjs'),
  });
}

function copyBridge(dir: string, name: string): void {
  mkdirSync(join(dir, 'bridges'), { recursive: true });
  cpSync(join(BRIDGES, name), join(dir, 'bridges', name));
}

/** Whole or not at all: the bridge polls. */
function command(fleet: FleetProcess, text: string): void {
  const file = join(fleet.place, 'command');
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

async function answers(chat: Chat, text: string): Promise<void> {
  const frame = await chat.ask(text);
  assert.equal(frame.text, `echo: ${text}`);
}

const isState =
  (id: string, state: string) =>
  (event: Told): boolean =>
    event.type === 'agent' && event.id === id && event.state === state;

/** After its `count`-th crash. */
const isDown = (count: number) => (event: Told) =>
  isState('faulty', 'backoff')(event) && event.restarts === count - 1;

const isUp = (count: number) => (event: Told) =>
  isState('faulty', 'running')(event) && event.restarts === count;

const isResponse = ({ type }: { readonly type: string }): boolean => type === 'response';

function reasonOf(event: Told): { code: string; message: string } {
  return event.reason as { code: string; message: string };
}

async function agentInfo(url: string): Promise<unknown> {
  const { started_at, port, state } = (await (await fetch(`${url}/api/agent-info`)).json()) as Told;
  return { started_at, port, state };
}
