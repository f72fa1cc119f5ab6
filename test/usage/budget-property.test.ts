import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { systemClock } from '../../src/contract/clock.ts';
import { AppError } from '../../src/contract/errors.ts';
import { openDatabase } from '../../src/storage/database.ts';
import type { Reservation } from '../../src/usage/ledger.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { DEAR, ledgerOn, tokens } from './usage-fixture.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 60);

/** Cents, so that a budget of some dozen of them is spent soon: 10,000 tokens in are one. */
const CENT_TOKENS = 10_000;

const step = fc.oneof(
  {
    weight: 7,
    arbitrary: fc.record({ do: fc.constant('reserve' as const), atMost: fc.integer({ min: 1, max: 9 }) }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constant('settle' as const),
      which: fc.nat(20),
      /** Of what was set aside. */
      share: fc.oneof(fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('crash' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('next day' as const) }) },
);

interface Open {
  readonly reservation: Reservation;
  readonly atMost: number;
}

test('whatever is reserved, settled, dropped and crashed, budgets are overshot by one call at most', async () => {
  const db = await openDatabase(':memory:', systemClock);
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 1, max: 30 }),
      fc.array(step, { minLength: 30, maxLength: 120, size: 'max' }),
      async (monthlyCents, dailyCents, steps) => {
        db.exec('DELETE FROM usage_log; DELETE FROM usage_calls; DELETE FROM budget_marks');
        const clock = createTestClock();
        const budgets = { monthlyUsd: monthlyCents / 100, dailyUsd: dailyCents / 100 };
        let { ledger } = ledgerOn(db, { budgets, clock });
        let open: Open[] = [];
        let waiting = 0;
        let largest = 0;

        for (const one of steps) {
          if (one.do === 'reserve') {
            const of = ledger;
            waiting += 1;
            ledger
              .reserve({
                model: DEAR,
                kind: 'chat',
                inputTokens: one.atMost * CENT_TOKENS,
                outputTokensMax: 0,
              })
              .then(
                (reservation) => {
                  waiting -= 1;
                  if (of === ledger) open.push({ reservation, atMost: one.atMost });
                },
                (error: unknown) => {
                  waiting -= 1;
                  assert.ok(AppError.is(error));
                },
              );
          } else if (one.do === 'crash') {
            // What runs is lost with the thread, its cost too: no budget can know of it.
            ledger.close();
            open = [];
            ({ ledger } = ledgerOn(db, { budgets, clock }));
          } else if (one.do === 'next day') clock.advance(86_400_000);
          else {
            const [found] = open.splice(one.which % Math.max(1, open.length), 1);
            if (found && one.do === 'settle') {
              const cents = found.atMost * one.share;
              const cost = found.reservation.record({ usage: tokens(Math.floor(cents * CENT_TOKENS), 0) });
              largest = Math.max(largest, cost ?? 0);
            }
            found?.reservation.release();
          }
          await new Promise((resolve) => setImmediate(resolve));
          // Those of an earlier day may still be running: what is set aside is what they may add.
          assert.equal(ledger.summary().reserved > 0 || waiting === 0, true, 'nobody waits for nothing');
        }
        const sums = (period: string) =>
          db.prepare(`SELECT sum(cost) AS usd FROM usage_log GROUP BY ${period}`).pluck().all() as number[];
        const isWithin = (budgetUsd: number) => (usd: number) => usd <= budgetUsd + largest + 1e-9;
        assert.ok(sums('year_month').every(isWithin(budgets.monthlyUsd)));
        assert.ok(sums("date(timestamp, 'unixepoch')").every(isWithin(budgets.dailyUsd)));
        ledger.close();
      },
    ),
    { numRuns: RUNS },
  );
  db.close();
});
