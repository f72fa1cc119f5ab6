import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { systemClock } from '../../src/contract/clock.ts';
import type { Isolation } from '../../src/contract/worker-protocol.ts';
import type { ChildSnapshot } from '../../src/supervisor/child-facts.ts';
import { type CpuWatchOptions, type StatFile, startCpuWatch } from '../../src/supervisor/cpu-watch.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { until } from '../fixtures/turns.ts';

const LOOK_MS = 2_000;

describe('what the kernel says of an agent', () => {
  test('is the share of a core between two looks, and the seconds in all', async (t) => {
    const s = open(t);
    s.agents.set('a', { task: 7, incarnation: 1 });
    s.ticks.set('/proc/self/task/7/stat', 50);
    await s.look();
    assert.deepEqual(s.watch.of('a'), { cpuPercent: undefined, cpuSeconds: 0.5 });
    s.ticks.set('/proc/self/task/7/stat', 250);
    await s.look();
    assert.deepEqual(s.watch.of('a'), { cpuPercent: 100, cpuSeconds: 2.5 });
    await s.look();
    assert.deepEqual(s.watch.of('a'), { cpuPercent: 0, cpuSeconds: 2.5 });
  });

  test('is of the whole process where it has one for itself', async (t) => {
    const s = open(t);
    s.agents.set('a', { task: 7, incarnation: 1, isolation: 'process' });
    s.ticks.set('/proc/7/stat', 400);
    await s.look();
    assert.equal(s.watch.of('a').cpuSeconds, 4);
  });

  test('goes on counting with its next incarnation, also one that got the same number', async (t) => {
    const s = open(t);
    s.agents.set('a', { task: 7, incarnation: 1 });
    s.ticks.set('/proc/self/task/7/stat', 300);
    await s.look();
    s.ends('/proc/self/task/7/stat');
    s.agents.set('a', { task: undefined, incarnation: 1 });
    await s.look();
    assert.deepEqual(s.watch.of('a'), { cpuPercent: undefined, cpuSeconds: 3 });
    s.agents.set('a', { task: 7, incarnation: 2 });
    s.ticks.set('/proc/self/task/7/stat', 10);
    await s.look();
    assert.deepEqual(s.watch.of('a'), { cpuPercent: undefined, cpuSeconds: 3.1 });
    await s.look();
    assert.deepEqual(s.watch.of('a'), { cpuPercent: 0, cpuSeconds: 3.1 });
  });

  test('is never that of a stranger who got its number', async (t) => {
    const s = open(t);
    s.agents.set('a', { task: 7, incarnation: 1 });
    s.ticks.set('/proc/self/task/7/stat', 300);
    await s.look();
    // It has ended and the number is another one's, before anybody has heard of the end.
    s.ends('/proc/self/task/7/stat');
    s.ticks.set('/proc/self/task/7/stat', 90_000);
    await s.look();
    assert.deepEqual(s.watch.of('a'), { cpuPercent: undefined, cpuSeconds: 3 });
  });

  test('is forgotten with an agent that is removed, and nothing of it stays open', async (t) => {
    const s = open(t);
    s.agents.set('a', { task: 7, incarnation: 1 });
    s.agents.set('b', { task: 8, incarnation: 1 });
    s.ticks.set('/proc/self/task/7/stat', 300);
    s.ticks.set('/proc/self/task/8/stat', 300);
    await s.look();
    assert.equal(s.openFiles(), 2);
    s.agents.delete('a');
    s.watch.forget('a');
    assert.deepEqual(s.watch.of('a'), { cpuPercent: undefined, cpuSeconds: undefined });
    assert.equal(s.openFiles(), 1);
    s.watch.stop();
    assert.equal(s.openFiles(), 0);
  });
});

test('a thread that hangs is seen at work', { skip: process.platform !== 'linux' }, async (t) => {
  const worker = new Worker(
    `const task = Number(require('fs').readlinkSync('/proc/thread-self').split('/').at(-1));
     require('worker_threads').parentPort.postMessage(task); for (;;);`,
    { eval: true },
  );
  t.after(() => worker.terminate());
  const [task] = (await once(worker, 'message')) as [number];
  await assertBusy(t, task, 'thread');
});

test('a process that hangs is seen at work', { skip: process.platform !== 'linux' }, async (t) => {
  const child = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
  t.after(() => child.kill('SIGKILL'));
  await assertBusy(t, child.pid as number, 'process');
});

/** How much of a core it gets depends on what else the machine does; that it gets none would be our mistake. */
async function assertBusy(t: TestContext, task: number, isolation: Isolation): Promise<void> {
  const children = () => [{ getSnapshot: () => toSnapshot('a', { task, incarnation: 1, isolation }) }];
  const onDefect = (error: unknown) => assert.fail(String(error));
  const watch = startCpuWatch({ clock: systemClock, children, lookMs: 50, onDefect });
  t.after(() => watch.stop());
  const first = await until(() => watch.of('a').cpuSeconds, 'a first figure', 20_000);
  await until(() => (watch.of('a').cpuSeconds ?? 0) >= first + 0.1, 'processor time', 20_000);
  await until(() => (watch.of('a').cpuPercent ?? 0) > 10, 'a share of a core', 20_000);
}

interface Seen {
  readonly task: number | undefined;
  readonly incarnation: number;
  readonly isolation?: Isolation;
}

function open(t: TestContext) {
  const clock = createTestClock();
  // Its first look is not at zero, as with every real clock.
  clock.advance(1_000_000);
  const agents = new Map<string, Seen>();
  const ticks = new Map<string, number>();
  const files = new Set<{ readonly path: string; hasEnded: boolean }>();
  let isLooking = false;
  const openStat = async (path: string): Promise<StatFile> => {
    if (!ticks.has(path)) throw new Error('ENOENT');
    const file = { path, hasEnded: false };
    files.add(file);
    return {
      read: async () => {
        if (file.hasEnded) throw new Error('ESRCH');
        const half = Math.floor((ticks.get(path) ?? 0) / 2);
        return `7 (a) b) R 1 1 1 0 -1 4194368 1 0 0 0 ${half} ${(ticks.get(path) ?? 0) - half} 0 0 20 0 8 0 23 1`;
      },
      close: async () => void files.delete(file),
    };
  };
  const options: CpuWatchOptions = {
    clock,
    openStat,
    children: function* () {
      isLooking = true;
      for (const [id, seen] of agents) yield { getSnapshot: () => toSnapshot(id, seen) };
    },
    onDefect: (error) => assert.fail(String(error)),
  };
  const watch = startCpuWatch(options);
  t.after(() => watch.stop());
  return {
    agents,
    ticks,
    watch,
    openFiles: () => files.size,
    ends: (path: string) => {
      for (const file of files) if (file.path === path) file.hasEnded = true;
      ticks.delete(path);
    },
    look: async () => {
      isLooking = false;
      clock.advance(LOOK_MS);
      assert.ok(isLooking);
      // Everything it awaits is settled at once.
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

function toSnapshot(id: string, { task, incarnation, isolation = 'thread' }: Seen): ChildSnapshot {
  const beat = task === undefined ? undefined : { task };
  return { context: { agent: { spec: { id }, isolation }, incarnation, beat } } as unknown as ChildSnapshot;
}
