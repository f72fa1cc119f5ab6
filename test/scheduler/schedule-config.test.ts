import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_SCHEDULE } from '../../src/contract/schedule-settings.ts';
import { failToLoad, load } from '../config/agent-directory.ts';

async function schedule(t: Parameters<typeof load>[0], yaml: string) {
  const { settings, warnings } = await load(t, yaml);
  assert.deepEqual(warnings, []);
  return settings.schedule;
}

test('a schedule is resolved with everything that is not said', async (t) => {
  const yaml = `scheduler:
  tasks:
    - { name: morning, cron: " 0 7 * * * ", prompt: Say good morning. }
    - { name: once, cron: "@once:1700000000.25", prompt: Now., enabled: no, timezone: Asia/Tokyo, missed: all }
`;
  assert.deepEqual(await schedule(t, yaml), {
    ...NO_SCHEDULE,
    tasks: [
      {
        ...{ name: 'morning', cron: '0 7 * * *', prompt: 'Say good morning.', enabled: true },
        ...{ timezone: undefined, missed: undefined },
      },
      {
        ...{ name: 'once', cron: '@once:1700000000.25', prompt: 'Now.', enabled: false },
        ...{ timezone: 'Asia/Tokyo', missed: 'all' },
      },
    ],
  });
});

test('zone and policy of all tasks, and the switch', async (t) => {
  const yaml = 'scheduler: { enabled: off, timezone: America/New_York, missed: once }\n';
  const expected = { ...NO_SCHEDULE, enabled: false, timezone: 'America/New_York', missed: 'once' };
  assert.deepEqual(await schedule(t, yaml), expected);
});

test('the nightly run and the look for updates are off unless switched on, and have times of their own', async (t) => {
  assert.deepEqual(await schedule(t, 'dream_mode: { time: "4:30" }\nauto_update:\n'), NO_SCHEDULE);
  const byDefault = 'dream_mode: { enabled: true }\nauto_update: { enabled: true }\n';
  assert.deepEqual(await schedule(t, byDefault), {
    ...NO_SCHEDULE,
    dream: { cron: '0 3 * * *' },
    autoUpdate: { cron: '0 4 * * *', mode: 'auto' },
  });
  const chosen = `dream_mode: { enabled: yes, time: 23:05 }
auto_update: { enabled: yes, mode: notify, check_interval: 17 */6 * * * }
`;
  assert.deepEqual(await schedule(t, chosen), {
    ...NO_SCHEDULE,
    dream: { cron: '5 23 * * *' },
    autoUpdate: { cron: '17 */6 * * *', mode: 'notify' },
  });
  const cron = 'dream_mode: { enabled: yes, time: "4:00", cron: "@weekly" }\n';
  assert.deepEqual((await schedule(t, cron)).dream, { cron: '@weekly' });
});

test('each mistake is told with its line and column', async (t) => {
  const { code, message } = await failToLoad(
    t,
    `scheduler:
  timezone: Mars/Olympus
  tasks:
    - name: a
      cron: 61 * * * *
      prompt: x
    - name: dream-mode
      cron: "* * * * * *"
      prompt: x
dream_mode:
  cron: 0 0 30 2 *
auto_update: { check_interval: "@once:soon" }
`,
  );
  assert.equal(code, 'config.invalid');
  const cron = 'a cron expression such as "0 7 * * *", or @once:<epoch seconds>';
  assert.equal(
    message,
    [
      'openagent.yaml:2:13 scheduler.timezone: expected a time zone such as Europe/Berlin, got "Mars/Olympus", which this machine does not know',
      `line 5:13 scheduler.tasks.0.cron: expected ${cron}, got "61 * * * *": Invalid value for minute: 61`,
      'line 7:13 scheduler.tasks.1.name: expected another name: "dream-mode" is set in dream_mode',
      `line 8:13 scheduler.tasks.1.cron: expected ${cron}, got "* * * * * *": there are five fields (minute, hour, day, month, weekday), or @once:<epoch seconds>`,
      `line 11:9 dream_mode.cron: expected ${cron}, got "0 0 30 2 *": there is no such day`,
      'and 1 more',
    ].join('; '),
  );
});

test('a time of day that is none, and a policy that is none', async (t) => {
  const dream = await failToLoad(t, 'dream_mode: { time: "25:00" }\n');
  assert.equal(
    dream.message,
    'openagent.yaml:1:21 dream_mode.time: expected a time of day such as "3:00", got "25:00"',
  );
  const missed = await failToLoad(t, 'scheduler: { missed: alle }\n');
  assert.match(missed.message, /expected one of skip, once, all, got "alle"; did you mean "all"\?/);
});

test('of two tasks with one name the first counts, and the second is a warning', async (t) => {
  const { settings, warnings } = await load(
    t,
    'scheduler:\n  tasks:\n    - { name: a, cron: "@daily", prompt: one }\n    - { name: a, cron: "@hourly", prompt: two }\n',
  );
  assert.deepEqual(
    settings.schedule.tasks.map(({ prompt }) => prompt),
    ['one'],
  );
  assert.match(
    warnings[0]?.message ?? '',
    /openagent\.yaml:4:15 scheduler\.tasks\.1\.name: another task above/,
  );
  assert.equal(warnings[0]?.code, 'config.doubtful');
});
