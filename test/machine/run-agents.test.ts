import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import type { AgentState } from '../../src/contract/fleet/agent-states.ts';
import { NO_SUMS } from '../../src/supervisor/agent-sums.ts';
import type { AgentStatus, Fleet, FleetEvent, PreparedAgent } from '../../src/supervisor/fleet.ts';
import type { Report } from '../../src/supervisor/report/report.ts';
import { type RunDependencies, type RunEnd, runAgents } from '../../src/supervisor/run-agents.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';

test('an agent starts before the next one is prepared, and all are settled once', async () => {
  let finishSlow: () => void = () => {};
  const slow = new Promise<void>((resolve) => {
    finishSlow = resolve;
  });
  const world = createWorld({
    ids: ['slow', 'quick'],
    load: async (id) => {
      if (id === 'slow') await slow;
      return preparedAgent({ id, dir: `/agents/${id}` });
    },
  });
  world.start();
  await world.told('added quick');
  world.become('quick', 'running');
  assert.ok(!world.log.includes('added slow'));
  finishSlow();
  await world.told('added slow');
  assert.ok(!world.log.some((entry) => entry.startsWith('settled')));
  world.become('slow', 'running');
  await world.told('settled slow:running quick:running');
  world.become('slow', 'backoff');
  world.become('slow', 'running');
  assert.equal(world.log.filter((entry) => entry.startsWith('settled')).length, 1);
});

test('an agent whose configuration or lock fails is refused alone, and its lock is not taken', async () => {
  const world = createWorld({
    ids: ['good', 'bad', 'held'],
    load: async (id) => {
      if (id === 'bad') throw new AppError('config.invalid', 'line 3');
      return preparedAgent({ id, dir: `/agents/${id}` });
    },
    lock: (dir) => {
      if (dir === '/agents/held') throw new AppError('directory.locked', 'by process 7');
    },
  });
  world.start();
  await world.told('added good');
  await world.told('agent bad refused config.invalid');
  await world.told('agent held refused directory.locked');
  world.become('good', 'running');
  await world.told('settled good:running bad:refused held:refused');
  assert.deepEqual(
    world.log.filter((entry) => entry.startsWith('lock')),
    ['lock /agents/good'],
  );
});

test('the longest deadlines of all agents are told when all have settled', async () => {
  const world = createWorld({
    ids: ['long', 'short'],
    load: async (id) =>
      preparedAgent({ id, dir: `/agents/${id}`, drainMs: id === 'long' ? 9_000 : 5_000, closeMs: 2_000 }),
  });
  world.start();
  await world.told('added short');
  world.become('long', 'running');
  world.become('short', 'running');
  await world.told('deadlines 9000 2000');
});

test('a drain ends with the fleet, and only then are the locks released', async () => {
  const world = createWorld({ ids: ['one', 'two'] });
  const run = world.start();
  await world.told('added two');
  world.become('one', 'running');
  world.become('two', 'running');
  run.drain();
  run.drain();
  assert.ok(!world.log.some((entry) => entry.startsWith('release')));
  world.endFleet([]);
  assert.deepEqual(await run.ended, { reason: 'ok', wedged: [], isHeld: false });
  assert.deepEqual(
    world.log.filter((entry) => /^(shutdown|release)/.test(entry)),
    ['shutdown drain', 'release /agents/one', 'release /agents/two'],
  );
});

test('a drain that had to be forced ends as forced', async () => {
  const world = createWorld({ ids: ['one'] });
  const run = world.start();
  await world.told('added one');
  run.drain();
  run.force();
  world.endFleet([]);
  assert.equal((await run.ended).reason, 'forced');
  assert.deepEqual(
    world.log.filter((entry) => entry.startsWith('shutdown')),
    ['shutdown drain', 'shutdown force'],
  );
});

test('with an agent that does not end, the process is still held', async () => {
  const world = createWorld({ ids: ['one'] });
  const run = world.start();
  await world.told('added one');
  run.drain();
  world.endFleet(['one']);
  assert.deepEqual(await run.ended, { reason: 'forced', wedged: ['one'], isHeld: true });
});

test('when the last agent is given up on the run ends by itself, without an agent', async () => {
  const world = createWorld({ ids: ['one', 'two'] });
  const run = world.start();
  await world.told('added two');
  world.become('one', 'running');
  world.become('two', 'quarantined');
  await world.told('settled one:running two:quarantined');
  assert.ok(!world.log.includes('shutdown drain'));
  world.become('one', 'quarantined');
  await world.told('shutdown drain');
  world.endFleet([]);
  assert.equal((await run.ended).reason, 'noAgent');
});

test('agents that have ended as they should, for good, are a good end', async () => {
  const world = createWorld({ ids: ['one'] });
  const run = world.start();
  await world.told('added one');
  world.become('one', 'running');
  world.become('one', 'stopped');
  world.endFleet([]);
  assert.equal((await run.ended).reason, 'ok');
});

test('a signal while agents are being prepared starts no more of them', async () => {
  let finish: () => void = () => {};
  const prepared = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const world = createWorld({
    ids: ['one', 'two', 'three', 'four', 'five', 'six'],
    load: async (id) => {
      await prepared;
      return preparedAgent({ id, dir: `/agents/${id}` });
    },
  });
  const run = world.start();
  await world.told('expect');
  run.drain();
  finish();
  world.endFleet([]);
  assert.equal((await run.ended).reason, 'ok');
  assert.ok(!world.log.some((entry) => /^(added|lock)/.test(entry)), world.log.join(', '));
});

test('a defect while looking for agents is told and ends the run', async () => {
  const world = createWorld({
    ids: [],
    discover: async () => {
      throw new TypeError('boom');
    },
  });
  const run = world.start();
  world.endFleet([]);
  const end: RunEnd = await run.ended;
  assert.equal(end.reason, 'defect');
  assert.ok(world.log.includes('defect boom'));
});

test('a directory is added to a run with its lock, in turn and last, and refused with its reason', async () => {
  const world = createWorld({
    ids: ['first'],
    load: async (id) => {
      if (id === 'bad') throw new AppError('config.invalid', 'line 3');
      return preparedAgent({ id, dir: `/agents/${id}` });
    },
  });
  const run = world.start();
  const added = run.add('/agents/second');
  await world.told('added first');
  assert.deepEqual([(await added).id, (await added).state], ['second', 'waiting']);
  assert.ok(world.log.indexOf('lock /agents/second') > world.log.indexOf('lock /agents/first'));
  await world.told('report added second');
  await assert.rejects(run.add('/agents/second'), { code: 'directory.duplicate' });
  await assert.rejects(run.add('/agents/bad'), { code: 'config.invalid' });
  await assert.rejects(run.add('/agents/bad', { isListed: true }), { code: 'config.invalid' });
  await assert.rejects(run.add('/agents/bad', { isListed: true }), { code: 'config.invalid' });
  const ids = () => run.agents().map(({ id, state }) => `${id}:${state}`);
  assert.deepEqual(ids(), ['first:waiting', 'second:waiting', 'bad:refused']);
  await run.remove('bad');
  assert.deepEqual(ids(), ['first:waiting', 'second:waiting']);
  run.drain();
  await assert.rejects(run.add('/agents/third'), { code: 'agent.action_refused' });
});

test('a lock is free when its agent is removed, and when the sweep that follows it fails', async () => {
  let sweeps = 0;
  const world = createWorld({
    ids: ['first'],
    sweep: async () => {
      sweeps += 1;
      if (sweeps === 2) throw new AppError('storage.locked', 'no');
    },
  });
  const run = world.start();
  await world.told('added first');
  await assert.rejects(run.add('/agents/second'), { code: 'storage.locked' });
  assert.ok(world.log.includes('release /agents/second'));
  await run.add('/agents/third');
  await run.remove('first');
  assert.ok(world.log.includes('release /agents/first'));
  assert.ok(world.log.includes('report removed first'));
  await assert.rejects(run.remove('first'), { code: 'agent.not_found' });
  assert.equal(world.log.filter((entry) => entry === 'release /agents/third').length, 0);
});

test('a run whose last agent was stopped or removed by command goes on while somebody could add one', async () => {
  for (const isOpen of [true, false]) {
    for (const how of ['stop', 'remove'] as const) {
      const world = createWorld({ ids: ['only'], isOpen });
      const run = world.start();
      await world.told('added only');
      world.become('only', 'running');
      await world.told('settled only:running');
      if (how === 'remove') await run.remove('only');
      else {
        world.tell({ type: 'agent.commanded', id: 'only', command: 'stop' });
        world.become('only', 'stopped');
      }
      assert.equal(world.log.includes('shutdown drain'), !isOpen, `${how}, ${isOpen ? 'open' : 'closed'}`);
    }
  }
});

test('a run that is open still ends when its last agent is given up on', async () => {
  const world = createWorld({ ids: ['only'], isOpen: true });
  const run = world.start();
  await world.told('added only');
  world.become('only', 'running');
  world.tell({ type: 'agent.commanded', id: 'only', command: 'stop' });
  world.tell({ type: 'agent.commanded', id: 'only', command: 'start' });
  world.become('only', 'quarantined');
  await world.told('shutdown drain');
  world.endFleet([]);
  assert.equal((await run.ended).reason, 'noAgent');
});

test('the only agent may hang without ending the run', async () => {
  const world = createWorld({ ids: ['only'] });
  world.start();
  await world.told('added only');
  for (const state of ['running', 'hung', 'stalled', 'running'] as const) world.become('only', state);
  await world.told('settled only:running');
  assert.ok(!world.log.includes('shutdown drain'));
});

test('a fallback to the second transport is warned of once for all agents', async () => {
  const world = createWorld({ ids: ['one', 'two'] });
  world.start();
  await world.told('added two');
  for (const id of ['one', 'two']) world.become(id, 'running', { transportNote: 'no uws here' });
  assert.deepEqual(
    world.log.filter((entry) => entry.startsWith('warning')),
    ['warning no uws here'],
  );
});

interface WorldOptions {
  readonly ids: readonly string[];
  readonly load?: (id: string) => Promise<PreparedAgent>;
  readonly lock?: (dir: string) => void;
  readonly discover?: RunDependencies['discover'];
  readonly isOpen?: boolean;
  readonly sweep?: (dir: string) => Promise<void>;
}

/** Everything a run depends on, writing down what is asked of it. */
function createWorld(options: WorldOptions) {
  const log: string[] = [];
  const waiting = new Set<() => void>();
  const note = (entry: string): void => {
    log.push(entry);
    for (const look of waiting) look();
  };
  let tell: (event: FleetEvent) => void = () => {};
  let endFleet: (wedged: readonly string[]) => void = () => {};
  const fleetEnded = new Promise<{ wedged: readonly string[] }>((resolve) => {
    endFleet = (wedged) => resolve({ wedged });
  });
  const agents = new Map<string, AgentStatus>();
  const become = (id: string, state: AgentState, changes: Partial<AgentStatus> = {}): void => {
    const status = { ...STATUS, id, dir: `/agents/${id}`, state, ...changes };
    agents.set(id, status);
    tell({ type: 'agent.changed', agent: status });
  };
  const fleet: Fleet = {
    add(agent) {
      become(agent.spec.id, 'waiting');
      note(`added ${agent.spec.id}`);
    },
    remove: async (id) => {
      note(`remove ${id}`);
      agents.delete(id);
      tell({ type: 'agent.removed', id, dir: `/agents/${id}` });
    },
    configChanged: () => {},
    respec: () => {},
    command: () => false,
    agents: () => [...agents.values()],
    shutdown({ force }) {
      note(`shutdown ${force ? 'force' : 'drain'}`);
      return fleetEnded;
    },
    killProcesses: () => note('killed'),
    notify: () => false,
    subscribe(listener) {
      tell = listener;
      return () => {};
    },
  };
  const load = options.load ?? (async (id: string) => preparedAgent({ id, dir: `/agents/${id}` }));
  const found = options.ids.map((id) => ({ id, dir: `/agents/${id}` }));
  const dependencies: RunDependencies = {
    discover: options.discover ?? (async () => ({ agents: found, refused: [], created: [], patterns: [] })),
    loadAgent: async (dir) => ({ prepared: await load(dir.replace('/agents/', '')), warnings: [] }),
    ...(options.sweep === undefined ? {} : { sweep: options.sweep }),
    lock(dir) {
      options.lock?.(dir);
      note(`lock ${dir}`);
      return { release: () => note(`release ${dir}`) };
    },
    find: async (dir, present) => {
      const id = dir.replace('/agents/', '');
      if (present.some((other) => other.id === id)) throw new AppError('directory.duplicate', dir);
      return { id, dir };
    },
    isOpen: () => options.isOpen ?? false,
    fleet,
    report: notingReport(note),
  };
  return {
    log,
    become,
    tell: (event: FleetEvent) => tell(event),
    endFleet: (wedged: readonly string[]) => endFleet(wedged),
    start: () => runAgents(dependencies),
    told: (entry: string) =>
      new Promise<void>((resolve) => {
        const look = (): void => {
          if (log.includes(entry)) resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}

function notingReport(note: (entry: string) => void): Report {
  return {
    started: () => {},
    unwatched: () => {},
    expect: () => note('expect'),
    created: () => {},
    agent({ id, state, reason }) {
      if (state === 'refused') note(`agent ${id} refused ${reason?.code}`);
    },
    incident: () => {},
    added: (id) => note(`report added ${id}`),
    removed: (id) => note(`report removed ${id}`),
    config: () => {},
    warning: ({ message }) => note(`warning ${message}`),
    async settled(agents, deadlines) {
      const order = [...agents].map(({ id, state }) => `${id}:${state}`);
      note(`deadlines ${deadlines?.drainMs} ${deadlines?.closeMs}`);
      note(`settled ${order.join(' ')}`);
    },
    stopping: () => {},
    stopped: () => {},
    output: () => {},
    defect: (error) => note(`defect ${(error as Error).message}`),
  };
}

const STATUS: Omit<AgentStatus, 'id' | 'dir' | 'state'> = {
  name: 'x',
  reason: undefined,
  host: '127.0.0.1',
  port: 1,
  model: 'echo',
  transport: 'node',
  transportNote: undefined,
  isolation: 'thread',
  incarnation: 1,
  restarts: 0,
  restartInMs: undefined,
  readyAtMs: undefined,
  hangs: 0,
  lastError: undefined,
  config: { state: 'ok', changedAtMs: undefined, problem: undefined },
  beat: undefined,
  sums: NO_SUMS,
  cpuPercent: undefined,
  cpuSeconds: undefined,
  children: 0,
};
