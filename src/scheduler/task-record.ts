/** A scheduled task and its runs, as the database keeps them. Times are milliseconds since the epoch here. */
import { BUILT_IN_TASKS, type MissedPolicy } from '../contract/schedule-settings.ts';

/** Who may change it: `yaml` the configuration, `rest` and `tool` clients and tools, `built_in` nobody. */
export type TaskSource = 'yaml' | 'rest' | 'tool' | 'built_in';

export interface TaskRecord {
  readonly id: string;
  readonly name: string;
  readonly cron: string;
  readonly prompt: string;
  readonly enabled: boolean;
  readonly lastRunMs: number | undefined;
  readonly nextRunMs: number | undefined;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** Undefined: written by the reference. */
  readonly source: TaskSource | undefined;
  /** Undefined, like the following: as for all tasks. */
  readonly timezone: string | undefined;
  readonly missed: MissedPolicy | undefined;
  /** In which `nextRunMs` was computed. */
  readonly zone: string | undefined;
  /** How the last run ended that has. */
  readonly lastState: RunEndState | undefined;
  readonly lastCode: string | undefined;
}

export type RunCause = 'schedule' | 'manual';
export type RunEndState = 'done' | 'failed' | 'cancelled';

export interface RunRecord {
  readonly id: string;
  readonly taskId: string;
  readonly cause: RunCause;
  /** The time it is the run of; when it was asked for, of a manual one. */
  readonly dueAtMs: number;
  readonly startedAtMs: number;
  readonly endedAtMs: number | undefined;
  readonly state: 'running' | RunEndState;
  readonly code: string | undefined;
  readonly turnId: string | undefined;
  /** The beginning of the answer, or what went wrong. */
  readonly text: string | undefined;
}

export interface NewRun extends Pick<RunRecord, 'id' | 'taskId' | 'cause' | 'dueAtMs' | 'startedAtMs'> {
  readonly prompt: string;
}

export interface RunOutcome {
  readonly state: RunEndState;
  readonly code: string | undefined;
  readonly text: string;
  readonly turnId: string | undefined;
}

/** Each run is a conversation of its own. */
export function sessionOfRun(taskId: string, runId: string): string {
  return `task:${taskId}:${runId}`;
}

export function isBuiltIn({ source, name }: Pick<TaskRecord, 'source' | 'name'>): boolean {
  return source === 'built_in' || (source === undefined && BUILT_IN_TASKS.includes(name));
}
