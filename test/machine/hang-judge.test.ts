import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AgentSigns, createHangJudge, type Verdict } from '../../src/supervisor/hang-judge.ts';

const HEARTBEAT_MS = 1_000;
const LOOK_MS = 200;
const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 200);

test('an agent without a sign of life for two heartbeats hangs, once', () => {
  const { agents, run } = startCourt(['a', 'b', 'c']);
  run(5_000);
  agents.a.isBeating = false;
  const told = run(4_000);
  assert.deepEqual(
    told.map(({ type, id }) => [type, id]),
    [
      ['hung', 'a'],
      ['hung', 'a'],
    ],
  );
  assert.ok(told[0] && told[0].silentMs >= 1_900 && told[0].silentMs <= 2_300, JSON.stringify(told));
});

test('one that is being read is left alone, and one that was found alive is judged anew', () => {
  const { agents, run } = startCourt(['a', 'b', 'c']);
  agents.a.isBeating = false;
  assert.equal(run(2_600).length, 1);
  agents.a.phase = 'hung';
  assert.deepEqual(run(10_000), []);
  agents.a.phase = 'running';
  assert.equal(run(400)[0]?.type, 'hung');
});

test('work that goes on is a sign of life, however long the loop does not turn', () => {
  const { agents, run } = startCourt(['a', 'b']);
  agents.a.isBeating = false;
  agents.a.isProgressing = true;
  assert.deepEqual(run(60_000), []);
});

test('one inside the database stalls, is never hung, and is wedged after its time', () => {
  const { agents, run } = startCourt(['a', 'b', 'c']);
  agents.a.isBeating = false;
  agents.a.isInStorage = true;
  assert.deepEqual(types(run(10_000)), ['stalled']);
  agents.a.phase = 'stalled';
  assert.deepEqual(types(run(49_000)), []);
  assert.deepEqual(types(run(10_000)), ['wedged']);
  assert.deepEqual(types(run(60_000)), []);
});

test('one that comes back has recovered, and its next hang is judged like the first', () => {
  const { agents, run } = startCourt(['a', 'b', 'c']);
  agents.a.isBeating = false;
  agents.a.isInStorage = true;
  assert.deepEqual(types(run(5_000)), ['stalled']);
  agents.a.phase = 'stalled';
  agents.a.isBeating = true;
  assert.deepEqual(types(run(1_000)), ['recovered']);
  Object.assign(agents.a, { phase: 'running', isInStorage: false, isBeating: false });
  assert.deepEqual(types(run(2_600)), ['hung']);
});

test('a native call is looked at again now and then: it may have ended in a loop', () => {
  const { agents, run } = startCourt(['a', 'b', 'c']);
  agents.a.isBeating = false;
  assert.deepEqual(types(run(2_600)), ['hung']);
  agents.a.phase = 'stalled';
  assert.deepEqual(types(run(9_000)), []);
  assert.deepEqual(types(run(2_000)), ['hung']);
});

test('a new incarnation is not charged with the silence of the one before', () => {
  const { agents, run } = startCourt(['a', 'b', 'c']);
  agents.a.isBeating = false;
  run(1_800);
  agents.a.incarnation += 1;
  assert.deepEqual(run(1_800), []);
});

test('after a sleep of the machine nobody is judged', () => {
  const { agents, run, sleep } = startCourt(['a', 'b', 'c']);
  run(3_000);
  agents.a.isBeating = false;
  run(1_900);
  sleep(10_000);
  assert.deepEqual(run(1_800), []);
  assert.deepEqual(types(run(600)), ['hung']);
});

test('silence of most is excused three times in a row, then each is judged by itself', () => {
  const { agents, run } = startCourt(['a', 'b', 'c', 'd']);
  run(3_000);
  for (const id of ['a', 'b', 'c'] as const) agents[id].isBeating = false;
  assert.deepEqual(run(7_000), []);
  const told = run(2_000);
  assert.deepEqual(told.map(({ type, id }) => `${type} ${id}`).sort(), ['hung a', 'hung b', 'hung c']);
});

test('once most have moved again, the next silence of most is excused anew', () => {
  const { agents, run } = startCourt(['a', 'b', 'c', 'd']);
  for (let round = 0; round < 6; round += 1) {
    for (const agent of Object.values(agents)) agent.isBeating = false;
    assert.deepEqual(run(5_000), [], `round ${round}`);
    for (const agent of Object.values(agents)) agent.isBeating = true;
    assert.deepEqual(run(3_000), [], `round ${round}`);
  }
});

test('whatever happens, an agent that beats is never accused, nor one while nobody could look', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          silent: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', 'e'), { maxLength: 5 }),
          forMs: fc.integer({ min: 100, max: 9_000 }),
          sleepMs: fc.option(fc.integer({ min: 600, max: 20_000 }), { nil: 0, freq: 4 }),
        }),
        { maxLength: 30 },
      ),
      (story) => {
        const { agents, run, sleep } = startCourt(['a', 'b', 'c', 'd', 'e']);
        const ids = Object.keys(agents) as Id[];
        for (const { silent, forMs, sleepMs } of story) {
          for (const id of ids) agents[id].isBeating = !silent.includes(id);
          if (sleepMs) sleep(sleepMs);
          for (const { id, type, silentMs } of run(forMs)) {
            if (type === 'recovered') continue;
            assert.ok(
              silent.some((one) => one === id),
              `${id} beats and is told ${type}`,
            );
            assert.ok(silentMs >= 2_000 - LOOK_MS, `${id} is told ${type} after ${silentMs} ms`);
          }
        }
      },
    ),
    { numRuns: RUNS, seed: 1 },
  );
});

test('an agent that hangs alone is always told within its time and two looks', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 5_000 }), (others, beforeMs) => {
      const { agents, run } = startCourt(['a', ...Array.from({ length: others }, (_, at) => `n${at}`)]);
      run(beforeMs);
      const hanging = agents.a;
      assert.ok(hanging);
      hanging.isBeating = false;
      assert.deepEqual(types(run(2_000 + 2 * LOOK_MS)), ['hung']);
    }),
    { numRuns: RUNS, seed: 1 },
  );
});

type Id = 'a' | 'b' | 'c' | 'd' | 'e';

interface Played {
  isBeating: boolean;
  isProgressing: boolean;
  isInStorage: boolean;
  phase: AgentSigns['phase'];
  incarnation: number;
}

/** Agents that beat every half heartbeat as long as the test lets them, looked at on time unless it sleeps. */
function startCourt<T extends string>(ids: readonly T[]) {
  const judge = createHangJudge({ heartbeatMs: HEARTBEAT_MS, lookMs: LOOK_MS });
  const agents = {} as Record<T, Played>;
  for (const id of ids) {
    agents[id] = {
      isBeating: true,
      isProgressing: false,
      isInStorage: false,
      phase: 'running',
      incarnation: 1,
    };
  }
  const counts = new Map<T, { beats: number; progress: number }>();
  let nowMs = 0;

  function look(): readonly Verdict[] {
    return judge.look(
      nowMs,
      ids.map((id) => {
        const { isBeating, isProgressing, ...rest } = agents[id];
        const count = counts.get(id) ?? { beats: 1, progress: 0 };
        counts.set(id, count);
        if (isBeating) count.beats = 1 + Math.floor(nowMs / (HEARTBEAT_MS / 2));
        if (isProgressing) count.progress += 1;
        return { id, ...rest, ...count, hangMs: 2_000, nativeStallMs: 60_000 };
      }),
    );
  }

  return {
    agents,
    run(forMs: number): readonly Verdict[] {
      const told: Verdict[] = [];
      for (const endMs = nowMs + forMs; nowMs + LOOK_MS <= endMs; ) {
        nowMs += LOOK_MS;
        told.push(...look());
      }
      return told;
    },
    sleep(ms: number): void {
      nowMs += ms;
      look();
    },
  };
}

function types(told: readonly Verdict[]): readonly string[] {
  return told.map(({ type }) => type);
}
