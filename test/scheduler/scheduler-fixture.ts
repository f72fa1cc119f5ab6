/** A scheduler on a database in memory, with a clock that can be set and turns that the test ends. */
import type { TestContext } from 'node:test';
import type { Clock } from '../../src/contract/clock.ts';
import { systemClock } from '../../src/contract/clock.ts';
import type { WireError } from '../../src/contract/errors.ts';
import {
  type ConfiguredTask,
  NO_SCHEDULE,
  type ScheduleSettings,
} from '../../src/contract/schedule-settings.ts';
import type { Log } from '../../src/logging/log.ts';
import { openSchedule, type Schedule, type ScheduleOptions } from '../../src/scheduler/open-schedule.ts';
import type { RunListener, RunTurns } from '../../src/scheduler/run-turns.ts';
import type { NewRun, RunOutcome } from '../../src/scheduler/task-record.ts';
import { type Database, openDatabase } from '../../src/storage/database.ts';

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

export interface WallClock extends Clock {
  /** Time passes, and timers fire. */
  advance(ms: number): void;
  /** Time passes and no timer fires, as in a machine that sleeps; or somebody sets the clock. */
  set(wallMs: number): void;
}

/** Unlike XState's, it stands at the time of each timer while that fires. */
export function createWallClock(startMs: number): WallClock {
  let nowMs = 0;
  let offsetMs = startMs;
  let timers: { readonly atMs: number; readonly work: () => void }[] = [];
  const clearTimeout = (timer: unknown) => {
    timers = timers.filter((one) => one !== timer);
  };
  return {
    monotonicMs: () => nowMs,
    wallMs: () => nowMs + offsetMs,
    setTimeout: (work, delayMs) => {
      const timer = { atMs: nowMs + delayMs, work };
      timers.push(timer);
      return timer;
    },
    clearTimeout,
    advance: (ms) => {
      const endMs = nowMs + ms;
      for (;;) {
        const [next] = timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
        if (next === undefined) break;
        clearTimeout(next);
        nowMs = Math.max(nowMs, next.atMs);
        next.work();
      }
      nowMs = endMs;
    },
    set: (wallMs) => {
      offsetMs = wallMs - nowMs;
    },
  };
}

/** Turns as the journal keeps them: known by their run, whoever asks, until the test ends them. */
export class FakeTurns implements RunTurns {
  readonly started: NewRun[] = [];
  readonly #ended = new Map<string, RunOutcome>();
  #listeners = new Map<string, RunListener>();
  /** What the next submissions are answered with. */
  refusals: WireError['code'][] = [];

  submit(run: NewRun, listener: RunListener): void {
    const code = this.refusals.shift();
    if (code) return listener.refused({ code, message: code });
    const ended = this.#ended.get(run.id);
    if (ended) return listener.ended(ended);
    if (!this.started.some(({ id }) => id === run.id)) this.started.push(run);
    this.#listeners.set(run.id, listener);
  }

  running(): readonly NewRun[] {
    return this.started.filter(({ id }) => !this.#ended.has(id));
  }

  end(run: NewRun | undefined, outcome: Partial<RunOutcome> = {}): void {
    if (run === undefined) throw new Error('There is no such run');
    const full: RunOutcome = {
      state: 'done',
      code: undefined,
      text: 'ok',
      turnId: `t-${run.id}`,
      ...outcome,
    };
    this.#ended.set(run.id, full);
    this.#listeners.get(run.id)?.ended(full);
  }

  /** The agent is gone; its turns are in the journal. */
  forgetListeners(): void {
    this.#listeners = new Map();
  }
}

export interface Setup {
  readonly db: Database;
  readonly clock: WallClock;
  readonly turns: FakeTurns;
  readonly events: { event: string; fields: Record<string, unknown> | undefined }[];
  readonly changes: string[];
  readonly updates: string[];
  schedule: Schedule;
  /** Ends the scheduler without a word, and opens it again, with other settings if given. */
  restart(settings?: Partial<ScheduleSettings>): void;
  /** `HH:MM` on the wall, in UTC, of each run that has begun since the last call. */
  begun(): readonly string[];
  countOf(event: string): number;
}

export function task(cron: string, more: Partial<ConfiguredTask> = {}): ConfiguredTask {
  return {
    ...{ name: 'a', cron, prompt: 'Do it.', enabled: true, timezone: undefined, missed: undefined },
    ...more,
  };
}

export async function startSchedule(
  t: TestContext,
  startAt: string,
  settings: Partial<ScheduleSettings> = {},
  options: Partial<ScheduleOptions> = {},
): Promise<Setup> {
  const clock = createWallClock(Date.parse(startAt));
  const db = options.db ?? (await openDatabase(':memory:', systemClock));
  const turns = new FakeTurns();
  const events: Setup['events'] = [];
  const changes: string[] = [];
  const updates: string[] = [];
  const note = (event: string, fields?: Record<string, unknown>) => void events.push({ event, fields });
  const log: Log = { debug: note, info: note, warn: note, error: note, isEnabled: () => true };
  let ids = 0;
  let now: ScheduleSettings = { ...NO_SCHEDULE, timezone: 'UTC', ...settings };
  const open = () =>
    openSchedule({
      ...{ db, dbPath: 'memory', turns, clock, log, settings: now },
      limits: { scheduledTasks: 10, taskRuns: 5, missedRuns: 3 },
      onChange: (action, id) => void changes.push(`${action} ${id}`),
      onUpdateDue: (mode) => void updates.push(mode),
      newId: () => {
        ids += 1;
        return `${ids.toString(16).padStart(4, '0')}-id`;
      },
      ...options,
    });
  let seen = 0;
  const setup: Setup = {
    ...{ db, clock, turns, events, changes, updates, schedule: open() },
    restart: (changed = {}) => {
      setup.schedule.scheduler.stop();
      turns.forgetListeners();
      now = { ...now, ...changed };
      setup.schedule = open();
    },
    begun: () => {
      const fresh = turns.started.slice(seen);
      seen = turns.started.length;
      return fresh.map(({ dueAtMs }) => new Date(dueAtMs).toISOString().slice(11, 16));
    },
    countOf: (event) => events.filter((one) => one.event === event).length,
  };
  t.after(() => {
    setup.schedule.scheduler.stop();
    if (db.open) db.close();
  });
  return setup;
}
