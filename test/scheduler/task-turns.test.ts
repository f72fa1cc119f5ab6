/** Runs as turns of the real journal, and what a crash at each step between them leaves. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createTaskTurns } from '../../src/actors/task-turns.ts';
import { namedClient } from '../../src/contract/client-key.ts';
import { DEFAULT_LIMITS } from '../../src/contract/limits.ts';
import { NO_SCHEDULE } from '../../src/contract/schedule-settings.ts';
import { openSchedule, type Schedule } from '../../src/scheduler/open-schedule.ts';
import type { RunTurns } from '../../src/scheduler/run-turns.ts';
import { callOf, openTurns, type Setup, silentLog, tempDir, until } from '../fixtures/turns.ts';
import { createWallClock, task } from './scheduler-fixture.ts';

const AT = Date.parse('2026-05-01T12:00:00Z');

interface Life extends Setup {
  readonly schedule: Schedule;
  readonly submitted: string[];
  /** As a crash does: nothing more is written. */
  die(): void;
}

async function live(path: string, isTurnMade = true): Promise<Life> {
  const setup = await openTurns(path);
  const submitted: string[] = [];
  const turns = createTaskTurns(setup.engine);
  const counted: RunTurns = {
    submit: (run, listener) => {
      submitted.push(run.id);
      if (isTurnMade) turns.submit(run, listener);
    },
  };
  const schedule = openSchedule({
    ...{ db: setup.db, dbPath: path, turns: counted, clock: createWallClock(AT), log: silentLog },
    settings: { ...NO_SCHEDULE, timezone: 'UTC', tasks: [task(`@once:${AT / 1000}`)] },
    limits: DEFAULT_LIMITS,
    onChange: () => {},
    onUpdateDue: () => {},
  });
  const die = () => {
    schedule.scheduler.stop();
    setup.db.close();
  };
  return { ...setup, schedule, submitted, die };
}

async function place(t: TestContext): Promise<string> {
  return join(await tempDir(t), 'openagent.db');
}

const stateOf = ({ schedule }: Life) => {
  const [found] = schedule.desk.list(false);
  const [run] = schedule.desk.runs(found?.id ?? '', 5);
  return [found?.running === null ? 'over' : 'running', run?.state, run?.code, run?.text];
};

test('a run is a turn of the journal, and its outcome is the answer', async (t) => {
  const life = await live(await place(t));
  (await callOf(life, 0)).answer('Done that.');
  await until(() => stateOf(life)[0] === 'over', 'the end of the run');
  assert.deepEqual(stateOf(life), ['over', 'done', null, 'Done that.']);
  life.journal.flush();
  const [row] = life.rows();
  assert.deepEqual([row?.message_id, row?.state, row?.open], [life.submitted[0], 'done', 0]);
  assert.match(String(row?.session_id), new RegExp(`^task:.+:${life.submitted[0]}$`));
  life.die();
});

test('one that was stopped is cancelled, one that failed says with what', async (t) => {
  const life = await live(await place(t));
  await callOf(life, 0);
  const session = String(life.rows()[0]?.session_id);
  life.engine.stop(life.outlet.client, session);
  await until(() => stateOf(life)[0] === 'over', 'the end of the run');
  assert.deepEqual(stateOf(life).slice(1, 3), ['cancelled', 'turn.cancelled']);
  const [found] = life.schedule.desk.list(false);
  life.schedule.desk.run(found?.id ?? '');
  (await callOf(life, 1)).fail(new Error('no'));
  await until(() => stateOf(life)[0] === 'over', 'the end of the second run');
  assert.deepEqual(stateOf(life).slice(1, 3), ['failed', 'model.failed']);
  assert.equal(life.defects.length, 1);
  life.die();
});

test('a run goes on without its task, which says so, until any client stops its session', async (t) => {
  const life = await live(await place(t));
  (await callOf(life, 0)).answer('Done that.');
  const { desk } = life.schedule;
  const wish = { name: 'mine', cron_expression: '0 0 1 1 *', prompt: 'Do it.', enabled: true };
  const { id } = desk.create(wish, 'rest');
  const run = desk.run(id);
  const call = await callOf(life, 1);
  const changed = desk.remove(id);
  assert.equal(changed.running, run.id);
  assert.equal(call.signal.aborted, false);
  const stranger = namedClient('somebody', 'else');
  const all = life.engine.stop(stranger, undefined);
  assert.deepEqual(all, { running: 0, waiting: 0 });
  const stopped = life.engine.stop(stranger, `task:${changed.id}:${changed.running}`);
  assert.deepEqual(stopped, { running: 1, waiting: 0 });
  await until(() => life.rows()[1]?.state === 'cancelled', 'the end of the turn');
  life.die();
});

test('killed before the turn was accepted: it is made at the next start, once', async (t) => {
  const path = await place(t);
  const first = await live(path, false);
  assert.equal(first.submitted.length, 1);
  first.die();
  const second = await live(path);
  assert.deepEqual(second.submitted, first.submitted);
  (await callOf(second, 0)).answer('ok');
  await until(() => stateOf(second)[0] === 'over', 'the end of the run');
  second.die();
  const third = await live(path);
  assert.deepEqual([third.submitted, third.rows().length, stateOf(third)[1]], [[], 1, 'done']);
  third.die();
});

test('killed while it ran: the journal runs the same turn again, and the run hears its end', async (t) => {
  const path = await place(t);
  const first = await live(path);
  await callOf(first, 0);
  first.die();
  const second = await live(path);
  (await callOf(second, 0)).answer('second time');
  await until(() => stateOf(second)[0] === 'over', 'the end of the run');
  assert.deepEqual(stateOf(second), ['over', 'done', null, 'second time']);
  assert.equal(second.rows().length, 1);
  assert.equal(second.model.calls.length, 1);
  second.die();
});

test('killed when the turn had ended and the run did not know: it learns, and nothing runs', async (t) => {
  const path = await place(t);
  const first = await live(path);
  // From here on nothing reaches the run.
  first.schedule.scheduler.stop();
  (await callOf(first, 0)).answer('The answer.');
  await until(() => first.rows()[0]?.ended_at !== null, 'the end of the turn');
  first.die();
  const second = await live(path);
  assert.deepEqual(stateOf(second), ['over', 'done', null, 'The answer.']);
  assert.equal(second.model.calls.length, 0);
  second.die();
});
