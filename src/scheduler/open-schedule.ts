/** The scheduler of an agent with what it needs, loaded when there is a task, or when somebody asks for tasks. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../contract/clock.ts';
import type { Limits } from '../contract/limits.ts';
import type { ScheduleSettings, UpdateMode } from '../contract/schedule-settings.ts';
import type { Log } from '../logging/log.ts';
import type { Database } from '../storage/database.ts';
import { localZone } from './cron-expression.ts';
import type { RunTurns } from './run-turns.ts';
import { Scheduler } from './scheduler.ts';
import { createTaskDesk, type TaskDesk } from './task-desk.ts';
import { isBuiltIn, type TaskRecord } from './task-record.ts';
import { createTaskStore } from './task-store.ts';

export interface ScheduleOptions {
  readonly db: Database;
  readonly dbPath: string;
  readonly settings: ScheduleSettings;
  readonly limits: Pick<Limits, 'scheduledTasks' | 'taskRuns' | 'missedRuns'>;
  readonly turns: RunTurns;
  readonly clock: Clock;
  readonly log: Log;
  /** Never of a task that is built in. */
  onChange(action: 'created' | 'updated' | 'deleted', id: string): void;
  onUpdateDue(mode: UpdateMode): void;
  /** Ids of tasks and runs. */
  readonly newId?: () => string;
}

export interface Schedule {
  readonly scheduler: Scheduler;
  readonly desk: TaskDesk;
}

/** Throws as `toStorageError` says. What is due begins before this returns. */
export function openSchedule(options: ScheduleOptions): Schedule {
  const { db, dbPath, settings, limits, turns, clock, log, newId = randomUUID } = options;
  const store = createTaskStore(db, dbPath, limits.taskRuns);
  const zone = settings.timezone ?? localZone();
  const onChange = (action: 'created' | 'updated' | 'deleted', task: TaskRecord) => {
    if (!isBuiltIn(task)) options.onChange(action, task.id);
  };
  const scheduler = new Scheduler({
    ...{ store, settings, limits, zone, turns, clock, log, newId },
    onChange: (task) => onChange('updated', task),
    onUpdateDue: (mode) => options.onUpdateDue(mode),
  });
  scheduler.start();
  const tasksMax = limits.scheduledTasks;
  return {
    scheduler,
    desk: createTaskDesk({ store, scheduler, settings, zone, tasksMax, clock, newId, onChange }),
  };
}
