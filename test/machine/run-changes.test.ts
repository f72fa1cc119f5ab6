/** Agents that are added to a run, or leave it, while it goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';
import { createWorld } from '../fixtures/run-world.ts';

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
