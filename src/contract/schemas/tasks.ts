/** Schemas of the rows in `routes/tasks.ts`. Times are seconds since the epoch, with their ISO texts beside them. */
import { z } from 'zod';
import type { RouteSchemas } from '../route.ts';
import type { TASK_ROUTES } from '../routes/tasks.ts';
import { MISSED_POLICIES } from '../schedule-settings.ts';

const RUNS = { default: 20, max: 100 } as const;
const UPCOMING = { default: 3, max: 20 } as const;

/** Half of a character cannot be written as UTF-8. */
const text = (charsMax: number) =>
  z
    .string()
    .trim()
    .min(1)
    .max(charsMax)
    .refine((value) => !/\p{Surrogate}/u.test(value), 'must be valid Unicode');
const Expression = text(200);
const Zone = text(100);
const flag = z.enum(['true', 'false', '1', '0', '']).transform((value) => value === 'true' || value === '1');

const time = z.number().nullable();
const isoTime = z.string().nullable();

const Task = z.object({
  id: z.string(),
  name: z.string(),
  cron_expression: z.string(),
  prompt: z.string(),
  enabled: z.boolean(),
  /** True: `@once:`, which `run_at` then repeats. */
  run_once: z.boolean(),
  last_run: time,
  last_run_iso: isoTime,
  next_run: time,
  next_run_iso: isoTime,
  created_at: z.number(),
  created_at_iso: z.string(),
  updated_at: z.number(),
  updated_at_iso: z.string(),
  run_at: z.number().optional(),
  run_at_iso: z.string().optional(),
  /** Ours, like what follows. Null: as for all tasks. */
  timezone: z.string().nullable(),
  missed: z.enum(MISSED_POLICIES).nullable(),
  /** `yaml`: it stands in openagent.yaml, and only there it can be changed. */
  source: z.enum(['yaml', 'rest', 'tool']),
  /** Id of the run that is going. */
  running: z.string().nullable(),
  /** How the last run ended that has. */
  last_state: z.enum(['done', 'failed', 'cancelled']).nullable(),
  last_code: z.string().nullable(),
});

const Run = z.object({
  id: z.string(),
  task_id: z.string(),
  session_id: z.string(),
  turn_id: z.string().nullable(),
  cause: z.enum(['schedule', 'manual']),
  state: z.enum(['running', 'done', 'failed', 'cancelled']),
  /** Of a run that did not end well. */
  code: z.string().nullable(),
  /** The beginning of the answer, or what went wrong. */
  text: z.string().nullable(),
  due_at: z.number(),
  due_at_iso: z.string(),
  started_at: z.number(),
  started_at_iso: z.string(),
  ended_at: time,
  ended_at_iso: isoTime,
});

const Cron = z.object({
  expression: z.string(),
  valid: z.boolean(),
  one_shot: z.boolean(),
  upcoming: z.array(z.object({ epoch: z.number(), iso: z.string() })),
  /** In which it was read. */
  timezone: z.string(),
});
/** With status 400. */
const BadCron = Cron.extend({ error: z.string(), code: z.string() });

const Changes = {
  name: text(200),
  cron_expression: Expression,
  prompt: text(100_000),
  enabled: z.boolean(),
  timezone: Zone.nullable(),
  missed: z.enum(MISSED_POLICIES).nullable(),
};
const NewTask = z
  .object(Changes)
  .partial({ timezone: true, missed: true })
  .extend({ enabled: z.boolean().default(true) });

export const TASK_SCHEMAS = {
  listTasks: {
    query: z.object({ enabled_only: flag.default(false) }),
    response: z.object({ tasks: z.array(Task) }),
  },
  createTask: { body: NewTask, response: Task },
  getTask: { response: Task },
  updateTask: { body: z.object(Changes).partial(), response: Task },
  deleteTask: {
    // `running`: the run that goes on without its task.
    response: z.object({ ok: z.literal(true), id: z.string(), running: z.string().nullable() }),
  },
  listTaskRuns: {
    query: z.object({ limit: z.coerce.number().int().min(1).max(RUNS.max).default(RUNS.default) }),
    response: z.object({ runs: z.array(Run) }),
  },
  runTask: { response: Run },
  describeCron: {
    query: z.object({
      expression: z.string().max(1_000),
      count: z.coerce.number().int().min(1).max(UPCOMING.max).default(UPCOMING.default),
      timezone: z.string().max(100).optional(),
    }),
    response: z.union([Cron, BadCron]),
  },
} as const satisfies RouteSchemas<typeof TASK_ROUTES>;

export type TaskInfo = z.output<typeof Task>;
export type TaskRun = z.output<typeof Run>;
export type NewTask = z.output<typeof NewTask>;
export type TaskChange = z.output<typeof TASK_SCHEMAS.updateTask.body>;
export type CronAnswer = z.output<typeof Cron> | z.output<typeof BadCron>;
