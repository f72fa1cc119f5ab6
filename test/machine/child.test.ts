import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { backoffMs, DEFAULT_SPEC, FATAL_CODES, LADDER } from '../../src/supervisor/child-spec.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';
import { startChild, startRunning } from '../fixtures/stub-child.ts';

const STOP_MS = DEFAULT_SPEC.drainMs + DEFAULT_SPEC.closeMs + LADDER.graceMs;

describe('the life of a child', () => {
  test('waits for a slot, starts, reports its port and settles after stop', async () => {
    const child = startChild();
    assert.equal(child.state(), 'waiting');
    await child.tick();
    assert.equal(child.state(), 'starting');
    child.worker().ready();
    assert.equal(child.state(), 'running');
    assert.equal(child.status().port, 4001);
    child.actor.send({ type: 'stop' });
    assert.deepEqual(child.worker().commands, ['shutdown:stop:5000']);
    child.worker().exit(0);
    assert.equal(child.state(), 'stopped');
    assert.equal(child.status().port, undefined);
    assert.equal(child.status().reason, undefined);
    assert.ok(child.actor.getSnapshot().hasTag('settled'));
    assert.deepEqual(child.emitted, ['child.started']);
  });

  test('a stop while it waits for a slot spawns nothing', async () => {
    const child = startChild();
    child.actor.send({ type: 'stop' });
    await child.tick();
    assert.equal(child.state(), 'stopped');
    assert.equal(child.workers.spawned.length, 0);
  });

  test('gives its slot back when it is ready, and when it ends before that', async () => {
    const child = startChild();
    await child.tick();
    assert.equal(child.slots.held, 1);
    child.worker().ready();
    assert.equal(child.slots.held, 0);
    child.actor.send({ type: 'restart' });
    child.worker().exit(0);
    await child.tick();
    assert.equal(child.slots.held, 1);
    child.worker().exit(1);
    assert.equal(child.slots.held, 0);
  });

  test('a slot that cannot be had is a failure with its reason', async () => {
    const child = startChild({}, { slotError: { code: 'config.invalid', message: 'model: expected a map' } });
    await child.tick();
    assert.equal(child.state(), 'quarantined');
    assert.equal(child.status().reason?.message, 'model: expected a map');
  });

  test('starts with what its slot says the agent is now', async () => {
    const child = startChild({}, { slotAgent: preparedAgent({ startTimeoutMs: 77 }) });
    await child.tick();
    child.clock.advance(77);
    assert.equal(child.state(), 'stopping');
  });
});

describe('wishes', () => {
  test('restart never overlaps two workers of one agent', async () => {
    const child = await startRunning();
    child.actor.send({ type: 'restart' });
    assert.deepEqual(child.worker().commands, ['shutdown:restart:5000']);
    assert.equal(child.workers.spawned.length, 1);
    child.worker().exit(0);
    await child.tick();
    assert.equal(child.state(), 'starting');
    assert.equal(child.workers.spawned.length, 2);
    assert.equal(child.status().restarts, 1);
  });

  test('a planned restart is not charged, whatever the exit code', async () => {
    const child = await startRunning({ intensity: 0 });
    for (let round = 0; round < 10; round += 1) {
      child.actor.send({ type: 'restart' });
      child.worker().exit(round);
      await child.tick();
      child.worker().ready();
    }
    assert.equal(child.state(), 'running');
  });

  test('a restart asked for by the agent itself goes the same way', async () => {
    const child = await startRunning();
    child.worker().send({ type: 'worker.restartRequested', requestedBy: 'rest' });
    assert.deepEqual(child.worker().commands, ['shutdown:restart:5000']);
    child.worker().exit(0);
    await child.tick();
    assert.equal(child.state(), 'starting');
  });

  test('asking again changes the wish and never extends the deadline', async () => {
    const child = await startRunning();
    child.actor.send({ type: 'stop' });
    child.clock.advance(STOP_MS - 1);
    child.actor.send({ type: 'restart' });
    child.clock.advance(1);
    assert.deepEqual(child.worker().commands, ['shutdown:stop:5000', 'interrupt']);
    child.worker().exit(71);
    await child.tick();
    assert.equal(child.state(), 'starting');
  });

  test('start while it stops turns the wish into a restart', async () => {
    const child = await startRunning();
    child.actor.send({ type: 'stop' });
    child.actor.send({ type: 'start' });
    child.worker().exit(0);
    await child.tick();
    assert.equal(child.state(), 'starting');
  });

  test('a forced stop shortens the one under way', async () => {
    const child = await startRunning();
    child.actor.send({ type: 'stop' });
    child.clock.advance(10);
    child.actor.send({ type: 'stop', force: true });
    child.actor.send({ type: 'stop', force: true });
    assert.deepEqual(child.worker().commands, ['shutdown:stop:5000', 'shutdown:stop:0']);
    child.clock.advance(DEFAULT_SPEC.closeMs + LADDER.graceMs);
    assert.equal(child.worker().commands.at(-1), 'interrupt');
  });

  test('a stop forced just before the deadline does not move it', async () => {
    const child = await startRunning();
    child.actor.send({ type: 'stop' });
    child.clock.advance(STOP_MS - 1);
    child.actor.send({ type: 'stop', force: true });
    child.clock.advance(1);
    assert.deepEqual(child.worker().commands, ['shutdown:stop:5000', 'shutdown:stop:0', 'interrupt']);
  });
});

describe('crashes', () => {
  test('an exit nobody asked for is a crash of a permanent child, also with code 0', async () => {
    const child = await startRunning();
    child.worker().exit(0);
    assert.equal(child.state(), 'backoff');
    assert.equal(child.status().reason?.code, 'agent.exited');
  });

  test('a transient child restarts only after an exit that was not clean', async () => {
    const clean = await startRunning({ restart: 'transient', intensity: 0 });
    clean.worker().exit(0);
    assert.equal(clean.state(), 'stopped');
    assert.equal(clean.status().reason, undefined);
    const failed = await startRunning({ restart: 'transient' });
    failed.worker().exit(1);
    assert.equal(failed.state(), 'backoff');
  });

  test('a temporary child stays stopped and says why', async () => {
    const child = await startRunning({ restart: 'temporary' });
    child.worker().exit(3);
    assert.equal(child.state(), 'stopped');
    assert.equal(child.status().reason?.code, 'agent.exited');
  });

  test('backs off below a bound that doubles, then is quarantined with its reason', async () => {
    const child = await startRunning({ intensity: 2 }, { random: () => 0.999_999 });
    for (const delayMs of [250, 500]) {
      child.worker().exit(1);
      assert.equal(child.status().restartInMs, delayMs);
      child.clock.advance(delayMs - 1);
      assert.equal(child.state(), 'backoff');
      child.clock.advance(1);
      await child.tick();
      assert.equal(child.state(), 'starting');
    }
    child.worker().send({ type: 'worker.failed', error: { code: 'storage.locked', message: 'held by 12' } });
    child.worker().exit(1);
    assert.equal(child.state(), 'quarantined');
    assert.deepEqual(child.status().reason, { code: 'storage.locked', message: 'held by 12' });
    assert.equal(child.emitted.at(-1), 'child.quarantined');
  });

  test('start releases a quarantined child with a clean count', async () => {
    const child = await startRunning({ intensity: 1 });
    await child.crashes(1);
    child.worker().exit(1);
    assert.equal(child.state(), 'quarantined');
    child.actor.send({ type: 'start' });
    assert.equal(child.status().reason, undefined);
    await child.tick();
    assert.equal(child.state(), 'starting');
    child.worker().exit(1);
    assert.equal(child.state(), 'backoff');
  });

  test('a stop settles a quarantined child as stopped, without its reason', async () => {
    const child = await startRunning({ intensity: 0 });
    child.worker().exit(1);
    child.actor.send({ type: 'stop' });
    assert.equal(child.state(), 'stopped');
    assert.equal(child.status().reason, undefined);
  });

  test('a failure that the next start would meet again quarantines at once', async () => {
    const child = startChild();
    await child.tick();
    const error = { code: 'storage.corrupt', message: 'openagent.db is not a database' } as const;
    child.worker().send({ type: 'worker.failed', error });
    child.worker().exit(1);
    assert.equal(child.state(), 'quarantined');
    assert.deepEqual(child.status().reason, error);
  });

  test('what may pass by itself is tried again', () => {
    for (const code of [
      'storage.locked',
      'bind.no_free_port',
      'storage.full',
      'agent.crashed',
      'internal',
    ] as const)
      assert.ok(!FATAL_CODES.has(code), code);
    for (const code of [
      'config.invalid',
      'config.variable_missing',
      'bind.public_without_token',
      'bind.host_unknown',
      'storage.corrupt',
      'storage.version',
      'transport.unavailable',
      'worker.protocol',
    ] as const)
      assert.ok(FATAL_CODES.has(code), code);
  });

  test('crashes older than the period no longer count', async () => {
    const child = await startRunning({ intensity: 1, periodMs: 1_000 });
    await child.crashes(1);
    child.clock.advance(1_000);
    child.worker().exit(1);
    assert.equal(child.state(), 'backoff');
  });

  test('after running long enough earlier crashes are forgotten', async () => {
    const child = await startRunning({ intensity: 1, stableMs: 500, periodMs: 100_000 });
    await child.crashes(1);
    child.worker().ready();
    child.clock.advance(499);
    assert.equal(child.actor.getSnapshot().context.restarts.length, 1);
    child.clock.advance(1);
    assert.equal(child.actor.getSnapshot().context.restarts.length, 0);
    child.worker().exit(1);
    assert.equal(child.state(), 'backoff');
  });

  test('the pause is anywhere below its bound, and the bound ends at 30 s', () => {
    const { spec } = preparedAgent();
    assert.equal(backoffMs(spec, 1, 0), 0);
    assert.equal(backoffMs(spec, 1, 0.5), 125);
    assert.equal(backoffMs(spec, 5, 0.999_999), 4_000);
    assert.equal(backoffMs(spec, 8, 0.999_999), 30_000);
    assert.equal(backoffMs(spec, 5_000, 0.999_999), 30_000);
  });

  test('a start that never becomes ready is ended and counts as a crash', async () => {
    const child = startChild();
    await child.tick();
    child.clock.advance(DEFAULT_SPEC.startTimeoutMs);
    assert.equal(child.state(), 'stopping');
    assert.deepEqual(child.worker().commands, ['shutdown:restart:0']);
    child.worker().exit(0);
    assert.equal(child.state(), 'backoff');
    assert.equal(child.status().reason?.code, 'agent.start_timeout');
  });

  test('what the agent said itself is a better reason than how it exited', async () => {
    const child = await startRunning();
    child.worker().send({ type: 'worker.failed', error: { code: 'storage.full', message: 'disk full' } });
    child.worker().send({
      type: 'worker.exited',
      exitCode: 1,
      error: { code: 'agent.exited', message: 'exited with code 1' },
    });
    assert.equal(child.status().reason?.code, 'storage.full');
    child.clock.advance(250);
    await child.tick();
    child.worker().ready();
    assert.equal(child.status().reason, undefined);
  });
});

describe('the kill ladder', () => {
  test('interrupts a thread that ignores shutdown, then terminates it if it may', async () => {
    const child = await startRunning();
    child.worker().send({ type: 'worker.transportClosed' });
    child.actor.send({ type: 'stop' });
    child.clock.advance(STOP_MS);
    child.clock.advance(LADDER.interruptMs);
    assert.deepEqual(child.worker().commands, ['shutdown:stop:5000', 'interrupt', 'terminate']);
    assert.equal(child.state(), 'stopping');
  });

  test('never terminates a thread that would take the process down', async () => {
    const child = await startRunning();
    child.actor.send({ type: 'stop' });
    child.clock.advance(STOP_MS);
    child.clock.advance(LADDER.interruptMs);
    assert.equal(child.state(), 'wedged');
    assert.ok(child.actor.getSnapshot().hasTag('settled'));
    assert.deepEqual(child.worker().commands, ['shutdown:stop:5000', 'interrupt']);
  });

  test('a wedged thread that lets go of its handles is terminated, and one that ends is followed by its wish', async () => {
    const child = await startRunning();
    child.actor.send({ type: 'restart' });
    child.clock.advance(STOP_MS);
    child.clock.advance(LADDER.interruptMs);
    child.worker().send({ type: 'worker.transportClosed' });
    assert.equal(child.worker().commands.at(-1), 'terminate');
    child.worker().exit(1);
    await child.tick();
    assert.equal(child.state(), 'starting');
  });

  test('a thread stuck before it is ready is not assumed to be safe to terminate', async () => {
    const child = startChild();
    await child.tick();
    child.clock.advance(DEFAULT_SPEC.startTimeoutMs);
    child.clock.advance(DEFAULT_SPEC.closeMs + LADDER.graceMs);
    child.clock.advance(LADDER.interruptMs);
    assert.equal(child.state(), 'wedged');
    assert.ok(!child.worker().commands.includes('terminate'));
  });

  test('a process is killed without being read', async () => {
    const child = await startRunning({}, { isolation: 'process' });
    child.actor.send({ type: 'stop' });
    child.clock.advance(STOP_MS);
    assert.deepEqual(child.worker().commands, ['shutdown:stop:5000', 'terminate']);
    child.clock.advance(LADDER.killMs);
    assert.equal(child.state(), 'wedged');
  });

  test('where a thread hung is told, and is part of the reason when nobody had asked it to end', async () => {
    const child = startChild();
    await child.tick();
    child.clock.advance(DEFAULT_SPEC.startTimeoutMs);
    child.clock.advance(DEFAULT_SPEC.closeMs + LADDER.graceMs);
    child.worker().send({ type: 'worker.interrupted', stack: ['loop (bridge.js:3:1)'] });
    child.worker().exit(71);
    assert.match(child.status().reason?.message ?? '', /not ready within 15000 ms.*loop \(bridge\.js:3:1\)/);
    assert.ok(child.emitted.includes('child.warning'));
  });
});
