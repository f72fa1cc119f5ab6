import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import type { RunEnd } from '../../src/supervisor/run-agents.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';
import { createWorld } from '../fixtures/run-world.ts';

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
