/** Tasks that run later or again and again, as tools. What they are called with is what the reference calls it. */
import { z } from 'zod';
import { defineTool } from './define-tool.ts';
import type { Tool, ToolSource } from './tool.ts';

export interface ScheduledTask {
  readonly id: string;
  readonly name: string;
  readonly prompt: string;
  /** Undefined: it runs once, at `nextRunMs`. */
  readonly cron: string | undefined;
  readonly enabled: boolean;
  /** Unix time in milliseconds. Undefined: it does not run any more. */
  readonly nextRunMs: number | undefined;
  readonly lastRunMs: number | undefined;
}

export interface TaskChanges {
  readonly name?: string;
  readonly prompt?: string;
  readonly cron?: string;
  readonly enabled?: boolean;
}

/** Refuses with `request.invalid` what cannot be (a cron expression, a time that is over), with a sentence that says why. */
export interface ScheduleService {
  list(options: { readonly enabledOnly: boolean }): Promise<readonly ScheduledTask[]>;
  createCron(task: {
    readonly name: string;
    readonly prompt: string;
    readonly cron: string;
  }): Promise<ScheduledTask>;
  createOnce(task: {
    readonly name: string;
    readonly prompt: string;
    readonly atMs: number;
  }): Promise<ScheduledTask>;
  /** `id` may be the beginning of one, if only one task has it. Undefined: there is no such task. */
  update(id: string, changes: TaskChanges): Promise<ScheduledTask | undefined>;
  remove(id: string): Promise<ScheduledTask | undefined>;
}

const name = z.string().trim().min(1).max(200);
const prompt = z.string().trim().min(1).max(100_000).describe('What you will be told when the task runs');
const cron = z
  .string()
  .trim()
  .min(1)
  .max(200)
  .describe(
    'Five fields: minute hour day month weekday, in the time zone of the agent. "0 9 * * 1-5": workdays at nine',
  );
const taskId = z.string().trim().min(1).max(100).describe('As scheduler_list gives it');
const DELAY_S_MAX = 10 * 365 * 86_400;

export function createScheduleTools(schedule: ScheduleService, wallMs: () => number): ToolSource {
  const tools = [...lookers(schedule), ...creators(schedule, wallMs), ...changers(schedule)];
  return { name: 'scheduler', tools: () => tools };
}

function lookers(schedule: ScheduleService): readonly Tool[] {
  return [
    defineTool({
      name: 'scheduler_list',
      description: 'Lists the tasks that run later or again and again.',
      effect: 'none',
      input: z.object({ enabled_only: z.boolean().default(false) }),
      run: async (input) => {
        const tasks = await schedule.list({ enabledOnly: input.enabled_only });
        return tasks.length === 0 ? 'No tasks.' : JSON.stringify(tasks.map(toShown), null, 1);
      },
    }),
  ];
}

function creators(schedule: ScheduleService, wallMs: () => number): readonly Tool[] {
  return [
    defineTool({
      name: 'scheduler_create',
      description: 'Creates a task that runs again and again, by a cron expression.',
      effect: 'unsafe',
      input: z.object({ name, prompt, cron_expression: cron }),
      run: async (input) => {
        const { name, prompt, cron_expression: cron } = input;
        return JSON.stringify(toShown(await schedule.createCron({ name, prompt, cron })), null, 1);
      },
    }),
    defineTool({
      name: 'scheduler_create_once',
      description:
        'Creates a task that runs once: after delay_seconds, or at run_at_iso. Give exactly one of the two.',
      effect: 'unsafe',
      input: z.object({
        name,
        prompt,
        delay_seconds: z.number().min(0).max(DELAY_S_MAX).optional(),
        run_at_iso: z.iso
          .datetime({
            offset: true,
            error: 'must be a time with its offset, such as 2030-05-01T09:00:00+02:00',
          })
          .optional()
          .describe('Such as 2030-05-01T09:00:00+02:00'),
      }),
      run: async ({ name, prompt, delay_seconds: delayS, run_at_iso: at }) => {
        if ((delayS === undefined) === (at === undefined)) {
          return { text: 'Give either delay_seconds or run_at_iso', isError: true };
        }
        const atMs = at === undefined ? wallMs() + (delayS ?? 0) * 1_000 : Date.parse(at);
        return JSON.stringify(toShown(await schedule.createOnce({ name, prompt, atMs })), null, 1);
      },
    }),
  ];
}

function changers(schedule: ScheduleService): readonly Tool[] {
  return [
    defineTool({
      name: 'scheduler_update',
      description: 'Changes a task, or switches it on or off. What is not given stays.',
      effect: 'repeatable',
      input: z.object({
        task_id: taskId,
        name: name.optional(),
        prompt: prompt.optional(),
        cron_expression: cron.optional(),
        enabled: z.boolean().optional(),
      }),
      run: async ({ task_id: id, cron_expression: cron, name, prompt, enabled }) => {
        const changes: TaskChanges = {
          ...(name === undefined ? {} : { name }),
          ...(prompt === undefined ? {} : { prompt }),
          ...(cron === undefined ? {} : { cron }),
          ...(enabled === undefined ? {} : { enabled }),
        };
        const task = await schedule.update(id, changes);
        return task === undefined ? absent(id) : JSON.stringify(toShown(task), null, 1);
      },
    }),
    defineTool({
      name: 'scheduler_delete',
      description: 'Deletes a task.',
      effect: 'repeatable',
      input: z.object({ task_id: taskId }),
      run: async (input) => {
        const task = await schedule.remove(input.task_id);
        if (task === undefined) return absent(input.task_id);
        return JSON.stringify({ deleted: true, id: task.id, name: task.name });
      },
    }),
  ];
}

function absent(id: string) {
  return {
    text: `There is no task ${id}, or more than one whose id begins so; scheduler_list shows them`,
    isError: true,
  };
}

function toShown({ id, name, prompt, cron, enabled, nextRunMs, lastRunMs }: ScheduledTask) {
  const when = cron === undefined ? { run_once: true } : { cron_expression: cron };
  return {
    id,
    name,
    prompt,
    ...when,
    enabled,
    next_run_iso: toIso(nextRunMs),
    last_run_iso: toIso(lastRunMs),
  };
}

function toIso(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString();
}
