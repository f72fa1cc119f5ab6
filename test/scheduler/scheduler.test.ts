import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DAY, HOUR, MINUTE, startSchedule, task } from './scheduler-fixture.ts';

const START = '2026-05-01T11:59:30Z';
const one = (cron: string, more = {}) => ({ tasks: [task(cron, more)] });

test('a task runs at its times, each in a session of its own, and its outcome is kept', async (t) => {
  const { clock, turns, schedule, begun, events } = await startSchedule(t, START, one('*/10 * * * *'));
  clock.advance(29_999);
  assert.deepEqual(begun(), []);
  clock.advance(1);
  assert.deepEqual(begun(), ['12:00']);
  clock.advance(5_000);
  turns.end(turns.running()[0], { text: 'x'.repeat(3_000) });
  clock.advance(10 * MINUTE);
  assert.deepEqual(begun(), ['12:10']);
  turns.end(turns.running()[0], { state: 'failed', code: 'model.network', text: 'No way through.' });
  const [info] = schedule.desk.list(false);
  assert.ok(info);
  assert.deepEqual(
    [info.last_run_iso, info.next_run_iso, info.running, info.last_state, info.last_code],
    ['2026-05-01T12:10:00.000Z', '2026-05-01T12:20:00.000Z', null, 'failed', 'model.network'],
  );
  const runs = schedule.desk.runs(info.id, 10);
  assert.deepEqual(
    runs.map(({ state, code, text, cause, due_at_iso: due }) => [
      state,
      code,
      text?.length,
      cause,
      due.slice(11, 16),
    ]),
    [
      ['failed', 'model.network', 15, 'schedule', '12:10'],
      ['done', null, 2_000, 'schedule', '12:00'],
    ],
  );
  assert.equal(new Set(runs.map(({ session_id: id }) => id)).size, 2);
  for (const { id, session_id: session } of runs) assert.equal(session, `task:${info.id}:${id}`);
  assert.deepEqual(
    events.map(({ event }) => event),
    ['scheduler.start', 'task.run', 'task.done', 'task.run', 'task.error'],
  );
});

test('a slow task blocks no other one, and is not started again while it runs', async (t) => {
  const tasks = [task('* * * * *', { name: 'slow' }), task('* * * * *', { name: 'quick' })];
  const { clock, turns, countOf, events } = await startSchedule(t, START, { tasks });
  const quick = () => turns.running().filter(({ taskId }) => taskId !== turns.started[0]?.taskId);
  for (let minute = 0; minute < 5; minute += 1) {
    clock.advance(minute === 0 ? 30_000 : MINUTE);
    for (const run of quick()) turns.end(run);
  }
  assert.equal(turns.started.length, 6);
  assert.equal(turns.running().length, 1);
  assert.ok(countOf('task.still_running') >= 1);
  const told = events.find(({ event }) => event === 'task.still_running')?.fields;
  assert.equal(told?.task, 'slow');
  turns.end(turns.running()[0]);
  assert.equal(turns.running().length, 0);
  clock.advance(MINUTE);
  assert.equal(turns.running().length, 2);
});

for (const [missed, expected] of [
  ['skip', [[], ['12:04']]],
  ['once', [['12:03'], ['12:04']]],
  ['all', [['12:01'], ['12:02']]],
] as const) {
  test(`what comes while a run is going is missed (${missed})`, async (t) => {
    const { clock, turns, begun } = await startSchedule(t, START, { ...one('* * * * *'), missed });
    clock.advance(30_000);
    assert.deepEqual(begun(), ['12:00']);
    clock.advance(3.5 * MINUTE);
    turns.end(turns.running()[0]);
    assert.deepEqual(begun(), expected[0]);
    for (const run of turns.running()) turns.end(run);
    clock.advance(missed === 'all' ? 0 : MINUTE / 2);
    assert.deepEqual(begun(), expected[1]);
  });
}

for (const [missed, expected] of [
  ['skip', []],
  ['once', ['15:00']],
  // Of 12:10 … 15:00 the last three: the limit of this test.
  ['all', ['14:40', '14:50', '15:00']],
] as const) {
  test(`what was missed while the agent was down (${missed})`, async (t) => {
    const setup = await startSchedule(t, START, { ...one('*/10 * * * *'), missed });
    setup.clock.advance(30_000);
    setup.turns.end(setup.turns.running()[0]);
    setup.schedule.scheduler.stop();
    setup.clock.advance(3 * HOUR + 2 * MINUTE);
    setup.begun();
    setup.restart();
    for (let count = 0; count < 5; count += 1) for (const run of setup.turns.running()) setup.turns.end(run);
    assert.deepEqual(setup.begun(), expected);
    setup.clock.advance(8 * MINUTE);
    assert.deepEqual(setup.begun(), ['15:10']);
  });
}

test('a restart across the time of a task does not lose it', async (t) => {
  const setup = await startSchedule(t, START, one('0 12 * * *'));
  setup.schedule.scheduler.stop();
  setup.clock.advance(75_000);
  setup.restart();
  assert.deepEqual(setup.begun(), ['12:00']);
});

test('a machine that slept is noticed within half a minute', async (t) => {
  const { clock, begun } = await startSchedule(t, START, { ...one('0 * * * *'), missed: 'once' });
  clock.set(clock.wallMs() + 5 * HOUR);
  clock.advance(29_999);
  assert.deepEqual(begun(), []);
  clock.advance(1);
  assert.deepEqual(begun(), ['17:00']);
});

test('a clock set back a little repeats nothing; set back by much, the new time counts', async (t) => {
  const { clock, turns, begun, countOf } = await startSchedule(t, START, one('*/30 * * * *'));
  clock.advance(30_000);
  assert.deepEqual(begun(), ['12:00']);
  turns.end(turns.running()[0]);
  clock.set(clock.wallMs() - HOUR);
  clock.advance(HOUR + 29 * MINUTE);
  assert.deepEqual(begun(), []);
  clock.advance(MINUTE);
  assert.deepEqual(begun(), ['12:30']);
  turns.end(turns.running()[0]);
  clock.set(clock.wallMs() - 40 * DAY);
  clock.advance(30 * MINUTE);
  assert.deepEqual(begun(), ['13:00']);
  assert.equal(countOf('scheduler.clock_set_back'), 1);
});

test('a clock that was wrong by years at the last start does not silence a task', async (t) => {
  const setup = await startSchedule(t, '2038-01-01T00:00:00Z', one('0 * * * *'));
  setup.schedule.scheduler.stop();
  setup.clock.set(Date.parse(START));
  setup.restart();
  setup.clock.advance(MINUTE);
  assert.deepEqual(setup.begun(), ['12:00']);
});

test('no timer is longer than what Node can hold', async (t) => {
  const longest: number[] = [];
  const { clock, begun } = await startSchedule(t, START, one('0 0 1 1 *'));
  const { setTimeout } = clock;
  clock.setTimeout = (work, ms) => {
    longest.push(ms);
    return setTimeout(work, ms);
  };
  clock.advance(2 * HOUR);
  assert.ok(longest.length > 0 && longest.every((ms) => ms <= 30_000));
  clock.set(Date.parse('2026-12-31T23:59:50Z'));
  clock.advance(30_000);
  assert.deepEqual(begun(), ['00:00']);
});

test('a one-shot runs once, however late, and stays over', async (t) => {
  const at = Date.parse(START) / 1000 + 60;
  const setup = await startSchedule(t, START, one(`@once:${at}`));
  setup.schedule.scheduler.stop();
  setup.clock.advance(9 * DAY);
  setup.restart();
  assert.deepEqual(setup.begun(), ['12:00']);
  setup.turns.end(setup.turns.running()[0]);
  for (let count = 0; count < 2; count += 1) {
    setup.clock.advance(DAY);
    setup.restart();
  }
  assert.deepEqual(setup.begun(), []);
  const [info] = setup.schedule.desk.list(false);
  assert.deepEqual([info?.enabled, info?.next_run, info?.run_once], [false, null, true]);
  // Given another time in the file, it runs again.
  setup.restart(one(`@once:${at + 12 * 86_400}`));
  setup.restart();
  setup.clock.advance(DAY + MINUTE);
  assert.deepEqual(setup.begun(), ['12:00']);
});

test('an agent that died between run and turn submits it again; one whose turn ended hears of it', async (t) => {
  const setup = await startSchedule(t, START, one('0 12 * * *'));
  setup.turns.refusals = ['agent.stopping'];
  setup.clock.advance(30_000);
  assert.deepEqual(setup.begun(), []);
  const open = () => setup.schedule.desk.list(false)[0]?.running;
  assert.ok(open());
  setup.clock.advance(DAY / 2);
  setup.restart();
  assert.deepEqual(setup.begun(), ['12:00']);
  const [run] = setup.turns.running();
  setup.turns.forgetListeners();
  setup.turns.end(run);
  assert.ok(open());
  setup.restart();
  assert.equal(open(), null);
  assert.equal(setup.schedule.desk.list(false)[0]?.last_state, 'done');
  assert.deepEqual(setup.begun(), []);
});

test('a run that is refused for now is submitted again with growing pauses', async (t) => {
  const { clock, turns, begun, countOf } = await startSchedule(t, START, one('0 12 * * *'));
  turns.refusals = ['queue.agent_full', 'storage.unavailable'];
  clock.advance(30_000);
  clock.advance(2_999);
  assert.deepEqual(begun(), []);
  clock.advance(1);
  assert.deepEqual(begun(), ['12:00']);
  assert.equal(countOf('task.waits'), 2);
});

test('a database that cannot be written delays a run, and loses none', async (t) => {
  const { db, clock, turns, begun, countOf, schedule } = await startSchedule(t, START, one('0 12 * * *'));
  db.pragma('query_only = 1');
  clock.advance(40_000);
  assert.deepEqual(begun(), []);
  assert.ok(countOf('scheduler.look_failed') > 0);
  db.pragma('query_only = 0');
  clock.advance(1_000);
  assert.deepEqual(begun(), ['12:00']);
  db.pragma('query_only = 1');
  turns.end(turns.running()[0]);
  assert.ok(schedule.desk.list(false)[0]?.running);
  db.pragma('query_only = 0');
  clock.advance(1_000);
  assert.equal(schedule.desk.list(false)[0]?.running, null);
});

test('the scheduler that is paused begins nothing, and hears runs to their end', async (t) => {
  const { clock, turns, begun, schedule } = await startSchedule(t, START, one('* * * * *'));
  clock.advance(30_000);
  begun();
  schedule.scheduler.pause();
  turns.end(turns.running()[0]);
  clock.advance(HOUR);
  assert.deepEqual(begun(), []);
  assert.equal(schedule.desk.list(false)[0]?.last_state, 'done');
});

test('runs are kept up to their limit', async (t) => {
  const { clock, turns, schedule } = await startSchedule(t, START, one('* * * * *'));
  for (let minute = 0; minute < 9; minute += 1) {
    clock.advance(MINUTE);
    for (const run of turns.running()) turns.end(run);
  }
  const [info] = schedule.desk.list(false);
  assert.equal(schedule.desk.runs(info?.id ?? '', 100).length, 5);
});
