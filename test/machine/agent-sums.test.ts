import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Heartbeat, TURN_SECONDS } from '../../src/contract/worker-protocol.ts';
import { type AgentSums, createSumsKeeper, NO_SUMS } from '../../src/supervisor/agent-sums.ts';

test('what an incarnation counts from zero goes on where the one before it ended', () => {
  const keeper = createSumsKeeper();
  assert.deepEqual(keeper.note(1, undefined), NO_SUMS);
  keeper.note(1, beat(2));
  assert.deepEqual(counts(keeper.note(1, beat(3))), [3, 3, 3]);
  // It is gone; its successor has not been heard of.
  assert.deepEqual(counts(keeper.note(1, undefined)), [3, 3, 3]);
  assert.deepEqual(counts(keeper.note(2, undefined)), [3, 3, 3]);
  assert.deepEqual(counts(keeper.note(2, beat(0))), [3, 3, 3]);
  assert.deepEqual(counts(keeper.note(2, beat(4))), [7, 7, 7]);
  assert.deepEqual(counts(keeper.note(5, beat(1))), [8, 8, 8]);
});

test('no counter ever falls, however an agent restarts, and none is lost but what was never told', () => {
  const lives = fc.array(fc.array(fc.nat(50), { maxLength: 6 }), { maxLength: 8 });
  fc.assert(
    fc.property(lives, (steps) => {
      const keeper = createSumsKeeper();
      let [before, told] = [NO_SUMS, 0];
      steps.forEach((life, at) => {
        let own = 0;
        for (const step of [undefined, ...life, undefined]) {
          own += step ?? 0;
          told += step ?? 0;
          const sums = keeper.note(at + 1, step === undefined ? undefined : beat(own));
          figures(sums).forEach((figure, which) => {
            assert.ok(figure >= (figures(before)[which] ?? 0));
          });
          before = sums;
        }
      });
      assert.deepEqual(counts(before), [told, told, told]);
    }),
  );
});

/** Every figure of it is `count`. */
function beat(count: number): Heartbeat {
  const [outcomes, all] = [{ done: count, failed: count, cancelled: count, interrupted: count }, count];
  return {
    ...{ atMs: 1, lagMs: 0, progress: 0, turnsRunning: 0, turnsWaiting: 0, sockets: 0, task: 1 },
    memory: { heapUsed: 0, external: 0, arrayBuffers: 0 },
    turns: { accepted: all, ...outcomes, took: [...TURN_SECONDS.map(() => all), all], tookMs: all },
    models: { calls: all, failedCalls: all, inputTokens: all, outputTokens: all, costUsd: all },
  };
}

function figures({ turns, models }: AgentSums): readonly number[] {
  return [...Object.values(turns).flat(), ...Object.values(models)];
}

const counts = (sums: AgentSums): number[] => {
  assert.equal(new Set(figures(sums)).size, 1, 'all figures are counted alike');
  return [sums.turns.accepted, sums.turns.took[0] ?? Number.NaN, sums.models.costUsd];
};
