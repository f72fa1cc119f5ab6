import assert from 'node:assert/strict';
import { appendFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../src/contract/clock.ts';
import { openEventLog } from '../../src/logging/event-log.ts';
import { type LogQuery, readLog } from '../../src/logging/read-log.ts';
import { tempDir } from '../fixtures/turns.ts';

const RUNS = Math.max(60, 10 * Number(process.env.OPENAGENT_TEST_RUNS ?? 0));
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);
const ALL: LogQuery = { entries: 10_000, prefix: '', answerBytes: 1e9, scanBytes: 1e9 };

const line = (n: number, event = 'test.event', more = '') => `${JSON.stringify({ ts: n, event, more })}\n`;

async function logWith(t: TestContext, ...files: readonly string[]): Promise<string> {
  const path = join(await tempDir(t), 'events.jsonl');
  for (const [n, text] of files.entries()) writeFileSync(n === 0 ? path : `${path}.${n}`, text);
  return path;
}

const numbers = async (path: string, query: Partial<LogQuery> = {}, keepFiles = 5) =>
  (await readLog(path, keepFiles, { ...ALL, ...query })).map(({ ts }) => ts);

test('the newest entries come, oldest first, on into the rotated files', async (t) => {
  const path = await logWith(t, line(5) + line(6), line(3) + line(4), line(1) + line(2));
  assert.deepEqual(await numbers(path), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(await numbers(path, { entries: 3 }), [4, 5, 6]);
  assert.deepEqual(await numbers(path, { entries: 1 }), [6]);
  assert.deepEqual(await numbers(path, {}, 1), [3, 4, 5, 6]);
});

test('no log, an empty one, one without newline at its end', async (t) => {
  assert.deepEqual(await numbers(join(await tempDir(t), 'nothing.jsonl')), []);
  assert.deepEqual(await numbers(await logWith(t, '')), []);
  assert.deepEqual(await numbers(await logWith(t, '\n\n')), []);
  assert.deepEqual(await numbers(await logWith(t, line(1) + line(2).trimEnd())), [1, 2]);
});

test('a prefix selects by the beginning of the name, also where characters are escaped', async (t) => {
  const path = await logWith(
    t,
    line(1, 'message.received') + line(2, 'queue.message.x') + line(3, 'message.error') + line(4, 'messages'),
    `{"ts": 0.5, "event": "caf\\u00e9.opened"}\n`,
  );
  assert.deepEqual(await numbers(path, { prefix: 'message.' }), [1, 3]);
  assert.deepEqual(await numbers(path, { prefix: 'message' }), [1, 3, 4]);
  assert.deepEqual(await numbers(path, { prefix: 'café' }), [0.5]);
  assert.deepEqual(await numbers(path, { prefix: 'nothing' }), []);
});

test('lines that are no entries are left out: torn, foreign, of a wrong shape, endless', async (t) => {
  const path = await logWith(
    t,
    `${line(1)}{"ts":2,"eve\nplain text\n[1]\nnull\n{"ts":"3","event":"a"}\n{"ts":4}\n${'x'.repeat(3_000_000)}\n${line(5)}`,
  );
  assert.deepEqual(await numbers(path), [1, 5]);
});

test('neither the answer nor what is read for it grows beyond its bound', async (t) => {
  const text = Array.from({ length: 2_000 }, (_, n) => line(n, 'many', 'x'.repeat(100))).join('');
  const path = await logWith(t, text);
  const oneLine = line(1_000, 'many', 'x'.repeat(100)).length;
  const few = await numbers(path, { answerBytes: oneLine * 10 });
  assert.ok(few.length >= 9 && few.length <= 10 && few.at(-1) === 1_999);
  const near = await numbers(path, { scanBytes: 64 * 1024 });
  assert.ok(near.length > 100 && near.length < 1_000 && near.at(-1) === 1_999);
  assert.deepEqual(await numbers(path, { prefix: 'rare', scanBytes: 64 * 1024 }), []);
});

test('a rotation while it reads repeats nothing', async (t) => {
  const path = await logWith(t, line(3) + line(4), line(1) + line(2));
  const before = numbers(path);
  renameSync(`${path}.1`, `${path}.2`);
  renameSync(path, `${path}.1`);
  writeFileSync(path, line(5));
  const got = await before;
  assert.equal(new Set(got).size, got.length, String(got));
  assert.deepEqual(await numbers(path), [1, 2, 3, 4, 5]);
});

test('whatever stands in the files, the end of it comes back', async (t) => {
  const path = await logWith(t, '');
  const entry = fc.record({ size: fc.integer({ min: 0, max: 70_000 }), event: fc.constantFrom('a', 'b') });
  await fc.assert(
    fc.asyncProperty(
      fc.array(entry, { maxLength: 12 }),
      fc.integer({ min: 1, max: 12 }),
      async (made, entries) => {
        writeFileSync(path, made.map(({ size, event }, n) => line(n, event, 'ü'.repeat(size / 2))).join(''));
        const expected = made.map(({ event }, n) => ({ event, n })).filter(({ event }) => event === 'a');
        assert.deepEqual(
          await numbers(path, { prefix: 'a', entries }, 0),
          expected.slice(-entries).map(({ n }) => n),
        );
      },
    ),
    { numRuns: RUNS, seed: SEED },
  );
});

test('weak point 53: after the log was cleared its readers begin anew, and the old file is still there', async (t) => {
  const dir = await tempDir(t);
  const log = openEventLog({
    ...{ dir, level: 'error', rotateBytes: 1e6, keepFiles: 3, secrets: [], clock: systemClock },
    onProblem: (error) => assert.fail(String(error)),
  });
  t.after(() => log.close());
  const path = join(dir, 'events.jsonl');
  const events = async () => (await readLog(path, 3, ALL)).map(({ event }) => event);
  log.error('before');
  log.rotate('rest 127.0.0.1');
  await log.flush();
  assert.deepEqual(await events(), []);
  log.error('after');
  await log.flush();
  assert.deepEqual(await events(), ['after']);
  assert.deepEqual(readdirSync(dir).sort(), ['events.jsonl', 'events.jsonl.1']);
  // What only mentions the mark is no mark.
  appendFileSync(path, `${JSON.stringify({ ts: 1, event: 'x', text: 'log.cleared' })}\n`);
  assert.deepEqual(await events(), ['after', 'x']);
});

test('who follows the log gets each line as it stands in the file, until it has enough', async (t) => {
  const dir = await tempDir(t);
  const log = openEventLog({
    ...{ dir, level: 'info', rotateBytes: 1e6, keepFiles: 3, secrets: ['hush-hush'], clock: systemClock },
    onProblem: (error) => assert.fail(String(error)),
  });
  t.after(() => log.close());
  const got: unknown[] = [];
  const unfollow = log.follow((text, event, level) => got.push([JSON.parse(text).event, event, level, text]));
  log.debug('unseen');
  log.info('one', { secret: 'hush-hush' });
  log.warn('two', { text: 'it is hush-hush' });
  unfollow();
  log.error('three');
  assert.deepEqual(
    got.map((each) => (each as string[]).slice(0, 3)),
    [
      ['one', 'one', 'info'],
      ['two', 'two', 'warn'],
    ],
  );
  assert.ok(!JSON.stringify(got).includes('hush-hush'));
});
