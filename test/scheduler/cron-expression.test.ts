import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Expression,
  isTimeZone,
  localZone,
  readExpression,
} from '../../src/scheduler/cron-expression.ts';

function read(text: string, zone = 'UTC'): Expression {
  const found = readExpression(text, zone);
  assert.ok('expression' in found, JSON.stringify(found));
  return found.expression;
}

function timesOf(text: string, zone: string, from: string, count: number): readonly string[] {
  const expression = read(text, zone);
  const times: string[] = [];
  let atMs = Date.parse(from);
  while (times.length < count) {
    const next = expression.next(atMs);
    assert.ok(next !== undefined && next > atMs);
    atMs = next;
    times.push(new Date(next).toISOString().slice(5, 16));
  }
  return times;
}

test('hours and minutes are those of the zone', () => {
  assert.deepEqual(timesOf('0 7 * * *', 'Asia/Tokyo', '2026-05-01T00:00:00Z', 2), [
    '05-01T22:00',
    '05-02T22:00',
  ]);
  assert.deepEqual(timesOf('0 7 * * *', 'UTC', '2026-05-01T07:00:00Z', 1), ['05-02T07:00']);
});

test('a fixed time in the gap of spring comes right behind it, and those around it are not touched', () => {
  const from = '2026-03-28T12:00:00Z';
  assert.deepEqual(timesOf('30 2 * * *', 'Europe/Berlin', from, 2), ['03-29T01:00', '03-30T00:30']);
  assert.deepEqual(timesOf('0,30 2 * * *', 'Europe/Berlin', from, 2), ['03-29T01:00', '03-30T00:00']);
  assert.deepEqual(timesOf('0 3 * * *', 'Europe/Berlin', from, 2), ['03-29T01:00', '03-30T01:00']);
});

test('a fixed time that autumn brings twice comes once', () => {
  const times = timesOf('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2);
  assert.deepEqual(times, ['10-25T00:30', '10-26T01:30']);
  assert.deepEqual(timesOf('30 1 * * *', 'America/New_York', '2026-10-31T12:00:00Z', 2), [
    '11-01T05:30',
    '11-02T06:30',
  ]);
});

test('a step runs by the time that passes, through the hour that is missing and the one that comes twice', () => {
  const spring = timesOf('*/30 * * * *', 'Europe/Berlin', '2026-03-29T00:29:00Z', 4);
  assert.deepEqual(spring, ['03-29T00:30', '03-29T01:00', '03-29T01:30', '03-29T02:00']);
  const autumn = timesOf('*/30 * * * *', 'Europe/Berlin', '2026-10-24T23:59:00Z', 5);
  assert.deepEqual(autumn, ['10-25T00:00', '10-25T00:30', '10-25T01:00', '10-25T01:30', '10-25T02:00']);
});

test('the last time is at or before a moment, to the millisecond', () => {
  const hourly = read('0 * * * *');
  const hour = Date.parse('2026-05-01T10:00:00Z');
  assert.equal(hourly.last(hour), hour);
  assert.equal(hourly.last(hour + 1), hour);
  assert.equal(hourly.last(hour - 1), hour - 3_600_000);
  assert.equal(hourly.next(hour - 1), hour);
  assert.equal(hourly.next(hour), hour + 3_600_000);
});

test('either of both days will do, Sunday is 0 and 7, names and nicknames are known', () => {
  const days = timesOf('0 0 13 * 5', 'UTC', '2026-02-01T00:00:00Z', 3);
  assert.deepEqual(days, ['02-06T00:00', '02-13T00:00', '02-20T00:00']);
  for (const sunday of ['0 9 * * 0', '0 9 * * 7', '0 9 * * SUN']) {
    assert.deepEqual(timesOf(sunday, 'UTC', '2026-05-01T00:00:00Z', 1), ['05-03T09:00'], sunday);
  }
  assert.deepEqual(timesOf('@weekly', 'UTC', '2026-05-01T00:00:00Z', 1), ['05-03T00:00']);
  assert.deepEqual(timesOf('5/20 * * * *', 'UTC', '2026-05-01T00:06:00Z', 2), ['05-01T00:25', '05-01T00:45']);
});

test('@once: is one moment', () => {
  const once = read(' @once:1700000000.25 ');
  assert.equal(once.onceMs, 1_700_000_000_250);
  assert.equal(once.next(1_700_000_000_249), 1_700_000_000_250);
  assert.equal(once.next(1_700_000_000_250), undefined);
  assert.equal(once.last(1_700_000_000_249), undefined);
});

test('what is no expression is told why', () => {
  const fields = 'there are five fields (minute, hour, day, month, weekday), or @once:<epoch seconds>';
  const problems: Readonly<Record<string, string>> = {
    '': fields,
    '* * * *': fields,
    '0 0 7 * * *': fields,
    '2030-01-01T00:00:00': fields,
    '@reboot': fields,
    '61 * * * *': 'Invalid value for minute: 61',
    '0 0 31 2 *': 'there is no such day',
    '@once:soon': '@once: is followed by seconds since the epoch',
    '@once:1e99': '@once: is followed by seconds since the epoch',
    '@once:': '@once: is followed by seconds since the epoch',
    [`0 0 * * ${'1,'.repeat(200)}1`]: 'an expression has at most 200 characters',
  };
  for (const [text, problem] of Object.entries(problems)) {
    assert.deepEqual(readExpression(text, 'UTC'), { problem }, text);
  }
  assert.ok('problem' in readExpression('0 0 * * *', 'Mars/Olympus'));
});

test('zones are those the machine knows; its own is one of them', () => {
  assert.ok(isTimeZone('Europe/Berlin') && isTimeZone('UTC') && isTimeZone(localZone()));
  assert.ok(!isTimeZone('Mars/Olympus') && !isTimeZone('') && !isTimeZone('+02:00'));
});
