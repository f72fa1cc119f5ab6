import assert from 'node:assert/strict';
import { once } from 'node:events';
import { get } from 'node:http';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { systemClock } from '../../src/contract/clock.ts';
import { VITALS_BYTES } from '../../src/contract/vitals.ts';
import { createInterrupter, INTERRUPTED_EXIT_CODE } from '../../src/supervisor/interrupt.ts';
import { IS_WHOLE } from '../fixtures/matrix.ts';

const interrupter = createInterrupter(systemClock);
/** A run takes a second of a core; what differs from run to run has shown itself within some tens. */
const RUNS = Math.min(Number(process.env.OPENAGENT_TEST_RUNS ?? 1), 30);
const PROBE_MS = 25;
const ENTRY = new URL('../fixtures/fixture-worker.mjs', import.meta.url);

/** Elsewhere they are among others: in the tests below, and as hangs of whole agents in `hangs.test.ts`. */
const FAULTS = IS_WHOLE ? (['loop', 'microtasks', 'regex', 'wait', 'swallow'] as const) : [];

for (const fault of FAULTS) {
  test(`a thread stuck in ${fault} is read and ended`, async (t) => {
    const { worker, exited } = await startStuck(t, fault);
    const read = await interrupter.interrupt(worker);
    assert.notEqual(read, 'no answer');
    assert.match(JSON.stringify(read), /fixture-worker\.mjs"/);
    assert.equal(await exited, INTERRUPTED_EXIT_CODE);
  });
}

const IN_NODE = [
  { fault: 'ticks', place: 'endlessTicks' },
  { fault: 'stream', place: 'endlessItems' },
  { fault: 'microtasks', place: 'again' },
] as const;

for (const { fault, place } of IS_WHOLE ? IN_NODE : IN_NODE.slice(0, 2)) {
  test(`a thread stuck in ${fault}, nearly all the time in Node, is told by the function of its own`, async (t) => {
    for (let run = 0; run < RUNS; run += 1) {
      const { worker, exited } = await startStuck(t, fault);
      const vitals = new SharedArrayBuffer(VITALS_BYTES);
      const { outcome, frames } = await interrupter.examine(worker, vitals, '/not/of/the/fixture');
      assert.equal(outcome, 'ended');
      assert.ok(
        frames.some(({ name, url }) => name === place && url.endsWith('fixture-worker.mjs')),
        JSON.stringify(frames),
      );
      assert.equal(await exited, INTERRUPTED_EXIT_CODE);
    }
  });
}

test('a thread stuck in code of nobody but us is read as it is, and ended', async (t) => {
  const { worker, exited } = await startStuck(t, 'ticks');
  const ownDir = dirname(fileURLToPath(ENTRY));
  const { outcome, frames } = await interrupter.examine(worker, new SharedArrayBuffer(VITALS_BYTES), ownDir);
  assert.equal(outcome, 'ended');
  assert.ok(frames.length > 0);
  assert.equal(await exited, INTERRUPTED_EXIT_CODE);
});

test('a stuck thread that holds a listening uWebSockets app ends, closes its port, and the process lives', {
  skip: !hasUws() && 'uWebSockets.js does not load here',
}, async (t) => {
  const { worker, exited, port } = await startStuck(t, 'uws');
  const read = await interrupter.interrupt(worker);
  assert.match(JSON.stringify(read), /stuckWithHandles/);
  assert.equal(await exited, INTERRUPTED_EXIT_CODE);
  await assert.rejects(once(get({ port, host: '127.0.0.1' }), 'response'), { code: 'ECONNREFUSED' });
});

test('a thread whose loop turns is asked to exit, without being cut', async (t) => {
  const { worker, exited } = await start(t, 'deaf');
  assert.deepEqual(await interrupter.interrupt(worker), { frames: [] });
  assert.equal(await exited, INTERRUPTED_EXIT_CODE);
});

test('several at once are each ended, and a bystander is not', async (t) => {
  const bystander = await start(t, 'none');
  const stuck = await Promise.all(['swallow', 'wait', 'regex'].map((fault) => startStuck(t, fault)));
  const reads = await Promise.all(stuck.map(({ worker }) => interrupter.interrupt(worker)));
  for (const read of reads) assert.notEqual(read, 'no answer');
  for (const { exited } of stuck) assert.equal(await exited, INTERRUPTED_EXIT_CODE);
  bystander.worker.postMessage({ type: 'shutdown' });
  assert.equal(await bystander.exited, 0);
});

test('a thread that is gone does not answer', async (t) => {
  const { worker, exited } = await start(t, 'none');
  worker.postMessage({ type: 'shutdown' });
  await exited;
  assert.equal(await interrupter.interrupt(worker), 'no answer');
});

async function start(t: TestContext, fault: string) {
  const worker = new Worker(ENTRY, {
    workerData: { settings: { name: fault } },
    name: `agent:${fault}`,
    execArgv: [],
    env: {},
  });
  // A uws thread must not be terminated; where the test fails, its file's process ends in an abort, which is seen.
  t.after(() => (fault === 'uws' ? undefined : worker.terminate()));
  const exited = new Promise<number>((resolve) => worker.once('exit', resolve));
  const [ready] = (await once(worker, 'message')) as [{ port: number }];
  return { worker, exited, port: ready.port };
}

/** Started, and known to be stuck: its event loop has had no rest for a while. */
async function startStuck(t: TestContext, fault: string) {
  const started = await start(t, fault);
  const deadline = AbortSignal.timeout(10_000);
  for (;;) {
    deadline.throwIfAborted();
    const before = started.worker.performance.eventLoopUtilization();
    await new Promise((resolve) => setTimeout(resolve, PROBE_MS));
    if (started.worker.performance.eventLoopUtilization(before).idle === 0) return started;
  }
}

function hasUws(): boolean {
  try {
    createRequire(import.meta.url)('uWebSockets.js');
    return true;
  } catch {
    return false; // An optional dependency: it has no build for every system.
  }
}
