/** Whose tasks they are: of the file, of clients and tools, of the reference, and our own. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/contract/clock.ts';
import { AppError, type ErrorCode } from '../../src/contract/errors.ts';
import type { TaskChange } from '../../src/contract/schemas/tasks.ts';
import { DREAM_PROMPT } from '../../src/scheduler/dream-prompt.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { DAY, HOUR, MINUTE, type Setup, startSchedule, task } from './scheduler-fixture.ts';

const START = '2026-05-01T11:59:30Z';

const rows = ({ db }: Setup) =>
  db
    .prepare('SELECT name, cron_expression AS cron, prompt, enabled FROM scheduled_tasks ORDER BY name')
    .all();
const named = ({ schedule }: Setup, name: string) => {
  const found = schedule.desk.list(false).find((one) => one.name === name);
  assert.ok(found, name);
  return found;
};

function refused(work: () => unknown, code: ErrorCode, message: RegExp): void {
  assert.throws(work, (error: unknown) => {
    assert.ok(AppError.is(error), String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  });
}

const create = (
  { schedule }: Setup,
  more: Partial<Parameters<Setup['schedule']['desk']['create']>[0]> = {},
) =>
  schedule.desk.create(
    { name: 'mine', cron_expression: '0 9 * * *', prompt: 'p', enabled: true, ...more },
    'rest',
  );

test('edits and removals in the file reach the table, and tasks of clients stay', async (t) => {
  const tasks = [task('0 7 * * *', { name: 'a' }), task('0 8 * * *', { name: 'b' })];
  const setup = await startSchedule(t, START, { tasks });
  const { id } = named(setup, 'a');
  const mine = create(setup);
  // A client may call its task as it likes.
  create(setup, { name: 'a' });
  setup.restart({ tasks: [task('30 7 * * *', { name: 'a', prompt: 'Anew.', enabled: false })] });
  assert.deepEqual(rows(setup), [
    { name: 'a', cron: '30 7 * * *', prompt: 'Anew.', enabled: 0 },
    { name: 'a', cron: '0 9 * * *', prompt: 'p', enabled: 1 },
    { name: 'mine', cron: '0 9 * * *', prompt: 'p', enabled: 1 },
  ]);
  assert.equal(named(setup, 'a').id, id);
  assert.equal(named(setup, 'a').next_run, null);
  assert.deepEqual(setup.schedule.desk.get(mine.id), mine);
  setup.restart({ tasks: [task('30 7 * * *', { name: 'a' })] });
  assert.equal(named(setup, 'a').next_run_iso, '2026-05-02T07:30:00.000Z');
  setup.restart({ tasks: [] });
  assert.deepEqual(
    setup.schedule.desk.list(false).map(({ source }) => source),
    ['rest', 'rest'],
  );
});

test('a task with another time has missed nothing; one with another prompt has', async (t) => {
  const setup = await startSchedule(t, START, { tasks: [task('0 12 * * *')], missed: 'once' });
  setup.schedule.scheduler.stop();
  setup.clock.advance(DAY);
  setup.restart({ tasks: [task('5 12 * * *', { prompt: 'Later.' })] });
  assert.deepEqual(setup.begun(), []);
  setup.schedule.scheduler.stop();
  setup.clock.advance(DAY);
  setup.restart({ tasks: [task('5 12 * * *', { prompt: 'Anew.' })] });
  assert.deepEqual([setup.begun(), setup.turns.started[0]?.prompt], [['12:05'], 'Anew.']);
});

test('another zone moves a task', async (t) => {
  const setup = await startSchedule(t, START, { tasks: [task('0 12 * * *')] });
  setup.restart({ timezone: 'Asia/Tokyo' });
  assert.equal(named(setup, 'a').next_run_iso, '2026-05-02T03:00:00.000Z');
});

test('rows of the reference are taken over: its tasks of the file by name, the rest as they are', async (t) => {
  const db = await openDatabase(':memory:', systemClock);
  const insert = db.prepare('INSERT INTO scheduled_tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)');
  const at = Date.parse(START) / 1000;
  insert.run('r1', 'morning', '0 7 * * *', 'old', 1, at - 1e5, at - 1e4, at - 3, at - 3);
  insert.run('r2', 'by a tool', '0 8 * * *', 'p', 1, null, at - 1e4, at - 2, at - 2);
  insert.run('r3', 'due', `@once:${at - 500}`, 'p', 1, null, at - 500, at - 1, at - 1);
  insert.run('r4', 'over', `@once:${at - 500}`, 'p', 1, at - 400, null, at, at);
  insert.run('r5', 'dream-mode', '0 3 * * *', 'old', 1, null, at - 1e4, at, at);
  insert.run('r6', 'broken', 'whenever', 'p', 1, null, at - 1e4, at, at);
  const tasks = [task('0 6 * * *', { name: 'morning', prompt: 'new' })];
  const setup = await startSchedule(t, START, { tasks, missed: 'all' }, { db });
  assert.deepEqual(
    setup.schedule.desk
      .list(false)
      .map(({ id, source, enabled, next_run_iso: next }) => [id, source, enabled, next]),
    [
      ['r1', 'yaml', true, '2026-05-02T06:00:00.000Z'],
      ['r2', 'tool', true, '2026-05-02T08:00:00.000Z'],
      ['r3', 'tool', false, null],
      ['r4', 'tool', false, null],
      ['r6', 'tool', true, null],
    ],
  );
  assert.deepEqual(
    setup.turns.started.map(({ taskId }) => taskId),
    ['r3'],
  );
  assert.equal(setup.countOf('task.invalid'), 1);
  assert.deepEqual(db.prepare("SELECT enabled FROM scheduled_tasks WHERE id = 'r5'").get(), { enabled: 0 });
});

test('the nightly run is a task nobody sees, with a prompt of ours', async (t) => {
  assert.ok(DREAM_PROMPT.length > 100 && DREAM_PROMPT.includes('vault'));
  const setup = await startSchedule(t, START, { dream: { cron: '0 3 * * *' }, enabled: false });
  assert.deepEqual(setup.schedule.desk.list(false), []);
  setup.clock.advance(DAY);
  assert.deepEqual([setup.begun(), setup.turns.started[0]?.prompt], [['03:00'], DREAM_PROMPT]);
  setup.turns.end(setup.turns.running()[0]);
  assert.deepEqual([setup.countOf('dream.start'), setup.countOf('dream.done')], [1, 1]);
  assert.deepEqual(setup.changes, []);
  const { id } = setup.db.prepare('SELECT id FROM scheduled_tasks').get() as { id: string };
  for (const work of [() => setup.schedule.desk.get(id), () => setup.schedule.desk.remove(id)]) {
    refused(work, 'task.built_in', /dream_mode/);
  }
  setup.restart({ dream: undefined });
  setup.clock.advance(DAY);
  assert.deepEqual(setup.begun(), []);
  setup.restart({ dream: { cron: '0 4 * * *' } });
  setup.clock.advance(DAY);
  assert.deepEqual(setup.begun(), ['04:00']);
});

test('the look for updates asks no model: whoever updates is called', async (t) => {
  const setup = await startSchedule(t, START, { autoUpdate: { cron: '0 4 * * *', mode: 'notify' } });
  setup.clock.advance(2 * DAY);
  assert.deepEqual([setup.updates, setup.begun()], [['notify', 'notify'], []]);
});

test('tasks of the file are changed in the file, but may be run at any time', async (t) => {
  const setup = await startSchedule(t, START, { tasks: [task('0 7 * * *')] });
  const { id } = named(setup, 'a');
  refused(
    () => setup.schedule.desk.update(id, { enabled: false }),
    'task.from_config',
    /openagent\.yaml.*scheduler\.tasks/,
  );
  refused(() => setup.schedule.desk.remove(id), 'task.from_config', /openagent\.yaml/);
  const run = setup.schedule.desk.run(id);
  assert.deepEqual([run.cause, run.state], ['manual', 'running']);
  refused(() => setup.schedule.desk.run(id), 'task.running', new RegExp(run.id));
  setup.turns.end(setup.turns.running()[0]);
  assert.equal(named(setup, 'a').next_run_iso, '2026-05-02T07:00:00.000Z');
  assert.equal(setup.schedule.desk.runs(id, 5)[0]?.state, 'done');
});

test('a client makes, changes and deletes its tasks, and hears of it', async (t) => {
  const setup = await startSchedule(t, START);
  const { id } = create(setup, { cron_expression: '0 12 * * *', timezone: 'UTC', missed: 'once' });
  setup.clock.advance(MINUTE);
  assert.deepEqual(setup.begun(), ['12:00']);
  setup.turns.end(setup.turns.running()[0]);
  const change = (changes: TaskChange) => setup.schedule.desk.update(id, changes);
  assert.equal(change({ cron_expression: '30 12 * * *' }).next_run_iso, '2026-05-01T12:30:00.000Z');
  assert.equal(change({ name: 'other' }).next_run_iso, '2026-05-01T12:30:00.000Z');
  assert.deepEqual([change({ enabled: false }).next_run, change({ missed: null }).missed], [null, null]);
  setup.clock.advance(HOUR);
  assert.equal(change({ enabled: true }).next_run_iso, '2026-05-02T12:30:00.000Z');
  setup.schedule.desk.remove(id);
  setup.clock.advance(2 * DAY);
  assert.deepEqual(setup.begun(), []);
  assert.deepEqual(setup.changes, [
    ...[`created ${id}`, `updated ${id}`, `updated ${id}`],
    ...Array<string>(5).fill(`updated ${id}`),
    `deleted ${id}`,
  ]);
});

test('a task that is deleted or changed while it runs', async (t) => {
  const setup = await startSchedule(t, START, { missed: 'once' });
  const a = create(setup, { cron_expression: '* * * * *' });
  const b = create(setup, { cron_expression: '* * * * *' });
  setup.clock.advance(MINUTE);
  setup.schedule.desk.remove(a.id);
  assert.equal(setup.schedule.desk.update(b.id, { prompt: 'Anew.' }).running, setup.turns.running()[1]?.id);
  setup.clock.advance(2 * MINUTE);
  assert.equal(setup.turns.running().length, 2);
  for (const run of setup.turns.running()) setup.turns.end(run);
  assert.deepEqual(
    setup.turns.running().map(({ taskId, prompt }) => [taskId, prompt]),
    [[b.id, 'Anew.']],
  );
});

test('a one-shot of a client: at once when its time is over, once more only with another time', async (t) => {
  const setup = await startSchedule(t, START);
  const at = Date.parse(START) / 1000;
  const { id, enabled } = create(setup, { cron_expression: `@once:${at - 3600}` });
  assert.deepEqual([enabled, setup.begun()], [false, ['10:59']]);
  setup.turns.end(setup.turns.running()[0]);
  refused(() => setup.schedule.desk.update(id, { enabled: true }), 'task.invalid', /another time/);
  const again = setup.schedule.desk.update(id, { enabled: true, cron_expression: `@once:${at + 90}` });
  assert.equal(again.run_at_iso, '2026-05-01T12:01:00.000Z');
  setup.restart();
  setup.clock.advance(2 * MINUTE);
  assert.deepEqual(setup.begun(), ['12:01']);
});

test('what cannot be is refused', async (t) => {
  const setup = await startSchedule(t, START);
  refused(
    () => create(setup, { cron_expression: '99 * * * *' }),
    'task.invalid',
    /"99 \* \* \* \*".*minute: 99/,
  );
  refused(() => create(setup, { timezone: 'Mars/Olympus' }), 'task.invalid', /Mars\/Olympus/);
  for (let count = 0; count < 10; count += 1) create(setup);
  refused(() => create(setup), 'task.limit', /10 tasks.*scheduled_tasks/);
  const ids = setup.schedule.desk.list(false).map(({ id }) => id);
  assert.equal(setup.schedule.desk.get('0003').id, '0003-id');
  for (const id of ['', '000', 'nobody'])
    refused(() => setup.schedule.desk.get(id), 'task.not_found', /task/);
  assert.equal(new Set(ids).size, 10);
});

test('with the scheduler off nothing runs, nothing is made, and all can be seen and changed', async (t) => {
  const setup = await startSchedule(t, START);
  const { id } = create(setup, { cron_expression: '0 * * * *' });
  setup.restart({ enabled: false });
  setup.clock.advance(HOUR);
  assert.deepEqual(setup.begun(), []);
  refused(() => create(setup), 'scheduler.disabled', /scheduler\.enabled/);
  refused(() => setup.schedule.desk.run(id), 'scheduler.disabled', /scheduler\.enabled/);
  assert.equal(setup.schedule.desk.update(id, { name: 'x' }).name, 'x');
  setup.restart({ enabled: true });
  setup.clock.advance(MINUTE);
  assert.deepEqual(setup.begun(), ['13:00']);
});

test('what an expression means is said without making a task', async (t: TestContext) => {
  const { schedule } = await startSchedule(t, START);
  assert.deepEqual(schedule.desk.describe('0 7 * * *', 2, 'Europe/Berlin'), {
    ...{ expression: '0 7 * * *', valid: true, one_shot: false, timezone: 'Europe/Berlin' },
    upcoming: [
      { epoch: 1_777_698_000, iso: '2026-05-02T05:00:00.000Z' },
      { epoch: 1_777_784_400, iso: '2026-05-03T05:00:00.000Z' },
    ],
  });
  const bad = schedule.desk.describe('never', 2, undefined);
  assert.ok(!bad.valid && 'error' in bad && bad.code === 'task.invalid');
  assert.deepEqual(schedule.desk.describe('@once:1', 2, undefined).upcoming, []);
});
