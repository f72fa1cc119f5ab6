/**
 * An agent's scheduled tasks: nothing of them is loaded while there is none and nobody asks. Serves clients and tools,
 * and sees to it that a database that is locked at the start only delays what is due.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { TaskInfo } from '../contract/schemas/tasks.ts';
import type { AgentSettings } from '../contract/worker-protocol.ts';
import type { ResourceAction } from '../gateway/services/resource-events.ts';
import type { TaskService } from '../gateway/services/task-service.ts';
import type { TurnService } from '../gateway/ws/turn-service.ts';
import type { Log } from '../logging/log.ts';
import type { Schedule } from '../scheduler/open-schedule.ts';
import type { Database } from '../storage/database.ts';
import type { ScheduledTask, ScheduleService } from '../tools/schedule-tools.ts';

export interface AgentScheduleOptions {
  readonly settings: AgentSettings;
  readonly db: Database;
  readonly turns: Pick<TurnService, 'submit' | 'confirm'>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface AgentSchedule {
  /** For the routes. */
  readonly service: TaskService;
  /** For the tools. */
  readonly forTools: ScheduleService;
  /** Told of every change of a task; to be set by whoever passes it on. */
  onChange: (action: ResourceAction, taskId: string) => void;
  /** Call once the journal has been recovered. Returns at once. */
  start(): void;
  /** No run begins any more; those that are going are heard to their end. */
  pause(): void;
  stop(): void;
}

const RETRY_MS = 1_000;

export function createAgentSchedule(options: AgentScheduleOptions): AgentSchedule {
  const { settings, db, clock, log } = options;
  let schedule: Schedule | undefined;
  let loading: Promise<Schedule> | undefined;
  let timer: TimerHandle | undefined;
  let isOver = false;

  async function open(): Promise<Schedule> {
    const [{ openSchedule }, { createTaskTurns }] = await Promise.all([
      import('../scheduler/open-schedule.ts'),
      import('./task-turns.ts'),
    ]);
    if (isOver) throw new AppError('agent.stopping', 'The agent is stopping');
    schedule = openSchedule({
      ...{ db, dbPath: settings.dbPath, settings: settings.schedule, limits: settings.limits, clock, log },
      turns: createTaskTurns(options.turns),
      onChange: (action, id) => agentSchedule.onChange(action, id),
      onUpdateDue: (mode) => log.info('update.due', { mode }),
    });
    return schedule;
  }

  const load = (): Promise<Schedule> => {
    loading ??= open().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };

  function begin(): void {
    load().catch((error: unknown) => {
      if (isOver) return;
      log.warn('scheduler.start_failed', { error });
      timer = clock.setTimeout(begin, RETRY_MS);
    });
  }

  const agentSchedule: AgentSchedule = {
    service: createTaskService(load),
    forTools: createToolService(load),
    onChange: () => {},
    start: () => {
      if (hasTasks(options)) begin();
    },
    pause: () => {
      isOver = true;
      clock.clearTimeout(timer);
      schedule?.scheduler.pause();
    },
    stop: () => {
      agentSchedule.pause();
      schedule?.scheduler.stop();
    },
  };
  return agentSchedule;
}

/** Of the configuration, or left by an earlier start. */
function hasTasks({ settings: { schedule }, db }: AgentScheduleOptions): boolean {
  if (schedule.tasks.length > 0 || schedule.dream || schedule.autoUpdate) return true;
  try {
    return db.prepare('SELECT 1 FROM scheduled_tasks LIMIT 1').get() !== undefined;
  } catch {
    // Locked or damaged: opening the schedule says so, and is tried again.
    return true;
  }
}

function createTaskService(load: () => Promise<Schedule>): TaskService {
  const desk = async () => (await load()).desk;
  return {
    list: async (enabledOnly) => (await desk()).list(enabledOnly),
    get: async (id) => (await desk()).get(id),
    create: async (task) => (await desk()).create(task, 'rest'),
    update: async (id, change) => (await desk()).update(id, change),
    remove: async (id) => (await desk()).remove(id),
    runs: async (id, limit) => (await desk()).runs(id, limit),
    run: async (id) => (await desk()).run(id),
    describe: async (expression, count, timezone) => (await desk()).describe(expression, count, timezone),
  };
}

function createToolService(load: () => Promise<Schedule>): ScheduleService {
  const create = async (name: string, prompt: string, cron: string) => {
    const { desk } = await load();
    return toTask(desk.create({ name, prompt, cron_expression: cron, enabled: true }, 'tool'));
  };
  return {
    list: async ({ enabledOnly }) => (await load()).desk.list(enabledOnly).map(toTask),
    createCron: ({ name, prompt, cron }) => create(name, prompt, cron),
    createOnce: ({ name, prompt, atMs }) => create(name, prompt, `@once:${atMs / 1000}`),
    update: async (id, { cron, ...others }) => {
      const change = cron === undefined ? others : { ...others, cron_expression: cron };
      const { desk } = await load();
      return ifThere(() => desk.update(id, change));
    },
    remove: async (id) => {
      const { desk } = await load();
      return ifThere(() => desk.remove(id));
    },
  };
}

function ifThere(work: () => TaskInfo): ScheduledTask | undefined {
  try {
    return toTask(work());
  } catch (error) {
    if (AppError.is(error) && error.code === 'task.not_found') return undefined;
    throw error;
  }
}

function toTask(task: TaskInfo): ScheduledTask {
  const { id, name, prompt, enabled } = task;
  return {
    ...{ id, name, prompt, enabled, cron: task.run_once ? undefined : task.cron_expression },
    ...{ nextRunMs: millis(task.next_run), lastRunMs: millis(task.last_run) },
  };
}

function millis(seconds: number | null): number | undefined {
  return seconds === null ? undefined : Math.round(seconds * 1000);
}
