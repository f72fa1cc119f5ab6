import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, type TestContext, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { systemClock } from '../../src/contract/clock.ts';
import type { Isolation } from '../../src/contract/worker-protocol.ts';
import type { ChildSnapshot } from '../../src/supervisor/child-facts.ts';
import { startCpuWatch } from '../../src/supervisor/cpu-watch.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { until } from '../fixtures/turns.ts';

const LOOK_MS = 2_000;

describe('what the kernel says of an agent', () => {
  test('is the share of a core between two looks, and the seconds in all', (t) => {
    const s = open(t);
    s.agents.set('a', { task: 7, incarnation: 1 });
    s.look({ '/proc/self/task/7/stat': 50 });
    assert.deepEqual(s.watch.of('a'), { cpuPercent: undefined, cpuSeconds: 0.5 });
    s.look({ '/proc/self/task/7/stat': 250 });
    assert.deepEqual(s.watch.of('a'), { cpuPercent: 100, cpuSeconds: 2.5 });
    s.look({ '/proc/self/task/7/stat': 250 });
    assert.deepEqual(s.watch.of('a'), { cpuPercent: 0, cpuSeconds: 2.5 });
  });

  test('is of the whole process where it has one for itself', (t) => {
    const s = open(t);
    s.agents.set('a', { task: 7, incarnation: 1, isolation: 'process' });
    s.look({ '/proc/7/stat': 400 });
    assert.equal(s.watch.of('a').cpuSeconds, 4);
  });

  test('goes on counting with its next incarnation, also one that got the same number', (t) => {
    const s = open(t);
    s.agents.set('a', { task: 7, incarnation: 1 });
    s.look({ '/proc/self/task/7/stat': 300 });
    s.agents.set('a', { task: undefined, incarnation: 1 });
    s.look({});
    assert.deepEqual(s.watch.of('a'), { cpuPercent: undefined, cpuSeconds: 3 });
    s.agents.set('a', { task: 7, incarnation: 2 });
    s.look({ '/proc/self/task/7/stat': 10 }, 'a later start');
    assert.deepEqual(s.watch.of('a'), { cpuPercent: undefined, cpuSeconds: 3.1 });
    s.look({ '/proc/self/task/7/stat': 10 }, 'a later start');
    assert.deepEqual(s.watch.of('a'), { cpuPercent: 0, cpuSeconds: 3.1 });
  });

  test('is never that of a stranger who got its number', (t) => {
    const s = open(t);
    s.agents.set('a', { task: 7, incarnation: 1 });
    s.look({ '/proc/self/task/7/stat': 300 });
    // It has ended and the number is another one's, before anybody has heard of the end.
    s.look({ '/proc/self/task/7/stat': 90_000 }, 'a later start');
    assert.deepEqual(s.watch.of('a'), { cpuPercent: undefined, cpuSeconds: 3 });
  });

  test('is forgotten with an agent that is removed', (t) => {
    const s = open(t);
    s.agents.set('a', { task: 7, incarnation: 1 });
    s.look({ '/proc/self/task/7/stat': 300 });
    s.agents.delete('a');
    s.watch.forget('a');
    assert.deepEqual(s.watch.of('a'), { cpuPercent: undefined, cpuSeconds: undefined });
    s.agents.set('a', { task: 9, incarnation: 1 });
    s.look({ '/proc/self/task/9/stat': 20 }, 'a later start');
    assert.equal(s.watch.of('a').cpuSeconds, 0.2);
  });

  test('is nothing that can be read when there is nothing of the kind', (t) => {
    const s = open(t);
    s.agents.set('a', { task: 7, incarnation: 1 });
    s.answers('garbage');
    assert.deepEqual(s.watch.of('a'), { cpuPercent: undefined, cpuSeconds: undefined });
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
  const watch = startCpuWatch({ clock: systemClock, children, lookMs: 50 });
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
  const agents = new Map<string, Seen>();
  let files = new Map<string, string>();
  const watch = startCpuWatch({
    clock,
    readStat: (path) => {
      const text = files.get(path);
      if (text === undefined) throw new Error('ENOENT');
      return text;
    },
    children: () => [...agents].map(([id, seen]) => ({ getSnapshot: () => toSnapshot(id, seen) })),
  });
  t.after(() => watch.stop());
  return {
    agents,
    watch,
    /** What the kernel says at the next look: ticks by path, half of them spent in itself. */
    look: (ticks: Readonly<Record<string, number>>, startTime = 'a start') => {
      files = new Map(
        Object.entries(ticks).map(([path, all]) => [
          path,
          `7 (a) b) R 1 1 1 0 -1 4194368 1 0 0 0 ${all / 2} ${all / 2} 0 0 20 0 8 0 ${startTime.length} 1`,
        ]),
      );
      clock.advance(LOOK_MS);
    },
    answers: (text: string) => {
      files = new Map([['/proc/self/task/7/stat', text]]);
      clock.advance(LOOK_MS);
    },
  };
}

function toSnapshot(id: string, { task, incarnation, isolation = 'thread' }: Seen): ChildSnapshot {
  const beat = task === undefined ? undefined : { task };
  return { context: { agent: { spec: { id }, isolation }, incarnation, beat } } as unknown as ChildSnapshot;
}
