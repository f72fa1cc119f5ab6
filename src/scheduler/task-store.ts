/**
 * Scheduled tasks in `openagent.db`: the reference's table with its columns as they were, and two of ours beside it. A
 * run and the time of the next one are written in one transaction, so no crash can repeat a run or lose one.
 */
import type { MissedPolicy } from '../contract/schedule-settings.ts';
import { type Database, withStorageErrors } from '../storage/database.ts';
import type { NewRun, RunEndState, RunOutcome, RunRecord, TaskRecord, TaskSource } from './task-record.ts';

/** What becomes of a task when its time has come. */
export interface Step {
  readonly taskId: string;
  /** Undefined: the time went by. */
  readonly run: NewRun | undefined;
  /** Undefined: as it was. */
  readonly lastRunMs: number | undefined;
  /** Undefined: never again, which also switches the task off. */
  readonly nextRunMs: number | undefined;
}

export interface TaskStore {
  all(): readonly TaskRecord[];
  /** All of these writes or none; throws as `toStorageError` says, like everything here. */
  transaction<T>(work: () => T): T;
  /** New or changed. */
  put(task: TaskRecord): void;
  /** With its runs. */
  remove(id: string): void;
  take(steps: readonly Step[]): void;
  /** Outside of its times. */
  addRun(run: NewRun): void;
  openRuns(): readonly NewRun[];
  endRun(run: Pick<NewRun, 'id' | 'taskId'>, outcome: RunOutcome, endedAtMs: number): void;
  /** Newest first. */
  runs(taskId: string, limit: number): readonly RunRecord[];
}

interface TaskRow {
  readonly id: string;
  readonly name: string;
  readonly cron_expression: string;
  readonly prompt: string;
  readonly enabled: number;
  readonly last_run: number | null;
  readonly next_run: number | null;
  readonly created_at: number;
  readonly updated_at: number;
  readonly source: TaskSource | null;
  readonly timezone: string | null;
  readonly missed: MissedPolicy | null;
  readonly zone: string | null;
  readonly last_state: RunEndState | null;
  readonly last_code: string | null;
}

interface RunRow {
  readonly id: string;
  readonly task_id: string;
  readonly cause: RunRecord['cause'];
  readonly prompt: string | null;
  readonly due_at: number;
  readonly started_at: number;
  readonly ended_at: number | null;
  readonly state: RunRecord['state'];
  readonly code: string | null;
  readonly turn_id: string | null;
  readonly text: string | null;
}

const TASKS = `SELECT t.*, s.source, s.timezone, s.missed, s.zone, s.last_state, s.last_code
  FROM scheduled_tasks t
  LEFT JOIN task_settings s ON s.task_id = t.id ORDER BY t.created_at, t.rowid`;
const PUT_TASK = `INSERT INTO scheduled_tasks
    (id, name, cron_expression, prompt, enabled, last_run, next_run, created_at, updated_at)
  VALUES (@id, @name, @cron, @prompt, @enabled, @last, @next, @created, @updated)
  ON CONFLICT(id) DO UPDATE SET name = @name, cron_expression = @cron, prompt = @prompt, enabled = @enabled,
    last_run = @last, next_run = @next, updated_at = @updated`;
const PUT_SETTINGS = `INSERT INTO task_settings (task_id, source, timezone, missed, zone)
  VALUES (@id, @source, @timezone, @missed, @zone)
  ON CONFLICT(task_id) DO UPDATE SET source = @source, timezone = @timezone, missed = @missed, zone = @zone`;
const TAKE = `UPDATE scheduled_tasks SET enabled = CASE WHEN @next IS NULL THEN 0 ELSE enabled END,
  last_run = coalesce(@last, last_run), next_run = @next WHERE id = @id`;
const ADD_RUN = `INSERT INTO task_runs (id, task_id, cause, prompt, due_at, started_at, state)
  VALUES (?, ?, ?, ?, ?, ?, 'running')`;
const TRIM_RUNS = `DELETE FROM task_runs WHERE task_id = @id AND ended_at IS NOT NULL AND seq <= (
  SELECT seq FROM task_runs WHERE task_id = @id ORDER BY seq DESC LIMIT 1 OFFSET @kept)`;
const END_RUN = `UPDATE task_runs SET state = ?, code = ?, text = ?, turn_id = ?, ended_at = ?, prompt = NULL
  WHERE id = ? AND ended_at IS NULL`;

export function createTaskStore(db: Database, path: string, runsKept: number): TaskStore {
  const guard = <T>(work: () => T): T => withStorageErrors(path, work);
  const transaction = <T>(work: () => T): T =>
    guard(() => (db.inTransaction ? work() : db.transaction(work).immediate()));
  const putTask = db.prepare(PUT_TASK);
  const putSettings = db.prepare(PUT_SETTINGS);
  const take = db.prepare(TAKE);
  const insertRun = db.prepare(ADD_RUN);
  const trimRuns = db.prepare(TRIM_RUNS);
  const endRun = db.prepare(END_RUN);
  const setLast = db.prepare('UPDATE task_settings SET last_state = ?, last_code = ? WHERE task_id = ?');

  const addRun = (run: NewRun): void => {
    const { id, taskId, cause, prompt, dueAtMs, startedAtMs } = run;
    insertRun.run(id, taskId, cause, prompt, dueAtMs / 1000, startedAtMs / 1000);
    trimRuns.run({ id: taskId, kept: runsKept });
  };

  return {
    all: () => guard(() => (db.prepare(TASKS).all() as TaskRow[]).map(toTask)),
    transaction,
    put: (task) =>
      transaction(() => {
        putTask.run(toParameters(task));
        putSettings.run(toParameters(task));
      }),
    remove: (id) =>
      transaction(() => {
        for (const table of ['task_runs', 'task_settings']) {
          db.prepare(`DELETE FROM ${table} WHERE task_id = ?`).run(id);
        }
        db.prepare('DELETE FROM scheduled_tasks WHERE id = ?').run(id);
      }),
    take: (steps) =>
      transaction(() => {
        for (const { taskId: id, run, lastRunMs, nextRunMs } of steps) {
          take.run({ id, last: seconds(lastRunMs), next: seconds(nextRunMs) });
          if (run) addRun(run);
        }
      }),
    addRun: (run) => transaction(() => addRun(run)),
    openRuns: () =>
      guard(() => {
        const rows = db.prepare('SELECT * FROM task_runs WHERE ended_at IS NULL ORDER BY seq').all();
        return (rows as RunRow[]).map((row) => ({ ...toRun(row), prompt: row.prompt ?? '' }));
      }),
    endRun: ({ id, taskId }, { state, code, text, turnId }, endedAtMs) =>
      transaction(() => {
        endRun.run(state, code ?? null, text, turnId ?? null, endedAtMs / 1000, id);
        setLast.run(state, code ?? null, taskId);
      }),
    runs: (taskId, limit) =>
      guard(() => {
        const select = db.prepare('SELECT * FROM task_runs WHERE task_id = ? ORDER BY seq DESC LIMIT ?');
        return (select.all(taskId, limit) as RunRow[]).map(toRun);
      }),
  };
}

function seconds(ms: number | undefined): number | null {
  return ms === undefined ? null : ms / 1000;
}

function millis(value: number | null): number | undefined {
  return value === null ? undefined : Math.round(value * 1000);
}

function toParameters(task: TaskRecord) {
  const { id, name, cron, prompt, lastRunMs, nextRunMs, createdAtMs, updatedAtMs } = task;
  return {
    ...{ id, name, cron, prompt, enabled: task.enabled ? 1 : 0 },
    ...{ last: seconds(lastRunMs), next: seconds(nextRunMs) },
    ...{ created: createdAtMs / 1000, updated: updatedAtMs / 1000, source: task.source },
    ...{ timezone: task.timezone ?? null, missed: task.missed ?? null, zone: task.zone ?? null },
  };
}

function toTask(row: TaskRow): TaskRecord {
  return {
    ...{ id: row.id, name: row.name, cron: row.cron_expression, prompt: row.prompt },
    enabled: row.enabled !== 0,
    lastRunMs: millis(row.last_run),
    nextRunMs: millis(row.next_run),
    createdAtMs: Math.round(row.created_at * 1000),
    updatedAtMs: Math.round(row.updated_at * 1000),
    source: row.source ?? undefined,
    timezone: row.timezone ?? undefined,
    missed: row.missed ?? undefined,
    zone: row.zone ?? undefined,
    lastState: row.last_state ?? undefined,
    lastCode: row.last_code ?? undefined,
  };
}

function toRun(row: RunRow): RunRecord {
  return {
    ...{ id: row.id, taskId: row.task_id, cause: row.cause, state: row.state },
    dueAtMs: Math.round(row.due_at * 1000),
    startedAtMs: Math.round(row.started_at * 1000),
    endedAtMs: millis(row.ended_at),
    code: row.code ?? undefined,
    turnId: row.turn_id ?? undefined,
    text: row.text ?? undefined,
  };
}
