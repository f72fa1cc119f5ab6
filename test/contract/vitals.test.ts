import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ACTIVITIES_MAX, createVitals, readVitals, VITALS_BYTES } from '../../src/contract/vitals.ts';

test('beats, progress and activities are seen by whoever shares the memory', () => {
  const buffer = new SharedArrayBuffer(VITALS_BYTES);
  const vitals = createVitals(buffer, () => 5);
  vitals.beat();
  vitals.beat();
  vitals.progress();
  const leaveOuter = vitals.enter('bridge', 'bridge wetter ☂');
  vitals.enter('storage', 'commit of 12');
  assert.deepEqual(readVitals(buffer), {
    beats: 2,
    progress: 2,
    activities: [
      { kind: 'bridge', detail: 'bridge wetter ☂', sinceMs: 5 },
      { kind: 'storage', detail: 'commit of 12', sinceMs: 5 },
    ],
  });
  leaveOuter();
  leaveOuter();
  assert.deepEqual(
    readVitals(buffer).activities.map(({ kind }) => kind),
    ['storage'],
  );
});

test('a listener hears of each change, and the newest of too many stay visible', () => {
  const buffer = new SharedArrayBuffer(VITALS_BYTES);
  const vitals = createVitals(buffer);
  const heard: number[] = [];
  vitals.onChange = (activities) => heard.push(activities.length);
  const leaves = Array.from({ length: 10 }, (_, index) => vitals.enter('model', `turn ${index}`));
  const { activities } = readVitals(buffer);
  assert.equal(activities.length, ACTIVITIES_MAX);
  assert.equal(activities.at(-1)?.detail, 'turn 9');
  for (const leave of leaves) leave();
  assert.deepEqual(heard, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  assert.deepEqual(readVitals(buffer).activities, []);
});

test('a long detail is cut, and memory full of nonsense is still read', () => {
  const buffer = new SharedArrayBuffer(VITALS_BYTES);
  createVitals(buffer).enter('tool', 'x'.repeat(1_000));
  assert.match(readVitals(buffer).activities[0]?.detail ?? '', /^x{104}$/);
  for (const byte of [0xff, 0x7f, 0x80]) {
    new Uint8Array(buffer).fill(byte);
    assert.ok(readVitals(buffer).activities.length <= ACTIVITIES_MAX);
  }
});

test('a thread that loops is read from outside', async (t) => {
  const buffer = new SharedArrayBuffer(VITALS_BYTES);
  const module = new URL('../../src/contract/vitals.ts', import.meta.url).href;
  const code = `
    import('tsx/esm/api').then(({ register }) => {
      register();
      return import(${JSON.stringify(module)});
    }).then(({ createVitals }) => {
      const vitals = createVitals(require('node:worker_threads').workerData);
      vitals.enter('bridge', 'bridge spin');
      vitals.beat();
      for (;;) {}
    });`;
  const worker = new Worker(code, { eval: true, workerData: buffer, execArgv: [] });
  t.after(() => worker.terminate());
  const signal = AbortSignal.timeout(20_000);
  while (readVitals(buffer).beats === 0) {
    signal.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(readVitals(buffer).activities[0]?.detail, 'bridge spin');
});
