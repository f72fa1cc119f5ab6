/**
 * Starts what is due. One timer for the nearest task, never longer than half a minute, because a timer knows nothing of
 * clocks that are set and of machines that sleep; what is due is decided by the time on the wall and by what stands in
 * the database. No task waits for another one, and none runs twice at once.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';
import type { Limits } from '../contract/limits.ts';
import {
  DREAM_TASK,
  type ScheduleSettings,
  UPDATE_TASK,
  type UpdateMode,
} from '../contract/schedule-settings.ts';
import type { Log } from '../logging/log.ts';
import { type Expression, readExpression } from './cron-expression.ts';
import { type Decision, decide, SET_BACK_MS } from './due.ts';
import { Runs, type RunTurns } from './run-turns.ts';
import { syncTasks } from './sync-tasks.ts';
import { isBuiltIn, type NewRun, type RunOutcome, type TaskRecord } from './task-record.ts';
import type { Step, TaskStore } from './task-store.ts';

export interface SchedulerOptions {
  readonly store: TaskStore;
  readonly settings: ScheduleSettings;
  readonly limits: Pick<Limits, 'missedRuns'>;
  /** For tasks without one of their own. */
  readonly zone: string;
  readonly turns: RunTurns;
  readonly clock: Clock;
  readonly log: Log;
  newId(): string;
  /** Something of this task is other than before. */
  onChange(task: TaskRecord): void;
  /** Whoever looks for updates is called instead of the model. */
  onUpdateDue(mode: UpdateMode): void;
}

/** A task in memory. */
export interface Entry {
  record: TaskRecord;
  /** Undefined: nobody can read it, so it never runs. */
  expression: Expression | undefined;
  run: NewRun | undefined;
  /** It has been said that its time came while it was running. */
  isOverdueTold: boolean;
}

/** The longest a clock that is set, or a machine that wakes up, goes unnoticed. */
const LOOK_MS = 30_000;
const RETRY_MS = 1_000;

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #runs: Runs;
  #timer: TimerHandle | undefined;
  /** The latest time that was ever seen. */
  #highMs = 0;
  #state: 'new' | 'running' | 'paused' = 'new';

  constructor(options: SchedulerOptions) {
    this.#options = options;
    const { store, turns, clock, log } = options;
    this.#runs = new Runs({ store, turns, clock, log, onEnd: (run, outcome) => this.#ended(run, outcome) });
  }

  /** Throws as the store does, and can then be called again. */
  start(): void {
    const { store, settings, zone, clock, log, newId } = this.#options;
    const nowMs = clock.wallMs();
    const counts = syncTasks({ store, settings, zone, nowMs, newId });
    const open = store.openRuns();
    for (const record of store.all()) this.put(record);
    this.#highMs = nowMs;
    log.info('scheduler.start', { tasks: this.#entries.size, zone, ...counts, taken_up: open.length });
    for (const run of open) this.#takeUp(run);
    for (const run of open) this.#runs.submit(run);
    // Only now: a run may have ended while it was submitted.
    this.#state = 'running';
    this.look();
  }

  /** No run begins from here on; those that are going are heard to their end. */
  pause(): void {
    if (this.#state === 'running') this.#state = 'paused';
    this.#options.clock.clearTimeout(this.#timer);
  }

  stop(): void {
    this.pause();
    this.#runs.stop();
  }

  entries(): readonly Entry[] {
    return [...this.#entries.values()];
  }

  entry(id: string): Entry | undefined {
    return this.#entries.get(id);
  }

  /** It is in the database like this. */
  put(record: TaskRecord): Entry {
    const known = this.#entries.get(record.id);
    const read = readExpression(record.cron, record.timezone ?? this.#options.zone);
    if ('problem' in read) {
      this.#options.log.warn('task.invalid', {
        task_id: record.id,
        task: record.name,
        problem: read.problem,
      });
    }
    const entry: Entry = {
      record,
      expression: 'expression' in read ? read.expression : undefined,
      run: known?.run,
      isOverdueTold: false,
    };
    this.#entries.set(record.id, entry);
    return entry;
  }

  remove(id: string): void {
    this.#entries.delete(id);
  }

  /** A run outside of its times. Only of a task that does not run. */
  runNow(entry: Entry): NewRun {
    const { store, clock } = this.#options;
    const run = this.#newRun(entry, 'manual', clock.wallMs());
    store.addRun(run);
    this.#begin(entry, run);
    return run;
  }

  /** Starts what is due, and sets the timer anew. */
  look(): void {
    if (this.#state !== 'running') return;
    const { clock, log } = this.#options;
    let delayMs = LOOK_MS;
    try {
      this.#startDue(clock.wallMs());
    } catch (error) {
      // A full disk or another program's lock: nothing has been taken, and it is due still.
      log.warn('scheduler.look_failed', { error });
      delayMs = RETRY_MS;
    }
    clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    const nearestMs = this.#nearestMs();
    if (nearestMs === undefined) return;
    const inMs = Math.max(nearestMs - clock.wallMs(), delayMs === RETRY_MS ? RETRY_MS : 1);
    this.#timer = clock.setTimeout(() => this.look(), Math.min(inMs, delayMs));
    // An agent that ends does not wait for its tasks.
    (this.#timer as { unref?: () => void } | undefined)?.unref?.();
  }

  #startDue(nowMs: number): void {
    if (this.#highMs - nowMs >= SET_BACK_MS) this.#clockSetBack(nowMs);
    this.#highMs = Math.max(this.#highMs, nowMs);
    const { missedRuns } = this.#options.limits;
    const due: { entry: Entry; decision: Decision; step: Step }[] = [];
    for (const entry of this.#entries.values()) {
      const { expression, record } = entry;
      const nextMs = this.#isActive(entry) ? record.nextRunMs : undefined;
      if (expression === undefined || nextMs === undefined || nextMs > nowMs) continue;
      const isBusy = entry.run !== undefined;
      if (isBusy) this.#tellOverdue(entry, nextMs);
      const missed = record.missed ?? this.#options.settings.missed;
      const decision = decide({ expression, nextMs, nowMs, missed, isBusy, missedMax: missedRuns });
      if (decision.nextMs === nextMs && decision.runMs === undefined) continue;
      due.push({ entry, decision, step: this.#step(entry, decision, nowMs) });
    }
    if (due.length === 0) return;
    this.#options.store.take(due.map(({ step }) => step));
    for (const { entry, decision, step } of due) this.#took(entry, decision, step);
    // Behind all of them: a run may end while it is submitted, and what is due is looked through again.
    for (const { entry, step } of due) if (step.run) this.#begin(entry, step.run);
  }

  #step({ record }: Entry, { runMs, nextMs }: Decision, nowMs: number): Step {
    const { id: taskId, name } = record;
    const isTurn = runMs !== undefined && name !== UPDATE_TASK;
    const entry = this.#entries.get(taskId) as Entry;
    return {
      ...{ taskId, nextRunMs: nextMs, lastRunMs: runMs === undefined ? undefined : nowMs },
      run: isTurn ? this.#newRun(entry, 'schedule', runMs) : undefined,
    };
  }

  #took(entry: Entry, decision: Decision, { run, lastRunMs, nextRunMs }: Step): void {
    const { log, settings, onUpdateDue, onChange } = this.#options;
    const { record } = entry;
    const task = { task_id: record.id, task: record.name };
    if (decision.missedMs !== undefined) {
      log.warn('task.missed', { ...task, since: iso(decision.missedMs), running: entry.run !== undefined });
    }
    entry.record = {
      ...record,
      ...{ nextRunMs, lastRunMs: lastRunMs ?? record.lastRunMs, enabled: nextRunMs !== undefined },
    };
    if (run) entry.run = run;
    else onChange(entry.record);
    if (decision.runMs === undefined || run || settings.autoUpdate === undefined) return;
    onUpdateDue(settings.autoUpdate.mode);
  }

  #begin(entry: Entry, run: NewRun): void {
    const { record } = entry;
    entry.run = run;
    entry.isOverdueTold = false;
    const { log, onChange } = this.#options;
    const event = record.name === DREAM_TASK && isBuiltIn(record) ? 'dream.start' : 'task.run';
    log.info(event, {
      task_id: record.id,
      task: record.name,
      run: run.id,
      due: iso(run.dueAtMs),
      cause: run.cause,
    });
    onChange(record);
    this.#runs.submit(run);
  }

  /** It was going when an earlier start ended. */
  #takeUp(run: NewRun): void {
    const entry = this.#entries.get(run.taskId);
    if (entry) entry.run = run;
  }

  #ended(run: NewRun, { state, code }: RunOutcome): void {
    const { log, clock, onChange } = this.#options;
    const entry = this.#entries.get(run.taskId);
    const isDream = entry?.record.name === DREAM_TASK && isBuiltIn(entry.record);
    const ms = Math.round(clock.wallMs() - run.startedAtMs);
    const fields = { task_id: run.taskId, task: entry?.record.name, run: run.id, ms };
    const prefix = isDream ? 'dream' : 'task';
    if (state === 'done') log.info(`${prefix}.done`, fields);
    else if (state === 'cancelled') log.info(`${prefix}.cancelled`, { ...fields, code });
    else log.error(`${prefix}.error`, { ...fields, code });
    if (entry === undefined) return;
    if (entry.run?.id === run.id) entry.run = undefined;
    entry.record = { ...entry.record, lastState: state, lastCode: code };
    onChange(entry.record);
    this.look();
  }

  #clockSetBack(nowMs: number): void {
    const { log } = this.#options;
    const moved = this.entries().flatMap((entry) => {
      const { expression, record } = entry;
      if (record.nextRunMs === undefined || expression === undefined) return [];
      if (expression.onceMs !== undefined) return [];
      const nextRunMs = expression.next(nowMs);
      return [{ entry, step: { taskId: record.id, run: undefined, lastRunMs: undefined, nextRunMs } }];
    });
    this.#options.store.take(moved.map(({ step }) => step));
    for (const { entry, step } of moved) entry.record = { ...entry.record, nextRunMs: step.nextRunMs };
    log.warn('scheduler.clock_set_back', { from: iso(this.#highMs), to: iso(nowMs) });
    this.#highMs = nowMs;
  }

  #tellOverdue(entry: Entry, nextMs: number): void {
    if (entry.isOverdueTold) return;
    entry.isOverdueTold = true;
    const { record, run } = entry;
    const { log } = this.#options;
    log.warn('task.still_running', { task_id: record.id, task: record.name, run: run?.id, due: iso(nextMs) });
  }

  #isActive({ record }: Entry): boolean {
    return record.enabled && (this.#options.settings.enabled || isBuiltIn(record));
  }

  /** Of tasks whose time cannot come before they have ended, nothing is to be expected until then. */
  #nearestMs(): number | undefined {
    let nearestMs: number | undefined;
    for (const entry of this.#entries.values()) {
      const { nextRunMs: nextMs } = entry.record;
      if (nextMs === undefined || entry.expression === undefined || !this.#isActive(entry)) continue;
      if (entry.run !== undefined && entry.isOverdueTold && nextMs <= this.#highMs) continue;
      if (nearestMs === undefined || nextMs < nearestMs) nearestMs = nextMs;
    }
    return nearestMs;
  }

  #newRun({ record }: Entry, cause: NewRun['cause'], dueAtMs: number): NewRun {
    const { newId, clock } = this.#options;
    return {
      ...{ id: newId(), taskId: record.id, cause, dueAtMs },
      startedAtMs: clock.wallMs(),
      prompt: record.prompt,
    };
  }
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
