import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLogJoin, type LogEntry } from '../../src/commands/tail/log-overlap.ts';

test('entries that are in the answer and are followed as well are shown once, in order, whenever following began', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ agent: fc.constantFrom('a', 'b', 'c'), step: fc.nat(3) }), { maxLength: 40 }),
      fc.nat(40),
      fc.nat(40),
      fc.nat(40),
      (steps, one, other, shown) => {
        const log = logOf(steps);
        const [begun, answered] = [Math.min(one, other), Math.max(one, other)];
        const join = createLogJoin();
        const seen = [...join.answered(log.slice(0, answered), shown)];
        for (const entry of log.slice(begun)) if (join.isNew(entry)) seen.push(entry);
        assert.deepEqual(seen, log.slice(Math.max(0, Math.min(answered, log.length) - shown)));
      },
    ),
  );
});

test('after the fleet was away, what was missed comes, and nothing that was shown', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ agent: fc.constantFrom('a', 'b'), step: fc.nat(3) }), {
        minLength: 1,
        maxLength: 40,
      }),
      fc.nat(40),
      fc.nat(40),
      (steps, gone, back) => {
        const log = logOf(steps);
        const seenTo = Math.min(log.length, Math.max(1, gone));
        const join = createLogJoin();
        const seen = [...join.answered(log.slice(0, seenTo), 1_000)];
        join.restart();
        const backTo = Math.max(seenTo, back);
        seen.push(...join.answered(log.slice(0, backTo), 0));
        for (const entry of log.slice(seenTo)) if (join.isNew(entry)) seen.push(entry);
        assert.deepEqual(seen, log);
      },
    ),
  );
});

test('a log that was cleared meanwhile begins anew', () => {
  const join = createLogJoin();
  const [first, second] = logOf([
    { agent: 'a', step: 1 },
    { agent: 'a', step: 1 },
  ]);
  assert.ok(first && second);
  assert.deepEqual(join.answered([first], 10), [first]);
  assert.deepEqual(join.answered([second], 10), [second]);
  assert.equal(join.isNew(second), false);
});

/** No two entries of an agent are the same: a log line has its content. */
function logOf(steps: readonly { readonly agent: string; readonly step: number }[]): readonly LogEntry[] {
  let ts = 1;
  return steps.map(({ agent, step }, at) => {
    ts += step / 1000;
    return { agent, ts, event: 'turn.done', turn_id: `1-${at}` };
  });
}
