/** What an agent is to do by itself, resolved by the supervisor's thread; free of zod. */

/**
 * What becomes of times that went by while the agent was not running, slept, or was still busy with the run before.
 * `skip`: nothing. `once`: one run for all of them. `all`: a run for each, one after the other.
 */
export const MISSED_POLICIES = ['skip', 'once', 'all'] as const;
export type MissedPolicy = (typeof MISSED_POLICIES)[number];

export const UPDATE_MODES = ['auto', 'notify', 'manual'] as const;
export type UpdateMode = (typeof UPDATE_MODES)[number];

/** Rows of these names are ours, as in the reference's databases. */
export const DREAM_TASK = 'dream-mode';
export const UPDATE_TASK = 'auto-update';
export const BUILT_IN_TASKS: readonly string[] = [DREAM_TASK, UPDATE_TASK];

export interface ScheduleSettings {
  /** Off: no task of the list, of clients or of tools runs. The two below have switches of their own. */
  readonly enabled: boolean;
  /** An IANA name; undefined: the zone of the machine. */
  readonly timezone: string | undefined;
  readonly missed: MissedPolicy;
  readonly tasks: readonly ConfiguredTask[];
  /** Undefined: off. */
  readonly dream: { readonly cron: string } | undefined;
  /** Undefined: off. */
  readonly autoUpdate: { readonly cron: string; readonly mode: UpdateMode } | undefined;
}

/** One of `scheduler.tasks`; their names differ. */
export interface ConfiguredTask {
  readonly name: string;
  readonly cron: string;
  readonly prompt: string;
  readonly enabled: boolean;
  /** Undefined: as for all. */
  readonly timezone: string | undefined;
  readonly missed: MissedPolicy | undefined;
}

export const NO_SCHEDULE: ScheduleSettings = {
  enabled: true,
  timezone: undefined,
  missed: 'skip',
  tasks: [],
  dream: undefined,
  autoUpdate: undefined,
};
