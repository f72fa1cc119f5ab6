import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/contract/clock.ts';
import { AppError } from '../../src/contract/errors.ts';
import type { AgentState } from '../../src/contract/fleet/agent-states.ts';
import type { Isolation } from '../../src/contract/worker-protocol.ts';
import type { ChildSpec } from '../../src/supervisor/child-spec.ts';
import type { FleetEvent, PreparedAgent } from '../../src/supervisor/fleet.ts';
import { type FleetOptions, startFleet } from '../../src/supervisor/start-fleet.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';

const ENTRY = fileURLToPath(new URL('../fixtures/fixture-worker.mjs', import.meta.url));

for (const isolation of ['thread', 'process'] as const) {
  test(`agents start, restart with their port and stop (${isolation})`, async (t) => {
    const { agent, fleet, until } = startTestFleet(t);
    fleet.add(agent('alpha', 'none', { isolation }));
    fleet.add(agent('beta', 'none', { isolation }));
    const alpha = await until('alpha', 'running');
    const beta = await until('beta', 'running');
    assert.deepEqual([alpha.port, beta.port], [8765, 8766]);
    assert.equal(alpha.isolation, isolation);
    assert.equal(fleet.command('beta', 'restart'), true);
    await until('beta', 'starting');
    const again = await until('beta', 'running');
    assert.deepEqual([again.port, again.restarts], [8766, 1]);
    assert.deepEqual(await fleet.shutdown({ force: false }), { wedged: [] });
    assert.deepEqual(
      fleet.agents().map(({ state }) => state),
      ['stopped', 'stopped'],
    );
  });
}

test('one that crashes is quarantined with its reason while its neighbour runs', async (t) => {
  const { agent, fleet, until } = startTestFleet(t);
  fleet.add(agent('alpha', 'throw', { spec: { intensity: 2 } }));
  fleet.add(agent('beta', 'none'));
  const { reason, restarts } = await until('alpha', 'quarantined');
  assert.match(reason?.message ?? '', /injected crash/);
  assert.equal(restarts, 2);
  assert.equal((await until('beta', 'running')).restarts, 0);
});

test('a thread that hangs is read, ended and restarted, and its stack is told', async (t) => {
  const { agent, events, fleet, until } = startTestFleet(t);
  fleet.add(agent('alpha', 'spin', { spec: { drainMs: 0, closeMs: 0 } }));
  await until('alpha', 'running');
  fleet.command('alpha', 'restart');
  await until('alpha', 'starting');
  const warning = events.find((event) => event.type === 'agent.warning');
  assert.equal(warning?.warning.code, 'agent.hung');
  assert.match(warning?.warning.message ?? '', /spinning.*fixture-worker\.mjs/);
});

test('.port goes when an agent is stopped or given up, and stays through a restart', async (t) => {
  const { agent, fleet, until } = startTestFleet(t);
  const alpha = agent('alpha', 'none');
  const portFile = join(alpha.spec.dir, '.port');
  writeFileSync(portFile, '8790');
  fleet.add(alpha);
  assert.equal((await until('alpha', 'running')).port, 8790);
  fleet.command('alpha', 'restart');
  await until('alpha', 'starting');
  await until('alpha', 'running');
  assert.equal(existsSync(portFile), true);
  fleet.command('alpha', 'stop');
  await until('alpha', 'stopped');
  assert.equal(existsSync(portFile), false);
});

test('a restart reads the configuration again, and one that became invalid is its reason', async (t) => {
  const { agent, fleet, until } = startTestFleet(t, {
    prepareAgain: async (prepared) => {
      if (prepared.spec.id === 'beta')
        throw new AppError('config.invalid', 'openagent.yaml:3:1 model: expected a map');
      return { ...prepared, preferredPort: 9_100 };
    },
  });
  for (const id of ['alpha', 'beta']) {
    fleet.add(agent(id, 'none'));
    await until(id, 'running');
    fleet.command(id, 'restart');
  }
  await until('alpha', 'starting');
  assert.equal((await until('alpha', 'running')).port, 9_100);
  assert.equal((await until('beta', 'quarantined')).reason?.code, 'config.invalid');
});

test('commands that make no sense are refused, wishes that hold already are fine, and a listener that throws disturbs nobody', async (t) => {
  const { agent, defects, fleet, until } = startTestFleet(t);
  fleet.subscribe(() => {
    throw new Error('listener');
  });
  fleet.add(agent('alpha', 'none'));
  await until('alpha', 'running');
  assert.equal(fleet.command('nobody', 'stop'), false);
  assert.equal(fleet.command('alpha', 'start'), true);
  assert.equal(fleet.command('alpha', 'release'), false);
  assert.equal(fleet.command('alpha', 'stop'), true);
  await until('alpha', 'stopped');
  assert.equal(fleet.command('alpha', 'stop'), true);
  assert.ok(defects.length > 0);
  await fleet.shutdown({ force: false });
  assert.equal(fleet.command('alpha', 'start'), false);
  assert.deepEqual(await fleet.shutdown({ force: true }), { wedged: [] });
});

function startTestFleet(t: TestContext, options: Partial<FleetOptions> = {}) {
  const root = mkdtempSync(join(tmpdir(), 'openagent-fleet-'));
  const events: FleetEvent[] = [];
  const defects: unknown[] = [];
  const watchers = new Set<() => void>();
  const seen = new Map<string, number>();
  const fleet = startFleet({
    entry: ENTRY,
    clock: systemClock,
    random: () => 0,
    startConcurrency: 2,
    heartbeatMs: 1_000,
    version: '0.0.0',
    onOutput: () => {},
    onDefect: (error) => defects.push(error),
    ...options,
  });
  fleet.subscribe((event) => {
    events.push(event);
    for (const watcher of watchers) watcher();
  });
  t.after(async () => {
    await fleet.shutdown({ force: true });
    rmSync(root, { recursive: true });
  });

  /** The next change to that state after the ones already waited for. */
  async function until(id: string, state: AgentState) {
    const signal = AbortSignal.timeout(20_000);
    for (;;) {
      const index = events.findIndex(
        (event, at) =>
          at >= (seen.get(id) ?? 0) &&
          event.type === 'agent.changed' &&
          event.agent.id === id &&
          event.agent.state === state,
      );
      const found = events[index];
      if (found?.type === 'agent.changed') {
        seen.set(id, index + 1);
        return found.agent;
      }
      await new Promise<void>((resolve, reject) => {
        watchers.add(resolve);
        signal.onabort = () =>
          reject(new Error(`${id} did not become ${state}: ${JSON.stringify(fleet.agents())}`));
      });
    }
  }

  return {
    defects,
    events,
    fleet,
    until,
    agent: (
      id: string,
      fault: string,
      more: { isolation?: Isolation; spec?: Partial<ChildSpec> } = {},
    ): PreparedAgent => {
      const dir = join(root, id);
      mkdirSync(dir);
      const prepared = preparedAgent({ id, dir, ...more.spec }, { isolation: more.isolation ?? 'thread' });
      return { ...prepared, settings: { ...prepared.settings, name: fault } };
    },
  };
}
