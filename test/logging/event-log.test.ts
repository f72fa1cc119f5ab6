import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { SimulatedClock } from 'xstate';
import type { Clock } from '../../src/contract/clock.ts';
import { type EventLogOptions, openEventLog } from '../../src/logging/event-log.ts';
import type { LogFields } from '../../src/logging/log.ts';

test('writes one JSON object a line: ts in seconds, event, fields', async (t) => {
  const { log, text } = startLog(t);
  log.info('message.received', { session_id: 's', length: 5 });
  log.info('server.start');
  await log.flush();
  assert.equal(
    text(),
    '{"ts":1700000000.125,"event":"message.received","session_id":"s","length":5}\n' +
      '{"ts":1700000000.125,"event":"server.start"}\n',
  );
});

test('names the level of warnings and errors only', async (t) => {
  const { log, lines } = startLog(t, { level: 'debug' });
  for (const level of ['debug', 'info', 'warn', 'error'] as const) log[level]('x');
  await log.flush();
  assert.deepEqual(
    lines().map((line) => line.level),
    [undefined, undefined, 'warn', 'error'],
  );
});

test('leaves out what is below the level, which may change', async (t) => {
  const { log, lines } = startLog(t);
  log.debug('hidden');
  assert.equal(log.isEnabled('debug'), false);
  log.setLevel('debug');
  assert.equal(log.isEnabled('debug'), true);
  log.debug('shown');
  log.setLevel('error');
  log.warn('hidden');
  await log.flush();
  assert.deepEqual(
    lines().map((line) => line.event),
    ['shown'],
  );
});

test('a reader sees a line within a second, without a flush', (t) => {
  const { log, clock, lines } = startLog(t);
  log.info('x');
  assert.deepEqual(lines(), []);
  clock.increment(1_000);
  assert.equal(lines().length, 1);
});

test('an idle log has no timer', (t) => {
  let timers = 0;
  const { log, clock } = startLog(t, { onTimer: () => (timers += 1) });
  log.info('x');
  clock.increment(1_000);
  clock.increment(10_000);
  assert.equal(timers, 1);
});

test('loses and tears no line over ten rotations, and keeps as many files as it is told', async (t) => {
  const lineCount = 40_000;
  const { dir, log } = startLog(t, { rotateBytes: 400_000, keepFiles: 20 });
  for (let n = 0; n < lineCount; n += 1) log.info('load', { n, padding: 'x'.repeat(n % 100) });
  await log.close();
  const names = readdirSync(dir).sort((a, b) => ageOf(b) - ageOf(a));
  assert.ok(names.length > 10, `only ${names.length} files`);
  const seen = names.flatMap((name) => parse(join(dir, name)).map((line) => line.n));
  assert.deepEqual(
    seen,
    Array.from({ length: lineCount }, (_, n) => n),
  );
  for (const name of names) assert.ok(statSync(join(dir, name)).size <= 400_000, name);
});

test('removes the oldest file beyond the number to keep', async (t) => {
  const { dir, log } = startLog(t, { rotateBytes: 1_000, keepFiles: 2 });
  for (let n = 0; n < 50; n += 1) {
    log.info('load', { n, padding: 'x'.repeat(200) });
    await log.flush();
  }
  assert.deepEqual(readdirSync(dir).sort(), ['events.jsonl', 'events.jsonl.1', 'events.jsonl.2']);
  assert.equal(parse(join(dir, 'events.jsonl')).at(-1)?.n, 49);
});

test('keeping no old file still bounds the new one', async (t) => {
  const { dir, log } = startLog(t, { rotateBytes: 1_000, keepFiles: 0 });
  for (let n = 0; n < 20; n += 1) {
    log.info('load', { n, padding: 'x'.repeat(200) });
    await log.flush();
  }
  assert.deepEqual(readdirSync(dir), ['events.jsonl']);
  assert.ok(statSync(join(dir, 'events.jsonl')).size <= 1_000);
});

test('its files are for their owner only, also one that was there before', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'events.jsonl'), '{"ts":1,"event":"old"}\n', { mode: 0o644 });
  const { log, lines } = startLog(t, { dir });
  log.info('new');
  await log.flush();
  assert.equal(statSync(join(dir, 'events.jsonl')).mode & 0o777, 0o600);
  assert.deepEqual(
    lines().map((line) => line.event),
    ['old', 'new'],
  );
});

test('begins a line of its own after one that a kill has torn', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'events.jsonl'), '{"ts":1,"eve');
  const { log } = startLog(t, { dir });
  log.info('new');
  await log.flush();
  assert.equal(
    readFileSync(join(dir, 'events.jsonl'), 'utf8').split('\n')[1],
    '{"ts":1700000000.125,"event":"new"}',
  );
});

test('makes a directory that was deleted again, and loses no line', async (t) => {
  const { dir, log, lines, problems } = startLog(t);
  log.info('before');
  await log.flush();
  rmSync(dir, { recursive: true });
  log.info('after');
  await log.flush();
  assert.deepEqual(
    lines().map((line) => line.event),
    ['after'],
  );
  assert.deepEqual(problems, []);
});

test('says how many lines are missing where the disk refused more than four megabytes', async (t) => {
  const dir = join(tempDir(t), 'logs');
  // A file where the directory should be.
  writeFileSync(dir, '');
  const { log, lines, clock, problems } = startLog(t, { dir });
  const lineCount = 6_000;
  for (let n = 0; n < lineCount; n += 1) log.info('load', { n, padding: 'x'.repeat(1_000) });
  rmSync(dir);
  clock.increment(1_000);
  log.info('later');
  await log.flush();
  const kept = lines().slice(0, -2);
  assert.deepEqual(
    kept.map((line) => line.n),
    kept.map((_, n) => n),
  );
  assert.ok(kept.length > 3_500 && kept.length < 4_200, `${kept.length} lines kept`);
  assert.deepEqual(lines().slice(-2), [
    { ts: 1700000000.125, event: 'log.dropped', level: 'warn', count: lineCount - kept.length },
    { ts: 1700000000.125, event: 'later' },
  ]);
  assert.equal(problems.length, 1);
});

test('takes whatever a field holds', async (t) => {
  const { log, lines, problems } = startLog(t);
  const circular: Record<string, unknown> = { name: 'loop' };
  circular.self = circular;
  const strange: LogFields[] = [
    { circular },
    { big: 10n, nested: { big: 10n } },
    { map: new Map([['a', 1]]), set: new Set([1]), bytes: new Uint8Array(3), f: () => 1, s: Symbol('s') },
    { date: new Date(Number.NaN) },
    { invalid: '\ud800', nul: '\u0000', u2028: '\u2028' },
    {
      get thrower() {
        throw new Error('not for reading');
      },
    },
    { toJSON: () => 'hello' },
    { list: [{ toJSON: () => assert.fail('in toJSON') }] },
    { ts: 'not the time', event: 'not the event' },
    new Proxy({}, { ownKeys: () => assert.fail('in ownKeys') }),
    { deep: Array.from({ length: 500 }).reduce((inner) => ({ inner }), {}) as object },
    null as unknown as LogFields,
    'text' as unknown as LogFields,
    { huge: 'x'.repeat(10_000_000) },
  ];
  for (const fields of strange) log.info('strange', fields);
  log.info(undefined as unknown as string);
  await log.flush();
  assert.equal(lines().length, strange.length + 1);
  for (const line of lines().slice(0, -1)) {
    assert.equal(line.event, 'strange');
    assert.equal(line.ts, 1700000000.125);
  }
  assert.deepEqual(problems, []);
});

test('a field that refers to half the heap costs no more than a line', async (t) => {
  const { log, lines } = startLog(t);
  const nodes = Array.from({ length: 50 }, (_, id) => ({ id, others: [] as unknown[] }));
  for (const node of nodes) node.others.push(...nodes);
  log.info('web', { node: nodes[0], error: new Error('x', { cause: nodes }) });
  await log.flush();
  assert.equal(lines()[0]?.event, 'web');
  assert.ok(JSON.stringify(lines()).length < 64 * 1024);
});

test('an error keeps its name, message, stack, cause and own fields', async (t) => {
  const { log, lines } = startLog(t);
  const cause = new RangeError('too far');
  const error = Object.assign(new TypeError('wrong', { cause }), { code: 'internal' });
  log.error('agent.failed', { error, inside: { list: [cause] } });
  await log.flush();
  const [line] = lines() as [{ error: Record<string, unknown>; inside: { list: Record<string, unknown>[] } }];
  assert.equal(line.error.name, 'TypeError');
  assert.equal(line.error.message, 'wrong');
  assert.equal(line.error.code, 'internal');
  assert.match(String(line.error.stack), /event-log\.test\.ts/);
  assert.equal((line.error.cause as Error).message, 'too far');
  assert.equal(line.inside.list[0]?.message, 'too far');
});

test('a closed log ignores what comes later', async (t) => {
  const { log, lines } = startLog(t);
  log.info('x');
  await log.close();
  log.info('y');
  log.flushSync();
  await log.close();
  assert.equal(lines().length, 1);
});

interface Overrides extends Partial<EventLogOptions> {
  readonly onTimer?: () => void;
}

function startLog(t: TestContext, overrides: Overrides = {}) {
  const dir = overrides.dir ?? join(tempDir(t), 'logs');
  const simulated = new SimulatedClock();
  const clock: Clock = {
    monotonicMs: () => simulated.now(),
    wallMs: () => 1_700_000_000_125,
    setTimeout: (callback, delayMs) => {
      overrides.onTimer?.();
      return simulated.setTimeout(callback, delayMs);
    },
    clearTimeout: (timer) => {
      if (timer !== undefined) simulated.clearTimeout(timer as number);
    },
  };
  const problems: unknown[] = [];
  const log = openEventLog({
    dir,
    level: 'info',
    rotateBytes: 10_000_000,
    keepFiles: 3,
    secrets: [],
    clock,
    onProblem: (error) => problems.push(error),
    ...overrides,
  });
  t.after(() => log.close());
  const path = join(dir, 'events.jsonl');
  const text = () => (existsSync(path) ? readFileSync(path, 'utf8') : '');
  return { dir, log, clock: simulated, problems, text, lines: () => parse(path) };
}

function parse(path: string): Record<string, unknown>[] {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [''];
  assert.equal(lines.pop(), '', 'the last line is whole');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

function ageOf(name: string): number {
  return Number(name.split('.')[2] ?? 0);
}

function tempDir(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'event-log-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
