/**
 * Brings the tables up to what the configuration says now, and to the present time. Runs once at each start: edits and
 * removals in the file reach the table, rows of the reference are taken over, and what a restart left undecided is due.
 */
import { DREAM_TASK, type ScheduleSettings, UPDATE_TASK } from '../contract/schedule-settings.ts';
import { type Expression, readExpression } from './cron-expression.ts';
import { DREAM_PROMPT } from './dream-prompt.ts';
import { takeUp } from './due.ts';
import type { TaskRecord, TaskSource } from './task-record.ts';
import type { TaskStore } from './task-store.ts';

export interface SyncContext {
  readonly store: TaskStore;
  readonly settings: ScheduleSettings;
  /** For tasks without one of their own. */
  readonly zone: string;
  readonly nowMs: number;
  newId(): string;
}

export interface SyncCounts {
  readonly created: number;
  readonly updated: number;
  readonly removed: number;
}

type Wanted = Pick<TaskRecord, 'name' | 'cron' | 'prompt' | 'enabled' | 'timezone' | 'missed'> & {
  readonly source: TaskSource;
};

/** In one transaction. Throws as the store does. */
export function syncTasks(context: SyncContext): SyncCounts {
  const { store, settings } = context;
  return store.transaction(() => {
    const rows = store.all();
    const wanted = wantedBy(settings);
    const counts = { created: 0, updated: 0, removed: 0 };
    const kept = new Set<string>();
    for (const task of wanted) {
      const row = rowOf(rows, task);
      const record = row ? changed(context, row, task) : created(context, task);
      kept.add(record.id);
      if (row === undefined) counts.created += 1;
      else if (isOther(row, record)) counts.updated += 1;
      if (row === undefined || !isSame(row, record)) store.put(record);
    }
    for (const row of rows.filter(({ id }) => !kept.has(id))) {
      if (row.source === 'yaml') {
        store.remove(row.id);
        counts.removed += 1;
        continue;
      }
      const record = resumed(context, row);
      if (!isSame(row, record)) store.put(record);
    }
    return counts;
  });
}

function wantedBy({ tasks, dream, autoUpdate }: ScheduleSettings): readonly Wanted[] {
  const builtIn = { source: 'built_in', enabled: true, timezone: undefined, missed: undefined } as const;
  return [
    ...tasks.map((task) => ({ ...task, source: 'yaml' as const })),
    ...(dream ? [{ ...builtIn, name: DREAM_TASK, cron: dream.cron, prompt: DREAM_PROMPT }] : []),
    ...(autoUpdate ? [{ ...builtIn, name: UPDATE_TASK, cron: autoUpdate.cron, prompt: '' }] : []),
  ];
}

/** Its own row of an earlier start, else one of the reference, which knew tasks of the file by their names. */
function rowOf(rows: readonly TaskRecord[], { name, source }: Wanted): TaskRecord | undefined {
  const named = rows.filter((row) => row.name === name);
  return named.find((row) => row.source === source) ?? named.find((row) => row.source === undefined);
}

function created(context: SyncContext, task: Wanted): TaskRecord {
  const { nowMs, newId } = context;
  const { zone, expression } = expressionOf(context, task);
  return {
    ...task,
    ...{ id: newId(), createdAtMs: nowMs, updatedAtMs: nowMs, lastRunMs: undefined, zone },
    ...{ lastState: undefined, lastCode: undefined },
    nextRunMs: task.enabled && expression ? firstTime(expression, nowMs) : undefined,
  };
}

function changed(context: SyncContext, row: TaskRecord, task: Wanted): TaskRecord {
  const { nowMs } = context;
  const { zone, expression } = expressionOf(context, task);
  const isRescheduled = row.cron !== task.cron || (row.zone !== zone && expression?.onceMs === undefined);
  // A one-shot that has run stays off, whatever the file says of it: otherwise each start would run it again.
  const enabled = task.enabled && !hasRun(row, expression);
  const isFresh = isRescheduled || !row.enabled;
  const next = () => (isFresh ? expression && firstTime(expression, nowMs) : nextOf(row, expression, nowMs));
  const record = {
    ...{ ...row, ...task, zone, enabled },
    nextRunMs: enabled ? next() : undefined,
  };
  return isOther(row, record) ? { ...record, updatedAtMs: nowMs } : record;
}

/** A task that the file does not speak of. */
function resumed(context: SyncContext, row: TaskRecord): TaskRecord {
  const isOurs = row.name === DREAM_TASK || row.name === UPDATE_TASK;
  const source = row.source ?? (isOurs ? 'built_in' : 'tool');
  const { zone, expression } = expressionOf(context, row);
  const isOnce = expression?.onceMs !== undefined;
  // Built-in ones that are wanted are not here; a one-shot that has run is over.
  const isOver = source === 'built_in' || hasRun(row, expression);
  const enabled = row.enabled && !isOver;
  const isMoved = row.zone !== zone && !isOnce;
  const { nowMs } = context;
  const next = isMoved ? expression && firstTime(expression, nowMs) : nextOf(row, expression, nowMs);
  return { ...row, source, zone, enabled, nextRunMs: enabled ? next : undefined };
}

function nextOf(row: TaskRecord, expression: Expression | undefined, nowMs: number): number | undefined {
  return expression && takeUp(expression, row.nextRunMs, nowMs);
}

/** A one-shot that has had its run. */
export function hasRun(
  { lastRunMs }: Pick<TaskRecord, 'lastRunMs'>,
  expression: Expression | undefined,
): boolean {
  return expression?.onceMs !== undefined && lastRunMs !== undefined && lastRunMs >= expression.onceMs;
}

/** Of a task that is new or has a new expression: a one-shot may be due, but no cron task has missed anything. */
export function firstTime(expression: Expression, nowMs: number): number | undefined {
  return expression.onceMs ?? expression.next(nowMs);
}

/** No expression: nobody can read it. The row stays as it is, to be mended or deleted. */
function expressionOf(
  context: Pick<SyncContext, 'zone'>,
  { cron, timezone }: Pick<TaskRecord, 'cron' | 'timezone'>,
): { zone: string; expression: Expression | undefined } {
  const zone = timezone ?? context.zone;
  const read = readExpression(cron, zone);
  return { zone, expression: 'expression' in read ? read.expression : undefined };
}

const SHOWN = ['cron', 'prompt', 'enabled', 'timezone', 'missed'] as const;
const KEPT = [...SHOWN, 'source', 'zone', 'nextRunMs'] as const;

function isOther(a: TaskRecord, b: TaskRecord): boolean {
  return SHOWN.some((key) => a[key] !== b[key]);
}

function isSame(a: TaskRecord, b: TaskRecord): boolean {
  return KEPT.every((key) => a[key] === b[key]);
}
