/** Scheduled tasks of a real agent: over REST, and through the death of everything. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import type { CronAnswer, TaskInfo, TaskRun } from '../../src/contract/schemas/tasks.ts';
import { startFleet } from '../fixtures/fleet-process.ts';

const DEADLINE_MS = 20_000;
const POLL_MS = 10;

/** Fields of any answer. */
type Answer = { tasks: TaskInfo[]; runs: TaskRun[]; code?: string } & TaskInfo & TaskRun & CronAnswer;

async function ask(url: string, method = 'GET', body?: unknown): Promise<{ status: number; json: Answer }> {
  const init =
    body === undefined
      ? { method }
      : { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } };
  const response = await fetch(url, init);
  return { status: response.status, json: (await response.json()) as Answer };
}

/** Asks until there is an answer that will do. */
async function until<T>(look: () => Promise<T | undefined>, what: string): Promise<T> {
  const endMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > endMs) throw new Error(`Not in time: ${what}`);
    await delay(POLL_MS);
  }
}

const runsOf = async (url: string, id: string): Promise<TaskRun[]> =>
  (await ask(`${url}/api/scheduled-tasks/${id}/runs`)).json.runs;

function inState(url: string, id: string, state: TaskRun['state']): Promise<TaskRun> {
  return until(
    async () => (await runsOf(url, id)).find((run) => run.state === state),
    `a run that is ${state}`,
  );
}

test('a one-shot that is due runs once, though everything is killed while it runs', async (t) => {
  const words = 'word '.repeat(30).trim();
  const fleet = await startFleet(t, {
    yaml: () => `model: { provider: echo, delay_ms: 20 }
scheduler:
  tasks:
    - { name: now, cron: "@once:${Math.floor(Date.now() / 1000) - 1}", prompt: "${words}" }
`,
  });
  const url = () => fleet.agent('a1').url;
  const [task] = (await ask(`${url()}/api/scheduled-tasks`)).json.tasks;
  assert.ok(task);
  assert.deepEqual([task.source, task.enabled, task.next_run], ['yaml', false, null]);
  const running = await inState(url(), task.id, 'running');
  await fleet.killGroup();
  await fleet.start();
  const done = await inState(url(), task.id, 'done');
  assert.equal(done.id, running.id);
  assert.equal(done.text, `echo: ${words}`);
  await fleet.killGroup();
  await fleet.start();
  assert.deepEqual(await runsOf(url(), task.id), [done]);
  await fleet.stop();
  const db = new Database(join(fleet.agent('a1').dir, 'openagent.db'), { readonly: true });
  t.after(() => db.close());
  const turns = db
    .prepare('SELECT session_id, message_id, state FROM turns JOIN turn_outcomes USING (id)')
    .all();
  assert.deepEqual(turns, [{ session_id: done.session_id, message_id: done.id, state: 'done' }]);
});

test('tasks over REST', async (t) => {
  const fleet = await startFleet(t, {
    yaml: () => `model: { provider: echo, delay_ms: 5 }
scheduler:
  timezone: Europe/Berlin
  tasks: [{ name: morning, cron: 0 7 * * *, prompt: Say good morning. }]
dream_mode: { enabled: true }
`,
  });
  const { url } = fleet.agent('a1');
  const tasks = `${url}/api/scheduled-tasks`;
  const [morning] = (await ask(tasks)).json.tasks;
  assert.ok(morning?.next_run);
  assert.equal((await ask(`${tasks}/${morning.id}`, 'PATCH', { enabled: false })).status, 409);
  assert.equal((await ask(`${tasks}/${morning.id}`, 'DELETE')).status, 409);

  const created = await ask(tasks, 'POST', {
    name: 'late',
    cron_expression: '0 23 * * *',
    prompt: 'Say good night.',
  });
  assert.equal(created.status, 201);
  const late = created.json;
  assert.deepEqual([late.source, late.enabled, late.run_once, late.timezone], ['rest', true, false, null]);
  assert.deepEqual((await ask(`${tasks}/${late.id.slice(0, 8)}`)).json, late);
  const patch = { enabled: false, prompt: 'Say it twice.' };
  const patched = (await ask(`${tasks}/${late.id}`, 'PATCH', patch)).json;
  assert.deepEqual([patched.enabled, patched.prompt, patched.next_run], [false, 'Say it twice.', null]);
  const enabled = (await ask(`${tasks}?enabled_only=true`)).json.tasks;
  assert.deepEqual(
    enabled.map(({ name }) => name),
    ['morning'],
  );

  const run = await ask(`${tasks}/${late.id}/run`, 'POST');
  assert.equal(run.status, 202);
  const done = await inState(url, late.id, 'done');
  assert.deepEqual([done.id, done.cause, done.text], [run.json.id, 'manual', 'echo: Say it twice.']);
  assert.deepEqual((await ask(`${tasks}/${late.id}`, 'DELETE')).json, {
    ...{ ok: true, id: late.id, running: null },
  });
  assert.equal((await ask(`${tasks}/${late.id}/runs`)).status, 404);

  await refusals(url);
  await fleet.stop();
});

async function refusals(url: string): Promise<void> {
  const tasks = `${url}/api/scheduled-tasks`;
  const task = { name: 'x', cron_expression: '0 7 * * *', prompt: 'y' };
  for (const [change, code] of [
    [{ cron_expression: 'soon' }, 'task.invalid'],
    [{ timezone: 'Mars/Olympus' }, 'task.invalid'],
    [{ prompt: ' ' }, 'request.invalid'],
    [{ missed: 'some' }, 'request.invalid'],
  ] as const) {
    const { status, json } = await ask(tasks, 'POST', { ...task, ...change });
    assert.deepEqual([status, json.code], [400, code]);
  }
  const describe = async (query: string) => {
    const { status, json } = await ask(`${url}/api/cron/describe?${query}`);
    return { status, answer: json };
  };
  const { status, answer } = await describe(
    `count=2&timezone=UTC&expression=${encodeURIComponent('0 7 1 1 *')}`,
  );
  assert.equal(status, 200);
  assert.deepEqual([answer.valid, answer.one_shot, answer.upcoming.length], [true, false, 2]);
  for (const { epoch, iso } of answer.upcoming) assert.equal(new Date(epoch * 1000).toISOString(), iso);
  const bad = await describe('expression=60+7+*+*+*');
  assert.deepEqual([bad.status, bad.answer.valid, bad.answer.upcoming], [400, false, []]);
  const once = await describe('expression=@once:1');
  assert.deepEqual([once.status, once.answer.one_shot, once.answer.upcoming], [200, true, []]);
}
