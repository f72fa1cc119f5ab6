/**
 * What an agent is to do by itself: tasks, the nightly run, the look for updates. Expressions are read here once with the
 * library that will run them, so that a mistake is told with its line and not at three in the morning.
 */
import type { Config } from '../../contract/config.ts';
import type { WireError } from '../../contract/errors.ts';
import {
  BUILT_IN_TASKS,
  type ConfiguredTask,
  type ScheduleSettings,
} from '../../contract/schedule-settings.ts';
import { isTimeZone, readExpression } from '../../scheduler/cron-expression.ts';
import { type ConfigProblem, configError, configWarning, keyOf } from './config-problem.ts';
import type { ParsedConfig } from './parse-config.ts';

const DREAM_TIME = '3:00';
const UPDATE_CRON = '0 4 * * *';
const CRON = 'a cron expression such as "0 7 * * *", or @once:<epoch seconds>';
const ZONE = 'a time zone such as Europe/Berlin';

export function resolveSchedule(config: Config): ScheduleSettings {
  const { scheduler, dream_mode: dream, auto_update: update } = config;
  return {
    enabled: scheduler?.enabled ?? true,
    timezone: scheduler?.timezone ?? undefined,
    missed: scheduler?.missed ?? 'skip',
    tasks: firstOfEachName(scheduler?.tasks ?? []).map(
      ({ name, cron, prompt, enabled, timezone, missed }): ConfiguredTask => ({
        ...{ name, prompt, cron: cron.trim(), enabled: enabled ?? true },
        ...{ timezone: timezone ?? undefined, missed: missed ?? undefined },
      }),
    ),
    dream: dream?.enabled ? { cron: dream.cron?.trim() || cronOfTime(dream.time || DREAM_TIME) } : undefined,
    autoUpdate: update?.enabled
      ? { cron: update.check_interval?.trim() || UPDATE_CRON, mode: update.mode ?? 'auto' }
      : undefined,
  };
}

function firstOfEachName<T extends { readonly name: string }>(tasks: readonly T[]): readonly T[] {
  return tasks.filter(({ name }, at) => tasks.findIndex((task) => task.name === name) === at);
}

function cronOfTime(time: string): string {
  const [hour, minute] = time.split(':');
  return `${Number(minute)} ${Number(hour)} * * *`;
}

/** Throws one error for all that is wrong; gives back what is only doubtful. */
export function checkSchedule(file: string, parsed: ParsedConfig, config: Config): readonly WireError[] {
  const { scheduler, dream_mode: dream, auto_update: update } = config;
  const zone = scheduler?.timezone;
  const tasks = scheduler?.tasks ?? [];
  const at = (path: readonly PropertyKey[], expected: string, text: string): ConfigProblem => ({
    ...{ ...parsed.placeOf(path), key: keyOf(path), expected, text },
  });
  const zoneProblem = (path: readonly PropertyKey[], name: string | null | undefined) =>
    typeof name === 'string' && !isTimeZone(name)
      ? [at(path, ZONE, `expected ${ZONE}, got "${name}", which this machine does not know`)]
      : [];
  const cronProblem = (
    path: readonly PropertyKey[],
    text: string | null | undefined,
    where?: string | null,
  ) => {
    if (!text) return [];
    const read = readExpression(text, where && isTimeZone(where) ? where : 'UTC');
    return 'problem' in read ? [at(path, CRON, `expected ${CRON}, got "${text}": ${read.problem}`)] : [];
  };
  const problems = [
    ...zoneProblem(['scheduler', 'timezone'], zone),
    ...tasks.flatMap((task, index) => {
      const path = ['scheduler', 'tasks', index];
      return [
        ...nameProblem([...path, 'name'], task.name, at),
        ...cronProblem([...path, 'cron'], task.cron || ' ', task.timezone ?? zone),
        ...zoneProblem([...path, 'timezone'], task.timezone),
      ];
    }),
    ...cronProblem(['dream_mode', 'cron'], dream?.cron, zone),
    ...cronProblem(['auto_update', 'check_interval'], update?.check_interval, zone),
  ];
  if (problems.length > 0) throw configError('config.invalid', file, problems);
  return tasks.flatMap(({ name }, index) => {
    if (tasks.findIndex((task) => task.name === name) === index) return [];
    const text = `another task above is called "${name}" as well; this one is left out`;
    return [configWarning(file, at(['scheduler', 'tasks', index, 'name'], 'a name of its own', text))];
  });
}

function nameProblem(
  path: readonly PropertyKey[],
  name: string,
  at: (path: readonly PropertyKey[], expected: string, text: string) => ConfigProblem,
): readonly ConfigProblem[] {
  const section = name === BUILT_IN_TASKS[0] ? 'dream_mode' : 'auto_update';
  if (BUILT_IN_TASKS.includes(name)) {
    return [at(path, 'another name', `expected another name: "${name}" is set in ${section}`)];
  }
  return name.trim() === '' ? [at(path, 'a name', 'expected a name, got nothing')] : [];
}
