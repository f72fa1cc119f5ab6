/** What the routes of scheduled tasks ask of the agent. */
import type { CronAnswer, NewTask, TaskChange, TaskInfo, TaskRun } from '../../contract/schemas/tasks.ts';

export interface TaskService {
  /** Without the ones that are built in. */
  list(enabledOnly: boolean): Promise<TaskInfo[]>;
  /** Takes the beginning of an id where only one task has it, like the rest. Throws `task.not_found`, `task.built_in`. */
  get(id: string): Promise<TaskInfo>;
  /** Throws `task.invalid`, `task.limit`, `scheduler.disabled`. */
  create(task: NewTask): Promise<TaskInfo>;
  /** Throws `task.invalid`, `task.from_config`. */
  update(id: string, change: TaskChange): Promise<TaskInfo>;
  /** Throws `task.from_config`. */
  remove(id: string): Promise<TaskInfo>;
  /** Newest first. */
  runs(id: string, limit: number): Promise<TaskRun[]>;
  /** Now, whatever its times are. Throws `task.running`, `scheduler.disabled`. */
  run(id: string): Promise<TaskRun>;
  /** What an expression means; throws nothing. */
  describe(expression: string, count: number, timezone: string | undefined): Promise<CronAnswer>;
}
