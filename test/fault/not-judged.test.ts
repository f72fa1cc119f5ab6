/**
 * A disk, a machine or a clock that misbehaves is nobody's hang: nobody is restarted for it, no socket breaks, and every
 * turn that was under way is answered once. OPENAGENT_TEST_RUNS above 10 makes each of them last longer.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { eventually, logOf } from '../fixtures/chat.ts';
import { type FleetProcess, type FleetProcessOptions, startFleet } from '../fixtures/fleet-process.ts';
import { connectClients, type LoadClient } from '../fixtures/load-clients.ts';
import { checkPromises } from '../fixtures/load-promises.ts';
import { isolations } from '../fixtures/matrix.ts';
import { mountStallingDisk, whyNoStall } from '../fixtures/mounts.ts';

const IS_LONG = Number(process.env.OPENAGENT_TEST_RUNS ?? 0) > 10;
const STALL_MS = 5_000;
/** Commits that were under way when the disk froze have ended by then, and nothing is told any more. */
const QUIET_MS = 500;
/** The long one is beyond the patience of the launcher. */
const SUSPENDED_MS = IS_LONG ? 12_000 : 4_000;
/** More than the silence after which an agent hangs. */
const LOAD_MS = IS_LONG ? 60_000 : 2_500;
/** Its commit waits for the disk, or something smaller that it writes does: a line of its log. */
const STALLED =
  /^stalled for \d\.\d s, (storage commit of \d+|in a native call): waiting for it to come back$/;
const HOUR_MS = 3_600_000;
const JUMPS_MS = [HOUR_MS, -2 * HOUR_MS] as const;
const LOOKED_MS = 2_500;
const CLOCK = fileURLToPath(new URL('../fixtures/wall-jump.cjs', import.meta.url));
const BRIDGE = fileURLToPath(new URL('../fixtures/bridges/jumping.mjs', import.meta.url));
const SLOW = 'model: { provider: echo, delay_ms: 5 }\n';

// Almost all of it is waiting.
describe('what is not an agent’s fault', { concurrency: 8 }, () => {
  for (const isolation of isolations('thread')) {
    test(`a disk that stalls for five seconds ends nobody and loses nothing (${isolation})`, {
      skip: whyNoStall(),
    }, async (t) => {
      const disk = mountStallingDisk(t);
      const { fleet, clients } = await startLoaded(t, ['stuck', 'calm'], {
        isolation,
        prepare: (place) => symlinkSync(disk.dir, join(place, 'stuck')),
      });
      const stuck = clients.filter(({ name }) => name.startsWith('stuck'));
      const calm = clients.filter(({ name }) => name.startsWith('calm'));
      disk.freeze();
      await delay(QUIET_MS);
      const atFirst = [answersOf(stuck), answersOf(calm)] as const;
      const told = fleet.event(({ type, id }) => type === 'incident' && id === 'stuck', 'told meanwhile');
      await delay(STALL_MS - QUIET_MS);
      assert.match(String((await told).text), STALLED);
      const atLast = [answersOf(stuck), answersOf(calm)] as const;
      disk.thaw();
      assert.equal(atLast[0], atFirst[0], 'the disk did not stall: the test shows nothing');
      assert.ok(atLast[1] > atFirst[1], 'the neighbour had to wait');
      await goOn(t, fleet, clients, ['hung', 'stalled']);
    });
  }

  for (const { who, isolation } of [
    ...isolations('thread').map((isolation) => ({ who: 'everything', isolation })),
    ...isolations('process').map((isolation) => ({ who: 'the host alone', isolation })),
  ]) {
    test(`${who} suspended for ${SUSPENDED_MS / 1000} s goes on where it was (${isolation})`, async (t) => {
      const { fleet, clients } = await startLoaded(t, 3, { isolation });
      const pids = who === 'everything' ? [...fleet.processes()] : [fleet.hostPid];
      assert.ok(pids.length > 0);
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      await delay(SUSPENDED_MS);
      for (const pid of pids) process.kill(pid, 'SIGCONT');
      await goOn(t, fleet, clients);
    });
  }

  for (const isolation of isolations('thread')) {
    test(`a wall clock that jumps by hours, to and fro, changes nothing (${isolation})`, async (t) => {
      const { fleet, clients } = await startLoaded(t, 2, {
        isolation,
        env: { NODE_OPTIONS: `--require ${CLOCK}` },
        yaml: () => `${SLOW}channels:\n  jumping: { clock: ${CLOCK} }\n`,
        prepare: (place) => {
          for (const id of ['a1', 'a2']) {
            mkdirSync(join(place, id, 'bridges'), { recursive: true });
            cpSync(BRIDGE, join(place, id, 'bridges/jumping.mjs'));
          }
        },
      });
      for (const jumpMs of JUMPS_MS) {
        const file = join(fleet.place, 'wall-jump');
        writeFileSync(`${file}.new`, String(jumpMs));
        renameSync(`${file}.new`, file);
        for (const id of fleet.ids) {
          const isSeen = () => hasJumped(logOf(fleet.agent(id).dir).at(-1)?.ts, jumpMs);
          await eventually(isSeen, `${id} at ${jumpMs}`);
        }
        // Longer than the patience of the judge of hangs.
        await delay(LOOKED_MS);
        await Promise.all(clients.map((client) => client.answers(3)));
      }
      await goOn(t, fleet, clients);
      assert.ok(hasJumped(fleet.events.at(-1)?.ts, JUMPS_MS[1]), 'the host saw no jump: the test shows less');
    });
  }
});

test(`a load that saturates all cores for ${LOAD_MS / 1000} s ends nobody`, async (t) => {
  const { fleet, clients } = await startLoaded(t, 10, {
    yaml: (id) =>
      `${SLOW}supervisor: { isolation: ${Number(id.slice(1)) % 2 === 0 ? 'thread' : 'process'} }\n`,
  });
  const load = Array.from({ length: availableParallelism() + 1 }, () => startBusy(t));
  await delay(LOAD_MS);
  for (const busy of load) assert.equal(busy.exitCode, null, 'it ended before: the test shows nothing');
  await goOn(t, fleet, clients);
});

/** Two clients for each agent, both at work. */
async function startLoaded(
  t: TestContext,
  agents: number | readonly string[],
  options: FleetProcessOptions,
): Promise<{ readonly fleet: FleetProcess; readonly clients: readonly LoadClient[] }> {
  const fleet = await startFleet(t, { yaml: () => SLOW, ...options, agents });
  const clients = fleet.ids.flatMap((id) =>
    connectClients(t, 2, { url: () => fleet.wsUrl(id), name: id, window: 2 }),
  );
  await Promise.all(clients.map((client) => client.answers(3)));
  return { fleet, clients };
}

/** All is answered once, on the sockets of before, by the agents of before, under the host of before. */
async function goOn(
  t: TestContext,
  fleet: FleetProcess,
  clients: readonly LoadClient[],
  /** Besides those of an agent that is well. It is `hung` while it is looked at. */
  states: readonly string[] = [],
): Promise<void> {
  await Promise.all(clients.map((client) => client.answers(3)));
  await Promise.all(clients.map((client) => client.finish()));
  const figures = checkPromises(clients, { restarts: 'planned' });
  assert.deepEqual(figures.closed, {}, fleet.output());
  const calm = ['waiting', 'starting', 'running', ...states];
  const told = fleet.events.filter(({ type }) => type === 'agent');
  assert.deepEqual(
    told.filter(({ restarts, state }) => restarts !== 0 || !calm.includes(String(state))),
    [],
    'an agent was judged',
  );
  assert.deepEqual(
    fleet.events.filter(({ type, kind }) => type === 'incident' && (kind === 'hung' || states.length === 0)),
    [],
    'an incident',
  );
  assert.equal(fleet.events.filter(({ type }) => type === 'started').length, 1, 'the host was replaced');
  const stalled = fleet.events.filter(({ type }) => type === 'incident').map(({ text }) => String(text));
  t.diagnostic(`${figures.messages} messages; told: ${stalled.join('; ') || 'nothing'}`);
  await fleet.stop();
}

/** Within half an hour, this was written by a clock that is wrong by so much. */
const hasJumped = (ts: unknown, jumpMs: number): boolean =>
  Math.abs(Number(ts) * 1000 - Date.now() - jumpMs) < HOUR_MS / 2;

const answersOf = (clients: readonly LoadClient[]): number =>
  clients.reduce((sum, client) => sum + client.messages.size - client.unanswered().length, 0);

function startBusy(t: TestContext): ChildProcess {
  const busy = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
  t.after(async () => {
    busy.kill('SIGKILL');
    if (busy.exitCode === null && busy.signalCode === null) await once(busy, 'exit');
  });
  return busy;
}
