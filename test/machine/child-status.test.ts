/** What an operator sees of a child beyond its state: failures, hangs, configuration; and what a new spec changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startRunning } from '../fixtures/stub-child.ts';

test('release forgives a quarantined child, and means nothing to any other', async () => {
  const child = await startRunning({ intensity: 0 });
  assert.equal(child.actor.getSnapshot().can({ type: 'release' }), false);
  child.worker().exit(1);
  assert.equal(child.state(), 'quarantined');
  child.actor.send({ type: 'release' });
  await child.tick();
  child.worker().ready();
  assert.deepEqual([child.state(), child.status().reason], ['running', undefined]);
});

test('the newest failure is remembered with its time, also when it runs again', async () => {
  const child = await startRunning();
  assert.equal(child.status().lastError, undefined);
  const readyAtMs = child.clock.wallMs();
  assert.equal(child.status().readyAtMs, readyAtMs);
  child.clock.advance(1_000);
  child.worker().exit(7);
  const { lastError, restartInMs = 0, readyAtMs: gone } = child.status();
  assert.deepEqual([lastError?.code, lastError?.atMs, gone], ['agent.exited', readyAtMs + 1_000, undefined]);
  child.clock.advance(restartInMs);
  await child.tick();
  child.worker().ready();
  assert.deepEqual([child.state(), child.status().incarnation], ['running', 2]);
  assert.equal(child.status().lastError, lastError);
  child.actor.send({ type: 'restart' });
  child.worker().exit(0);
  assert.equal(child.status().lastError, lastError, 'a planned end is no failure');
});

test('hangs and stalls are counted once for each silence', async () => {
  const child = await startRunning();
  const silence = { silentMs: 5_000 };
  child.actor.send({ type: 'judge.stalled', ...silence });
  child.actor.send({ type: 'judge.hung', ...silence });
  assert.equal(child.status().hangs, 1);
  child.worker().exit(1);
  child.clock.advance(child.status().restartInMs ?? 0);
  await child.tick();
  child.worker().ready();
  child.actor.send({ type: 'judge.hung', ...silence });
  assert.equal(child.status().hangs, 2);
});

test('a configuration that waits for a restart is in use when it is ready, or when nobody waits any more', async () => {
  const config = { state: 'restarting', changedAtMs: 5, problem: undefined } as const;
  const child = await startRunning();
  child.actor.send({ type: 'config.noted', config });
  child.actor.send({ type: 'restart' });
  child.worker().exit(0);
  await child.tick();
  assert.equal(child.status().config.state, 'restarting');
  child.worker().ready();
  assert.deepEqual(child.status().config, { ...config, state: 'ok' });
  child.actor.send({ type: 'config.noted', config });
  child.actor.send({ type: 'stop' });
  child.worker().exit(0);
  assert.equal(child.status().config.state, 'ok');
  child.actor.send({ type: 'config.noted', config: { ...config, state: 'invalid' } });
  child.actor.send({ type: 'start' });
  await child.tick();
  child.worker().ready();
  assert.equal(child.status().config.state, 'invalid');
});

test('a new spec holds from then on, without a restart', async () => {
  const child = await startRunning({ drainMs: 5_000 });
  const { spec } = child.actor.getSnapshot().context.agent;
  child.actor.send({ type: 'spec.changed', spec: { ...spec, drainMs: 77 } });
  child.actor.send({ type: 'stop' });
  assert.deepEqual(child.worker().commands, ['shutdown:stop:77']);
});
