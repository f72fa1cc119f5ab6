/** Scheduled tasks for clients and tools: what they may see of them, and what they may change. */
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { MissedPolicy, ScheduleSettings } from '../contract/schedule-settings.ts';
import type { CronAnswer, NewTask, TaskChange, TaskInfo, TaskRun } from '../contract/schemas/tasks.ts';
import { type Expression, isTimeZone, readExpression } from './cron-expression.ts';
import type { Entry, Scheduler } from './scheduler.ts';
import { firstTime, hasRun } from './sync-tasks.ts';
import { isBuiltIn, type NewRun, type RunRecord, sessionOfRun, type TaskRecord } from './task-record.ts';
import type { TaskStore } from './task-store.ts';

export interface TaskDeskOptions {
  readonly store: TaskStore;
  readonly scheduler: Scheduler;
  readonly settings: ScheduleSettings;
  readonly zone: string;
  readonly tasksMax: number;
  readonly clock: Clock;
  newId(): string;
  onChange(action: 'created' | 'updated' | 'deleted', task: TaskRecord): void;
}

export type TaskMaker = 'rest' | 'tool';

export interface TaskDesk {
  list(enabledOnly: boolean): TaskInfo[];
  get(id: string): TaskInfo;
  create(task: NewTask, source: TaskMaker): TaskInfo;
  update(id: string, change: TaskChange): TaskInfo;
  remove(id: string): TaskInfo;
  runs(id: string, limit: number): TaskRun[];
  run(id: string): TaskRun;
  describe(expression: string, count: number, timezone: string | undefined): CronAnswer;
}

export function createTaskDesk(options: TaskDeskOptions): TaskDesk {
  const { store, scheduler, settings, clock, onChange } = options;
  const find = (id: string): Entry => findEntry(scheduler.entries(), id);
  const shown = (): readonly Entry[] => scheduler.entries().filter(({ record }) => !isBuiltIn(record));
  const requireEnabled = () => {
    if (settings.enabled) return;
    throw new AppError(
      'scheduler.disabled',
      'The scheduler is off: set scheduler.enabled, restart the agent',
    );
  };
  return {
    list: (enabledOnly) =>
      shown()
        .filter(({ record }) => record.enabled || !enabledOnly)
        .map(toInfo),
    get: (id) => toInfo(find(id)),
    create: (task, source) => {
      requireEnabled();
      if (scheduler.entries().length >= options.tasksMax) throw full(options.tasksMax);
      const record = newRecord(options, task, source);
      store.put(record);
      const entry = scheduler.put(record);
      onChange('created', record);
      scheduler.look();
      return toInfo(entry);
    },
    update: (id, change) => {
      const record = changedRecord(options, refuseForeign(find(id)).record, change);
      store.put(record);
      const entry = scheduler.put(record);
      onChange('updated', record);
      scheduler.look();
      return toInfo(entry);
    },
    remove: (id) => {
      const entry = refuseForeign(find(id));
      store.remove(entry.record.id);
      scheduler.remove(entry.record.id);
      onChange('deleted', entry.record);
      return toInfo(entry);
    },
    runs: (id, limit) => store.runs(find(id).record.id, limit).map(toRun),
    run: (id) => {
      const entry = find(id);
      requireEnabled();
      if (entry.run) throw new AppError('task.running', `Run ${entry.run.id} of this task is still going`);
      return toRun(going(scheduler.runNow(entry)));
    },
    describe: (text, count, timezone) => describe(text, count, timezone ?? options.zone, clock.wallMs()),
  };
}

function findEntry(entries: readonly Entry[], id: string): Entry {
  const exact = entries.find(({ record }) => record.id === id);
  const similar = exact || id === '' ? [] : entries.filter(({ record }) => record.id.startsWith(id));
  const entry = exact ?? (similar.length === 1 ? similar[0] : undefined);
  if (entry === undefined) {
    const found =
      similar.length > 1 ? `${similar.length} tasks have an id that begins with` : 'No task has the id';
    throw new AppError('task.not_found', `${found} ${id.slice(0, 100)}`);
  }
  if (isBuiltIn(entry.record)) {
    const section = entry.record.name.replace('-', '_');
    throw new AppError(
      'task.built_in',
      `This task belongs to the agent: change ${section} in its configuration`,
    );
  }
  return entry;
}

function refuseForeign(entry: Entry): Entry {
  if (entry.record.source !== 'yaml') return entry;
  throw new AppError(
    'task.from_config',
    `"${entry.record.name}" stands in openagent.yaml: change or remove it there, under scheduler.tasks, and restart the agent`,
  );
}

function full(tasksMax: number): AppError {
  return new AppError(
    'task.limit',
    `There are ${tasksMax} tasks already: delete some, or raise limits.scheduled_tasks`,
  );
}

function newRecord(options: TaskDeskOptions, task: NewTask, source: TaskMaker): TaskRecord {
  const nowMs = options.clock.wallMs();
  const { name, prompt, enabled } = task;
  const cron = task.cron_expression;
  const timezone = task.timezone ?? undefined;
  const { zone, expression } = read(options, cron, timezone);
  return {
    ...{ id: options.newId(), name, cron, prompt, enabled, source, timezone, zone },
    ...{ missed: task.missed ?? undefined, createdAtMs: nowMs, updatedAtMs: nowMs },
    ...{ lastRunMs: undefined, lastState: undefined, lastCode: undefined },
    nextRunMs: enabled ? firstTime(expression, nowMs) : undefined,
  };
}

function changedRecord(options: TaskDeskOptions, record: TaskRecord, change: TaskChange): TaskRecord {
  const nowMs = options.clock.wallMs();
  const cron = change.cron_expression ?? record.cron;
  const timezone = orBefore(change.timezone, record.timezone);
  const missed: MissedPolicy | undefined = orBefore(change.missed, record.missed);
  const enabled = change.enabled ?? record.enabled;
  const { zone, expression } = read(options, cron, timezone);
  if (enabled && hasRun(record, expression)) {
    const message = 'This task has run at its time, or later: give it another time to let it run again';
    throw new AppError('task.invalid', message);
  }
  const isRescheduled = cron !== record.cron || zone !== record.zone || !record.enabled;
  const nextRunMs = isRescheduled ? firstTime(expression, nowMs) : record.nextRunMs;
  return {
    ...record,
    ...{ cron, timezone, missed, enabled, zone, updatedAtMs: nowMs },
    ...{ name: change.name ?? record.name, prompt: change.prompt ?? record.prompt },
    nextRunMs: enabled ? nextRunMs : undefined,
  };
}

/** Null takes it back, nothing leaves it as it was. */
function orBefore<T>(given: T | null | undefined, before: T | undefined): T | undefined {
  return given === undefined ? before : (given ?? undefined);
}

function read(
  options: Pick<TaskDeskOptions, 'zone'>,
  cron: string,
  timezone: string | undefined,
): { zone: string; expression: Expression } {
  const zone = timezone ?? options.zone;
  if (!isTimeZone(zone)) throw new AppError('task.invalid', `${zone} is no time zone, such as Europe/Berlin`);
  const found = readExpression(cron, zone);
  if ('expression' in found) return { zone, expression: found.expression };
  throw new AppError('task.invalid', `"${cron}" is no cron expression: ${found.problem}`);
}

function describe(text: string, count: number, zone: string, nowMs: number): CronAnswer {
  const expression = text.trim();
  const answer = { expression, one_shot: expression.startsWith('@once:'), timezone: zone };
  try {
    const found = read({ zone }, expression, undefined);
    const upcoming: { epoch: number; iso: string }[] = [];
    let atMs = found.expression.next(nowMs);
    while (atMs !== undefined && upcoming.length < count) {
      upcoming.push({ epoch: atMs / 1000, iso: iso(atMs) });
      atMs = found.expression.next(atMs);
    }
    return { ...answer, valid: true, upcoming };
  } catch (error) {
    if (!AppError.is(error)) throw error;
    return { ...answer, valid: false, upcoming: [], error: error.message, code: error.code };
  }
}

function going(run: NewRun): RunRecord {
  const { id, taskId, cause, dueAtMs, startedAtMs } = run;
  return {
    ...{ id, taskId, cause, dueAtMs, startedAtMs, state: 'running' },
    ...{ endedAtMs: undefined, code: undefined, turnId: undefined, text: undefined },
  };
}

function toInfo({ record, expression, run }: Entry): TaskInfo {
  const { id, name, cron, prompt, enabled, lastRunMs, nextRunMs, createdAtMs, updatedAtMs } = record;
  const onceMs = expression?.onceMs;
  return {
    ...{ id, name, cron_expression: cron, prompt, enabled, run_once: cron.startsWith('@once:') },
    ...{ last_run: secondsOf(lastRunMs), last_run_iso: isoOf(lastRunMs) },
    ...{ next_run: secondsOf(nextRunMs), next_run_iso: isoOf(nextRunMs) },
    ...{ created_at: createdAtMs / 1000, created_at_iso: iso(createdAtMs) },
    ...{ updated_at: updatedAtMs / 1000, updated_at_iso: iso(updatedAtMs) },
    ...(onceMs === undefined ? {} : { run_at: onceMs / 1000, run_at_iso: iso(onceMs) }),
    ...{ timezone: record.timezone ?? null, missed: record.missed ?? null },
    source: record.source === undefined || record.source === 'built_in' ? 'tool' : record.source,
    ...{ running: run?.id ?? null, last_state: record.lastState ?? null, last_code: record.lastCode ?? null },
  };
}

function toRun(run: RunRecord): TaskRun {
  const { id, taskId, cause, state, dueAtMs, startedAtMs, endedAtMs } = run;
  return {
    ...{ id, task_id: taskId, session_id: sessionOfRun(taskId, id), turn_id: run.turnId ?? null },
    ...{ cause, state, code: run.code ?? null, text: run.text ?? null },
    ...{ due_at: dueAtMs / 1000, due_at_iso: iso(dueAtMs) },
    ...{ started_at: startedAtMs / 1000, started_at_iso: iso(startedAtMs) },
    ...{ ended_at: secondsOf(endedAtMs), ended_at_iso: isoOf(endedAtMs) },
  };
}

function secondsOf(ms: number | undefined): number | null {
  return ms === undefined ? null : ms / 1000;
}

function isoOf(ms: number | undefined): string | null {
  return ms === undefined ? null : iso(ms);
}

/** Years beyond what a Date holds may stand in a database. */
function iso(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
