/** What an agent starts ends with it, however it ends, and whatever else died. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { CHILD_RECORD } from '../../src/storage/child-record.ts';
import { eventually, logOf } from '../fixtures/chat.ts';
import type { Told } from '../fixtures/command.ts';
import { type FleetProcess, type FleetProcessOptions, startFleet } from '../fixtures/fleet-process.ts';

const BRIDGE = fileURLToPath(new URL('../fixtures/bridges/starter.mjs', import.meta.url));
const ISOLATIONS = ['thread', 'process'] as const;

for (const isolation of ISOLATIONS) {
  test(`a stop ends every program, deaf ones and those of other groups too (${isolation})`, async (t) => {
    const fleet = await startStarter(t, { isolation });
    await command(fleet, 'sleep 2');
    const pids = [...(await started(fleet, 2)), ...(await family(fleet, 2))];
    await fleet.stop();
    assert.deepEqual(pids.filter(isRunning), [], fleet.output());
    assert.equal(existsSync(recordOf(fleet)), false, 'the record is gone');
    const ends = logOf(fleet.agent('starter').dir).filter(({ event }) => event === 'child.end');
    assert.deepEqual(ends.map(({ signal }) => signal).sort(), ['SIGKILL', 'SIGTERM', 'SIGTERM']);
  });

  for (const fault of ['throw', 'exit'] as const) {
    test(`an agent that ends by ${fault} takes its programs along (${isolation})`, async (t) => {
      const fleet = await startStarter(t, { isolation });
      const pids = await family(fleet, 0);
      assert.equal(pids.filter(isRunning).length, 3);
      await command(fleet, fault);
      await fleet.event(isUp(1), 'up again');
      assert.deepEqual(pids.filter(isRunning), [], 'before its next start');
      await fleet.stop();
    });
  }

  test(`programs that outlive the kill -9 of everything end at the next start (${isolation})`, async (t) => {
    const fleet = await startStarter(t, { isolation });
    const pids = await family(fleet, 0);
    await fleet.killGroup();
    assert.equal(pids.filter(isRunning).length, 3, 'nobody was left to end them');
    await fleet.start();
    assert.deepEqual(pids.filter(isRunning), []);
    assert.equal(existsSync(recordOf(fleet)), false, 'the record is gone');
    await fleet.stop();
  });

  test(`no more programs run than limits.child_processes, and one that ends makes room (${isolation})`, async (t) => {
    const fleet = await startStarter(t, { isolation, limit: 2 });
    const { dir } = fleet.agent('starter');
    await command(fleet, 'sleep 3');
    await started(fleet, 2);
    const refused = await eventually(() => logOf(dir).find(({ event }) => event === 'starter.refused'), 'no');
    assert.equal(refused.code, 'child.limit');
    assert.match(String(refused.error), /starter has 2 programs running.*limits\.child_processes/);
    process.kill(Number(readPids(fleet)[0]), 'SIGKILL');
    await eventually(() => logOf(dir).find(({ event }) => event === 'child.end'), 'its end');
    await command(fleet, 'sleep 1');
    const pids = await started(fleet, 3);
    assert.equal(pids.filter(isRunning).length, 2);
    await fleet.stop();
    assert.deepEqual(pids.filter(isRunning), []);
  });
}

test('kill -9 of an agent process takes its programs along', async (t) => {
  const fleet = await startStarter(t, { isolation: 'process' });
  const pids = await family(fleet, 0);
  await command(fleet, 'kill');
  await fleet.event(isUp(1), 'up again');
  assert.deepEqual(pids.filter(isRunning), []);
  await fleet.stop();
});

test('a program sees what every program needs and what is named, and none of the rest', async (t) => {
  const fleet = await startStarter(t, { env: { OPENAGENT_WS_TOKEN: 'a-secret-of-the-supervisor' } });
  const { dir } = fleet.agent('starter');
  await command(fleet, 'environment');
  const printed = await eventually(() => logOf(dir).find(({ event }) => event === 'starter.printed'), 'env');
  const names = String(printed.text)
    .split('\n')
    .map((line) => line.split('=')[0] ?? '')
    .filter((name) => !['', 'PATH', 'HOME', 'TZ', 'LANG', 'TMPDIR', 'PWD', 'SHLVL', '_'].includes(name));
  assert.deepEqual(names.sort(), ['NAMED', 'OPENAGENT_CHILD']);
  await fleet.stop();
});

test('a program that does not exist is a line in the log, not the end of its agent', async (t) => {
  const fleet = await startStarter(t);
  const { dir } = fleet.agent('starter');
  await command(fleet, 'missing');
  const line = await eventually(() => logOf(dir).find(({ event }) => event === 'child.error'), 'child.error');
  assert.match(JSON.stringify(line), /ENOENT/);
  assert.equal(fleet.agent('starter').state, 'running');
  await fleet.stop();
});

interface Options extends FleetProcessOptions {
  readonly limit?: number;
}

async function startStarter(t: TestContext, { limit = 32, ...options }: Options = {}): Promise<FleetProcess> {
  let fleet: FleetProcess | undefined;
  // Registered first, so it runs last: whatever a failing test leaves behind.
  t.after(() => {
    for (const pid of fleet === undefined ? [] : readPids(fleet))
      if (isRunning(pid)) process.kill(pid, 'SIGKILL');
  });
  fleet = await startFleet(t, {
    agents: ['starter'],
    yaml: () => `channels: { starter: {} }
limits: { child_processes: ${limit} }
supervisor: { backoff_ms_min: 50, backoff_ms_max: 100 }
`,
    prepare: (place) => {
      mkdirSync(join(place, 'starter/bridges'), { recursive: true });
      cpSync(BRIDGE, join(place, 'starter/bridges/starter.mjs'));
    },
    ...options,
  });
  return fleet;
}

/** Resolves when the bridge has taken it. */
async function command(fleet: FleetProcess, text: string): Promise<void> {
  const file = join(fleet.place, 'command');
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
  await eventually(() => !existsSync(file), `the bridge takes ${text}`);
}

/** A shell that is deaf to TERM, a program of its group, and one that has left the group, besides those `before`. */
async function family(fleet: FleetProcess, before: number): Promise<readonly number[]> {
  await command(fleet, 'family');
  return (await started(fleet, before + 3)).slice(before);
}

function started(fleet: FleetProcess, count: number): Promise<readonly number[]> {
  return eventually(() => {
    const pids = readPids(fleet);
    return pids.length >= count && pids;
  }, `${count} programs`);
}

function readPids(fleet: FleetProcess): readonly number[] {
  const file = join(fleet.place, 'pids');
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number);
}

const recordOf = (fleet: FleetProcess): string => join(fleet.agent('starter').dir, CHILD_RECORD);

/** One that was killed and that nobody has waited for yet does not run any more. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false; // no such process
  }
}

const isUp =
  (count: number) =>
  (event: Told): boolean =>
    event.type === 'agent' && event.state === 'running' && event.restarts === count;
