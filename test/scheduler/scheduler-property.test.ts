/**
 * Random schedules against restarts, sleep and clocks that are set. What has to come out is worked out a second time,
 * from the expression alone, one time after the other. OPENAGENT_TEST_RUNS and
 * OPENAGENT_TEST_SEED choose the runs.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MISSED_POLICIES, type MissedPolicy } from '../../src/contract/schedule-settings.ts';
import { type Expression, readExpression } from '../../src/scheduler/cron-expression.ts';
import { seeded } from '../fixtures/seeded-random.ts';
import { HOUR, MINUTE, type Setup, startSchedule, task } from './scheduler-fixture.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 4);
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);
const STEPS = 40;
const CRONS = ['* * * * *', '*/7 * * * *', '0 * * * *', '30 2 * * *', '15,45 1-3 * * *', '0 */2 * * *'];
const ZONES = ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe'];
/** Just before clocks change in one of these zones, or at no such time. */
const STARTS = [
  '2026-03-28T22:00:10Z',
  '2026-10-24T21:30:00Z',
  '2026-11-01T03:00:00Z',
  '2026-06-01T00:00:00Z',
];

interface Plan {
  readonly cron: string;
  readonly zone: string;
  readonly missed: MissedPolicy;
}

for (let run = 0; run < RUNS; run += 1) {
  const seed = SEED + run;
  test(`every time is met as its policy says, and none twice (seed ${seed})`, async (t) => {
    const story: string[] = [];
    try {
      await play(t, seeded(seed), story);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${story.join('\n')}`, { cause: error });
    }
  });
}

async function play(t: TestContext, random: () => number, story: string[]): Promise<void> {
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;
  const plans = Array.from({ length: 1 + Math.floor(random() * 3) }, (): Plan => {
    const missed = pick(MISSED_POLICIES);
    // Of a task of each minute there would soon be more to make up for than is made up for.
    const cron = pick(missed === 'all' ? CRONS.slice(1) : CRONS);
    return { cron, zone: pick(ZONES), missed };
  });
  const tasks = plans.map(({ cron, zone, missed }, at) =>
    task(cron, { name: `t${at}`, timezone: zone, missed }),
  );
  const startAt = pick(STARTS);
  const limits = { scheduledTasks: 10, taskRuns: 1_000, missedRuns: 1_000 };
  const setup = await startSchedule(t, startAt, { tasks }, { limits });
  const watch = new Watch(setup, plans, Date.parse(startAt));
  story.push(startAt, ...plans.map((plan) => JSON.stringify(plan)));
  for (let step = 0; step < STEPS; step += 1) {
    const kind = random();
    const ms = Math.floor(random() ** 2 * 5 * HOUR);
    story.push(`${new Date(setup.clock.wallMs()).toISOString()} ${kind.toFixed(2)} ${ms / MINUTE} min`);
    if (kind < 0.5) watch.pass(ms, random);
    else if (kind < 0.7) watch.sleep(ms, random() < 0.5);
    else if (kind < 0.85) watch.setBack(Math.floor(random() * HOUR));
    else watch.endSome(random);
  }
  watch.endAll();
}

/** What has happened, and what should have. */
class Watch {
  readonly #setup: Setup;
  readonly #plans: readonly Plan[];
  readonly #fromMs: number;
  #seen = 0;
  /** By task: times of its runs, in their order. */
  readonly #begun: number[][];
  readonly #times: number[][];
  readonly #expressions: readonly Expression[];
  /** By task: the latest time that was on the wall while the scheduler looked. */
  #highMs: number;

  constructor(setup: Setup, plans: readonly Plan[], fromMs: number) {
    this.#setup = setup;
    this.#plans = plans;
    this.#fromMs = fromMs;
    this.#highMs = fromMs;
    this.#begun = plans.map(() => []);
    this.#times = plans.map(() => []);
    this.#expressions = plans.map(({ cron, zone }) => {
      const read = readExpression(cron, zone);
      assert.ok('expression' in read);
      return read.expression;
    });
  }

  /** Time passes while the agent runs; now and then a run ends. */
  pass(ms: number, random: () => number): void {
    const { clock } = this.#setup;
    for (let left = ms; left > 0; left -= 10 * MINUTE) {
      clock.advance(Math.min(left, 10 * MINUTE));
      this.#look();
      if (random() < 0.5) this.endSome(random);
    }
  }

  /** The machine sleeps, or the agent is killed and started again behind it. */
  sleep(ms: number, isRestart: boolean): void {
    const { clock } = this.#setup;
    if (isRestart) this.#setup.schedule.scheduler.stop();
    clock.set(clock.wallMs() + ms);
    if (isRestart) this.#setup.restart();
    else clock.advance(30_000);
    this.#look();
  }

  /** By less than what counts as a new time, in all: never further than two hours behind. */
  setBack(ms: number): void {
    const { clock } = this.#setup;
    if (this.#highMs - (clock.wallMs() - ms) < 2 * HOUR) clock.set(clock.wallMs() - ms);
    clock.advance(30_000);
    this.#look();
  }

  endSome(random: () => number): void {
    for (const run of this.#setup.turns.running()) if (random() < 0.7) this.#setup.turns.end(run);
    this.#look();
  }

  /** Behind this, everything that had to come has come. */
  endAll(): void {
    const { turns, clock } = this.#setup;
    // What was due when the clock was set back comes when its time is there again.
    clock.advance(Math.max(0, this.#highMs - clock.wallMs()) + 30_000);
    while (turns.running().length > 0) {
      for (const run of turns.running()) turns.end(run);
      this.#look();
    }
    this.#plans.forEach(({ missed }, at) => {
      const due = this.#timesOf(at);
      const begun = this.#begun[at] as number[];
      if (missed === 'all') assert.deepEqual(begun.map(String), due.map(String), `task ${at}: all of them`);
      // The last one has been made up for, whenever it was.
      if (missed === 'once' && due.length > 0)
        assert.equal(begun.at(-1), due.at(-1), `task ${at}: the last one`);
    });
  }

  /** After every step: runs are of times of the task, in order, none twice, none early, and never two at once. */
  #look(): void {
    const { turns, clock } = this.#setup;
    this.#highMs = Math.max(this.#highMs, clock.wallMs());
    const names = new Map(
      this.#setup.schedule.desk.list(false).map(({ id, name }) => [id, Number(name.slice(1))]),
    );
    for (const { taskId, dueAtMs, startedAtMs } of turns.started.slice(this.#seen)) {
      const at = names.get(taskId) as number;
      const begun = this.#begun[at] as number[];
      const plan = this.#plans[at] as Plan;
      assert.ok(dueAtMs > (begun.at(-1) ?? this.#fromMs), `task ${at}: ${dueAtMs} is new`);
      assert.ok(startedAtMs >= dueAtMs, `task ${at} waited for its time`);
      assert.ok(this.#timesOf(at).includes(dueAtMs), `task ${at} has that time`);
      if (plan.missed === 'skip')
        assert.ok(startedAtMs - dueAtMs <= MINUTE, `task ${at}: not what was missed`);
      begun.push(dueAtMs);
    }
    this.#seen = turns.started.length;
    const running = turns.running().map(({ taskId }) => taskId);
    assert.equal(new Set(running).size, running.length, 'one run of a task at once');
    this.#assertPunctual(running.map((id) => names.get(id)));
  }

  /** A task that does not run owes nothing: but for `skip`, its last time up to now has had its run. */
  #assertPunctual(running: readonly (number | undefined)[]): void {
    this.#plans.forEach(({ missed }, at) => {
      if (running.includes(at) || missed === 'skip') return;
      const last = this.#timesOf(at).findLast((ms) => ms <= this.#setup.clock.wallMs());
      const latest = this.#begun[at]?.at(-1) ?? 0;
      assert.ok(last === undefined || latest >= last, `task ${at} has made up for what it missed`);
    });
  }

  /** Up to the latest time there was, found one after the other. */
  #timesOf(at: number): readonly number[] {
    const expression = this.#expressions[at] as Expression;
    const times = this.#times[at] as number[];
    for (;;) {
      const next = expression.next(times.at(-1) ?? this.#fromMs);
      if (next === undefined || next > this.#highMs) return times;
      times.push(next);
    }
  }
}
