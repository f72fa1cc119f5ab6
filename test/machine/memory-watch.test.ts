import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { WorkerReport } from '../../src/contract/worker-protocol.ts';
import { DEFAULT_SPEC } from '../../src/supervisor/child-spec.ts';
import { createMemorySampler, type MemorySamplerOptions } from '../../src/supervisor/memory-sampler.ts';
import { createMemoryJudge, type MemorySample } from '../../src/supervisor/memory-watch.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { startRunning } from '../fixtures/stub-child.ts';

const LIMITS = { softBytes: 100, hardBytes: 200, stableMs: 10_000 };
const ERROR = { code: 'agent.memory', message: 'The agent holds 300 MB' } as const;

/** One sample a second, from the first second on. */
function verdicts(usedBytes: readonly number[], more: Partial<MemorySample> = {}, limits = LIMITS) {
  const judge = createMemoryJudge(limits);
  return usedBytes.map((used, index) =>
    judge.look({ ageMs: (index + 1) * 1_000, usedBytes: used, isBeat: true, isIdle: true, ...more }),
  );
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

describe('the judge of memory', () => {
  test('without limits nothing is too much', () => {
    const none = { softBytes: undefined, hardBytes: undefined, stableMs: 0 };
    assert.deepEqual(new Set(verdicts(times(100, 1e15), {}, none as never)), new Set(['fine']));
  });

  test('more than the hard limit is told at once, and once', () => {
    assert.deepEqual(verdicts([200, 201, 300]), ['fine', 'hard', 'fine']);
  });

  test('more than the hard limit counts also while heartbeats are missing', () => {
    assert.deepEqual(verdicts([50, 201], { isBeat: false }), ['fine', 'hard']);
  });

  test('the soft limit counts after three heartbeats in a row above it', () => {
    const young = { ...LIMITS, stableMs: 0 };
    assert.deepEqual(verdicts([50, 150, 150, 150, 150], {}, young), ['fine', 'fine', 'fine', 'soft', 'fine']);
    assert.deepEqual(
      verdicts([50, 150, 150, 50, 150, 150], {}, young),
      times(6, 'fine'),
      'a peak that is collected',
    );
    assert.deepEqual(verdicts([50, ...times(9, 150)], { isBeat: false }, young), times(10, 'fine'));
  });

  test('an incarnation that is not stable yet is not restarted by the soft limit', () => {
    const given = verdicts([50, ...times(20, 150)]);
    assert.equal(given.indexOf('soft'), 9, 'at ten seconds of age');
    assert.equal(given.filter((verdict) => verdict !== 'fine').length, 1);
  });

  test('above the soft limit since its start, it is told once and never restarted', () => {
    const given = verdicts(times(200, 150), {}, { ...LIMITS, stableMs: 0 });
    assert.deepEqual(
      given.filter((verdict) => verdict !== 'fine'),
      ['futile'],
    );
  });

  test('a moment of rest is waited for, for a minute', () => {
    const judge = createMemoryJudge({ ...LIMITS, stableMs: 0 });
    const look = (second: number, isIdle: boolean, usedBytes = 150) =>
      judge.look({ ageMs: second * 1_000, usedBytes, isBeat: true, isIdle });
    look(0, true, 50);
    for (let second = 1; second <= 62; second += 1)
      assert.equal(look(second, false), 'fine', `at ${second} s`);
    assert.equal(look(63, false), 'soft');
    const resting = createMemoryJudge({ ...LIMITS, stableMs: 0 });
    const seen = [50, 150, 150, 150, 150].map((usedBytes, second) =>
      resting.look({ ageMs: second * 1_000, usedBytes, isBeat: true, isIdle: second === 4 }),
    );
    assert.deepEqual(seen, ['fine', 'fine', 'fine', 'fine', 'soft']);
  });

  test('after the soft verdict the hard limit still counts', () => {
    const young = { ...LIMITS, stableMs: 0 };
    assert.deepEqual(verdicts([50, 150, 150, 150, 250], {}, young).slice(3), ['soft', 'hard']);
  });
});

describe('the sampler of memory', () => {
  test('asks nothing and plans nothing without limits', () => {
    const sampler = startSampler({});
    sampler.ready();
    sampler.clock.advance(60_000);
    assert.equal(sampler.reads(), 0);
  });

  test('looks from outside only while heartbeats are missing, and reports what it finds', async () => {
    const sampler = startSampler({ memoryHardBytes: 100 });
    sampler.ready();
    for (let second = 0; second < 10; second += 1) {
      sampler.clock.advance(1_000);
      sampler.beat(50);
    }
    assert.equal(sampler.reads(), 0);
    sampler.clock.advance(2_000);
    await settled();
    assert.equal(sampler.reads(), 1);
    assert.deepEqual(sampler.reported, ['memory.hard']);
  });

  test('an incarnation that never sent a heartbeat is looked at too', async () => {
    const sampler = startSampler({ memoryHardBytes: 100 });
    sampler.ready();
    sampler.clock.advance(1_750);
    await settled();
    assert.deepEqual(sampler.reported, ['memory.hard']);
  });

  test('one that does not answer is left alone for a while', async () => {
    const sampler = startSampler({ memoryHardBytes: 100 }, async () => undefined);
    sampler.ready();
    for (let step = 0; step < 16; step += 1) {
      sampler.clock.advance(250);
      await settled();
    }
    assert.equal(sampler.reads(), 2);
  });

  test('says nothing more once it is stopped', async () => {
    const sampler = startSampler({ memoryHardBytes: 100 });
    sampler.ready();
    sampler.stop();
    sampler.beat(500);
    sampler.clock.advance(60_000);
    await settled();
    assert.deepEqual([sampler.reads(), sampler.reported], [0, []]);
  });
});

describe('a child that holds too much memory', () => {
  test('is restarted as planned by the soft limit, uncharged, and the operator is told', async () => {
    const child = await startRunning({ intensity: 0 });
    child.worker().send({ type: 'memory.soft', error: ERROR });
    assert.equal(child.state(), 'stopping');
    assert.deepEqual(child.worker().commands, ['shutdown:restart:5000']);
    child.worker().exit(0);
    await child.tick();
    assert.equal(child.state(), 'starting');
    assert.deepEqual(child.emitted, ['child.started', 'child.warning']);
  });

  test('is interrupted at the hard limit and charged with its reason', async () => {
    const child = await startRunning();
    child.worker().send({ type: 'memory.hard', error: ERROR });
    assert.deepEqual(child.worker().commands, ['interrupt']);
    child.worker().send({ type: 'worker.interrupted', stack: ['push (hoarder.mjs:12:3)'] });
    child.worker().exit(71);
    assert.equal(child.state(), 'backoff');
    assert.equal(child.status().reason?.code, 'agent.memory');
    assert.match(child.status().reason?.message ?? '', /300 MB; it was in push/);
    assert.deepEqual(child.emitted, ['child.started', 'child.crashed'], 'it was not asked to end before');
  });

  test('in a process it is killed at the hard limit', async () => {
    const child = await startRunning({}, { isolation: 'process' });
    child.worker().send({ type: 'memory.hard', error: ERROR });
    assert.deepEqual(child.worker().commands, ['terminate']);
    child.worker().exit(137);
    assert.equal(child.status().reason?.code, 'agent.memory');
  });

  test('is not waited for while it drains, and the wish stays', async () => {
    const child = await startRunning();
    child.actor.send({ type: 'stop' });
    child.worker().send({ type: 'memory.hard', error: ERROR });
    assert.deepEqual(child.worker().commands, ['shutdown:stop:5000', 'interrupt']);
    child.worker().exit(71);
    assert.equal(child.state(), 'stopped');
  });
});

function startSampler(
  limits: { memorySoftBytes?: number; memoryHardBytes?: number },
  read: MemorySamplerOptions['read'] = async () => 500,
) {
  const clock = createTestClock();
  const reported: string[] = [];
  let reads = 0;
  const sampler = createMemorySampler({
    spec: { ...DEFAULT_SPEC, id: 'alpha', dir: '/agents/alpha', ...limits },
    clock,
    read: () => {
      reads += 1;
      return read();
    },
    toBytes: ({ heapUsed, external }) => heapUsed + external,
    report: ({ type }) => void reported.push(type),
  });
  const note = (report: object) => sampler.note(report as WorkerReport);
  return {
    clock,
    reported,
    reads: () => reads,
    stop: () => sampler.stop(),
    ready: () => note({ type: 'worker.ready' }),
    beat: (heapUsed: number) =>
      note({
        type: 'worker.heartbeat',
        beat: { turnsRunning: 0, turnsWaiting: 0, memory: { heapUsed, external: 0, arrayBuffers: 0 } },
      }),
  };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
