import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createScheduleTools,
  type ScheduledTask,
  type ScheduleService,
} from '../../src/tools/schedule-tools.ts';

const NOW_MS = Date.UTC(2030, 0, 1);
const TASK: ScheduledTask = {
  ...{ id: 'abc', name: 'Water', prompt: 'Water the plants', cron: '0 9 * * *', enabled: true },
  ...{ nextRunMs: NOW_MS, lastRunMs: undefined },
};

function setUp() {
  const calls: unknown[][] = [];
  const schedule: ScheduleService = {
    list: async (options) => {
      calls.push(['list', options]);
      return [TASK];
    },
    createCron: async (task) => {
      calls.push(['createCron', task]);
      return { ...TASK, ...task };
    },
    createOnce: async (task) => {
      calls.push(['createOnce', task]);
      return { ...TASK, cron: undefined, nextRunMs: task.atMs };
    },
    update: async (id, changes) => {
      calls.push(['update', id, changes]);
      return id === 'abc' ? { ...TASK, ...changes } : undefined;
    },
    remove: async (id) => (id === 'abc' ? TASK : undefined),
  };
  const tools = createScheduleTools(schedule, () => NOW_MS).tools();
  const tool = (name: string) => tools.find((each) => each.name === name) ?? assert.fail(name);
  const call = (name: string, input: Record<string, unknown>) =>
    tool(name).run(input, {
      signal: new AbortController().signal,
      turnId: '1',
      sessionId: 'S',
      report: () => {},
    });
  return { calls, call, tool };
}

test('tasks are listed with times that can be read', async () => {
  const { call } = setUp();
  assert.deepEqual(JSON.parse((await call('scheduler_list', {})).text), [
    {
      ...{
        id: 'abc',
        name: 'Water',
        prompt: 'Water the plants',
        cron_expression: '0 9 * * *',
        enabled: true,
      },
      ...{ next_run_iso: '2030-01-01T00:00:00.000Z', last_run_iso: null },
    },
  ]);
});

test('a task is created by a cron expression, or once after a delay or at a time', async () => {
  const { calls, call } = setUp();
  const task = { name: 'N', prompt: 'P' };
  await call('scheduler_create', { ...task, cron_expression: '*/5 * * * *' });
  await call('scheduler_create_once', { ...task, delay_seconds: 60 });
  await call('scheduler_create_once', { ...task, run_at_iso: '2030-01-01T02:00:00+02:00' });
  assert.deepEqual(calls, [
    ['createCron', { ...task, cron: '*/5 * * * *' }],
    ['createOnce', { ...task, atMs: NOW_MS + 60_000 }],
    ['createOnce', { ...task, atMs: NOW_MS }],
  ]);
});

test('a task that runs once wants exactly one time, with its offset', async () => {
  const { call, tool, calls } = setUp();
  const task = { name: 'N', prompt: 'P' };
  const both = { ...task, delay_seconds: 1, run_at_iso: '2030-01-01T00:00:00Z' };
  assert.equal((await call('scheduler_create_once', both)).isError, true);
  assert.equal((await call('scheduler_create_once', task)).isError, true);
  const problem = tool('scheduler_create_once').check?.({ ...task, run_at_iso: '2030-01-01T00:00:00' });
  assert.match(problem ?? '', /offset/);
  assert.deepEqual(calls, []);
});

test('what is not given of a task stays, and one that is not there is told', async () => {
  const { calls, call } = setUp();
  await call('scheduler_update', { task_id: 'abc', enabled: false });
  assert.deepEqual(calls, [['update', 'abc', { enabled: false }]]);
  assert.equal((await call('scheduler_update', { task_id: 'x' })).isError, true);
  assert.deepEqual(JSON.parse((await call('scheduler_delete', { task_id: 'abc' })).text), {
    ...{ deleted: true, id: 'abc', name: 'Water' },
  });
  assert.equal((await call('scheduler_delete', { task_id: 'x' })).isError, true);
});
