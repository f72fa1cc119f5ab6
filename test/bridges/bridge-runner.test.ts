import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { startFixture } from './bridge-fixture.ts';

const SIMPLE = `export default class { async run(signal) {
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
} }`;

test('gives a bridge its configuration, the gateway and a log of its own', async (t) => {
  const { entry } = startFixture(t, {
    files: { 'recorder.mjs': 'recorder.mjs' },
    bridges: [{ name: 'recorder', config: { room: 7 } }],
  });
  const [, fields] = await entry('recorder.running');
  assert.deepEqual(fields, {
    bridge: 'recorder',
    gateway: { url: 'ws://127.0.0.1:1/ws', token: 'gateway-token' },
    config: { room: 7 },
    aborted: false,
  });
});

for (const extension of ['js', 'mjs', 'ts']) {
  test(`runs a .${extension} bridge, and only where its channel is configured`, async (t) => {
    const { entry, runner, dir } = startFixture(t, {
      texts: { [`one.${extension}`]: SIMPLE, [`two.${extension}`]: 'globalThis.twoWasLoaded = true;' },
      bridges: [{ name: 'one', config: {} }],
    });
    const [, fields] = await entry('bridge.start');
    assert.deepEqual(fields, { name: 'one', file: join(dir, `one.${extension}`) });
    assert.deepEqual(runner.states(), [{ name: 'one', state: 'running', restarts: 0, lastError: undefined }]);
    assert.ok(!('twoWasLoaded' in globalThis));
  });
}

test('takes a CommonJS module too', async (t) => {
  const { entry } = startFixture(t, {
    texts: { 'one.js': SIMPLE.replace('export default', 'module.exports =') },
    bridges: [{ name: 'one', config: {} }],
  });
  await entry('bridge.start');
});

test('finds a bridge by the name it gives itself', async (t) => {
  const { entry, dir } = startFixture(t, {
    texts: {
      'a-broken.mjs': 'export default 5;',
      'b-other.mjs': SIMPLE,
      'c-mine.mjs': SIMPLE.replace('{ async', "{ name = 'chat'; async"),
    },
    bridges: [{ name: 'chat', config: {} }],
  });
  const [, fields] = await entry('bridge.start');
  assert.deepEqual(fields, { name: 'chat', file: join(dir, 'c-mine.mjs') });
});

test('a bridge whose run throws is started again with growing pauses, its configuration as written', async (t) => {
  const { clock, entry, runner, log } = startFixture(t, {
    files: { 'recorder.mjs': 'recorder.mjs' },
    bridges: [{ name: 'recorder', config: { ending: 'throw', word: 'once' } }],
    random: 0.5,
  });
  for (const pauseMs of [125, 250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]) {
    const [level, fields] = await entry('bridge.error');
    assert.equal(level, 'error');
    assert.equal(fields.error, 'as told once');
    assert.match(String(fields.stack), /recorder\.mjs/);
    assert.equal(fields.restart_in_ms, pauseMs);
    assert.equal(runner.states()[0]?.state, 'backoff');
    clock.increment(pauseMs - 1);
    assert.equal(runner.states()[0]?.state, 'backoff');
    clock.increment(1);
    assert.equal(runner.states()[0]?.state, 'loading');
  }
  await entry('bridge.error');
  assert.equal(runner.states()[0]?.restarts, 9);
  assert.equal(runner.states()[0]?.lastError, 'as told once');
  const runs = log.entries.filter(([, event]) => event === 'recorder.running');
  for (const [, , fields] of runs) assert.deepEqual(fields?.config, { ending: 'throw', word: 'once' });
});

test('a run that throws before its first await, or throws something odd, is the same failure', async (t) => {
  const { entry } = startFixture(t, {
    texts: {
      'sync.mjs': "export default class { run() { throw new Error('at once'); } }",
      'odd.mjs': 'export default class { async run() { throw Object.create(null); } }',
    },
    bridges: [
      { name: 'sync', config: {} },
      { name: 'odd', config: {} },
    ],
  });
  const errors = [await entry('bridge.error'), await entry('bridge.error')].map(([, fields]) => fields.error);
  assert.deepEqual(errors.sort(), ['at once', 'threw [object Object]']);
});

test('after a stable minute earlier failures are forgotten', async (t) => {
  const flag = `bridge-test-${process.pid}`;
  t.after(() => Reflect.deleteProperty(globalThis, flag));
  const { clock, entry } = startFixture(t, {
    texts: {
      'one.mjs': `export default class { async run() {
        await new Promise((resolve, reject) => { globalThis['${flag}'] = reject; });
      } }`,
    },
    bridges: [{ name: 'one', config: {} }],
    random: 0.5,
  });
  const failOnce = async () => {
    await entry('bridge.start');
    (Reflect.get(globalThis, flag) as (error: Error) => void)(new Error('on request'));
    const [, fields] = await entry('bridge.error');
    return fields.restart_in_ms as number;
  };
  const first = await failOnce();
  clock.increment(first);
  const second = await failOnce();
  assert.deepEqual([first, second], [125, 250]);
  clock.increment(second);
  await entry('bridge.start');
  clock.increment(60_000);
  (Reflect.get(globalThis, flag) as (error: Error) => void)(new Error('on request'));
  assert.equal((await entry('bridge.error'))[1].restart_in_ms, 125);
});

test('a bridge that simply returns is started again after the least pause', async (t) => {
  const { clock, entry, runner } = startFixture(t, {
    files: { 'recorder.mjs': 'recorder.mjs' },
    bridges: [{ name: 'recorder', config: { ending: 'return' } }],
  });
  for (let round = 1; round <= 3; round += 1) {
    const [level, fields] = await entry('bridge.stop');
    assert.deepEqual([level, fields], ['info', { name: 'recorder', reason: 'returned' }]);
    clock.increment(250);
    assert.equal(runner.states()[0]?.restarts, round);
  }
});

for (const ending of ['resolve', 'abort-error']) {
  test(`stop aborts the signal and waits for run to end (${ending})`, async (t) => {
    const { entry, runner, log } = startFixture(t, {
      files: { 'recorder.mjs': 'recorder.mjs' },
      bridges: [{ name: 'recorder', config: { ending } }],
    });
    await entry('recorder.running');
    await runner.stop(5_000);
    await entry('recorder.aborted');
    assert.deepEqual((await entry('bridge.stop'))[1], { name: 'recorder', reason: 'asked' });
    assert.equal(runner.states()[0]?.state, 'stopped');
    assert.ok(!log.entries.some(([, event]) => event === 'bridge.error'));
    await runner.stop(5_000);
  });
}

test('an error while stopping is told, and nothing is started again', async (t) => {
  const { entry, runner } = startFixture(t, {
    files: { 'recorder.mjs': 'recorder.mjs' },
    bridges: [{ name: 'recorder', config: { ending: 'late-error' } }],
  });
  await entry('recorder.running');
  await runner.stop(5_000);
  assert.equal((await entry('bridge.error'))[1].error, 'while stopping');
  assert.equal(runner.states()[0]?.state, 'stopped');
});

test('a bridge that ignores the signal is let go of at the deadline', async (t) => {
  const { clock, entry, runner } = startFixture(t, {
    files: { 'recorder.mjs': 'recorder.mjs' },
    bridges: [{ name: 'recorder', config: { ending: 'deaf' } }],
  });
  await entry('recorder.running');
  const stopped = runner.stop(2_000);
  assert.equal(runner.states()[0]?.state, 'stopping');
  clock.increment(1_999);
  assert.equal(runner.states()[0]?.state, 'stopping');
  clock.increment(1);
  await stopped;
  assert.deepEqual(await entry('bridge.stop'), ['warn', { name: 'recorder', reason: 'abandoned' }]);
});

test('what an abandoned run rejects with later is nobody’s unhandled rejection', async (t) => {
  const flag = `bridge-late-${process.pid}`;
  t.after(() => Reflect.deleteProperty(globalThis, flag));
  const { clock, entry, runner } = startFixture(t, {
    texts: {
      'one.mjs': `export default class { async run() {
        await new Promise((resolve, reject) => { globalThis['${flag}'] = reject; });
      } }`,
    },
    bridges: [{ name: 'one', config: {} }],
  });
  await entry('bridge.start');
  const stopped = runner.stop(10);
  clock.increment(10);
  await stopped;
  // An unhandled rejection would fail this file.
  (Reflect.get(globalThis, flag) as (error: Error) => void)(new Error('too late'));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(runner.states()[0]?.state, 'stopped');
});

test('stop ends a bridge that waits for its next attempt, and one that loads', async (t) => {
  const { entry, runner } = startFixture(t, {
    texts: { 'bad.mjs': 'export default 5;', 'slow.mjs': `await new Promise(() => {}); ${SIMPLE}` },
    bridges: [
      { name: 'bad', config: {} },
      { name: 'slow', config: {} },
    ],
  });
  await entry('bridge.error');
  await runner.stop(5_000);
  assert.deepEqual(
    runner.states().map(({ state }) => state),
    ['stopped', 'stopped'],
  );
});

test('a bridge that fails leaves the other alone', async (t) => {
  const { entry, runner, dir } = startFixture(t, {
    files: { 'recorder.mjs': 'recorder.mjs' },
    texts: { 'good.mjs': SIMPLE },
    bridges: [
      { name: 'recorder', config: { ending: 'throw' } },
      { name: 'good', config: {} },
    ],
  });
  await entry('bridge.error');
  const started = [await entry('bridge.start'), await entry('bridge.start')].map(([, fields]) => fields.file);
  assert.ok(started.includes(join(dir, 'good.mjs')));
  assert.equal(runner.states()[1]?.state, 'running');
});

test('a file that was mended is taken at the next attempt, without a restart of the agent', async (t) => {
  const { clock, dir, entry, runner, warnings } = startFixture(t, {
    texts: { 'one.mjs': 'export default 5;' },
    bridges: [{ name: 'one', config: {} }],
    random: 0.5,
  });
  await entry('bridge.error');
  assert.equal(runner.states()[0]?.state, 'invalid');
  writeFileSync(join(dir, 'one.mjs'), SIMPLE);
  clock.increment(125);
  await entry('bridge.start');
  assert.equal(runner.states()[0]?.state, 'running');
  assert.equal(warnings.length, 1);
});

test('an agent without bridges has nothing to run, and no directory is needed', async (t) => {
  const { runner, dir, warnings } = startFixture(t, { bridges: [] });
  rmSync(dir, { recursive: true });
  assert.deepEqual(runner.states(), []);
  await runner.stop(0);
  assert.deepEqual(warnings, []);
});

test('a TypeScript bridge may import its neighbours and knows its own URL', async (t) => {
  const { dir, entry } = startFixture(t, {
    files: { 'typed.ts': 'typed.ts', 'lib/greeting.ts': 'lib/greeting.ts' },
    bridges: [{ name: 'typed', config: {} }],
  });
  assert.deepEqual((await entry('typed.running'))[1], {
    bridge: 'typed',
    greeting: 'hello',
    url: pathToFileURL(join(dir, 'typed.ts')).href,
  });
});
