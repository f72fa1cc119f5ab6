import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import SqliteDatabase from 'better-sqlite3';
import { AppError } from '../../src/contract/errors.ts';
import { ECHO_SETTINGS } from '../../src/contract/model-settings.ts';
import { candidatesIn } from '../../src/usage/ledger.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { DEAR, ledgerOn, openLedger, rowsOf, tokens } from './usage-fixture.ts';

const chat = { model: DEAR, kind: 'chat', inputTokens: 1_000, outputTokensMax: 100 } as const;
/** $0.002: 1,000 tokens in, 100 out. */
const USED = { usage: tokens(1_000, 100) };

const isExceeded = (error: unknown) => AppError.is(error) && error.code === 'budget.exceeded';

describe('the usage ledger', () => {
  test('writes each call where the reference reads it, and beside it what that has no column for', async (t) => {
    const { ledger, db, clock } = await openLedger(t);
    const reservation = await ledger.reserve({ ...chat, sessionId: 5, turnId: '1-2' });
    clock.advance(250);
    const usage = tokens(1_000, 100, { cacheRead: 300, cacheWrite: 200, reasoning: 40 });
    assert.equal(reservation.record({ usage }), 0.002);
    reservation.release();
    const [{ id, ...row } = {}] = rowsOf(db);
    assert.equal(typeof id, 'string');
    assert.deepEqual(row, {
      timestamp: 1_700_000_000.25,
      model: DEAR,
      input_tokens: 1_000,
      output_tokens: 100,
      cost: 0.002,
      session_id: '5',
      year_month: '2023-11',
      kind: 'chat',
      turn_id: '1-2',
      duration_ms: 250,
      cost_usd: 0.002,
      cost_source: 'config',
      estimated: 0,
      cache_read_tokens: 300,
      cache_write_tokens: 200,
      reasoning_tokens: 40,
      error_code: null,
    });
  });

  test('writes every call of a reservation: the classifier, the one that failed, the one that answered', async (t) => {
    const { ledger, db } = await openLedger(t);
    const reservation = await ledger.reserve({ ...chat, model: 'smart' });
    reservation.record({ model: 'shop:given', usage: tokens(10, 1), purpose: 'classifier' });
    reservation.record({ model: DEAR, usage: tokens(0, 0), failed: 'model.overloaded' });
    reservation.record({ model: DEAR, ...USED });
    reservation.release();
    assert.deepEqual(
      rowsOf(db).map(({ model, kind, error_code, cost }) => [model, kind, error_code, cost]),
      [
        ['shop:given', 'classifier', null, 0],
        [DEAR, 'chat', 'model.overloaded', 0],
        [DEAR, 'chat', null, 0.002],
      ],
    );
  });

  test('says that it does not know a price: null beside the 0 of the reference, and once a warning', async (t) => {
    const { ledger, db, logged } = await openLedger(t);
    for (const _ of [1, 2]) {
      const reservation = await ledger.reserve({ ...chat, model: 'shop:secret' });
      assert.equal(reservation.record(USED), undefined);
      reservation.release();
    }
    assert.deepEqual(
      rowsOf(db).map(({ cost, cost_usd, cost_source }) => [cost, cost_usd, cost_source]),
      [
        [0, null, 'unknown'],
        [0, null, 'unknown'],
      ],
    );
    assert.deepEqual(
      logged.map(({ event, fields }) => [event, fields?.model]),
      [['usage.price_unknown', 'shop:secret']],
    );
    assert.deepEqual(ledger.summary().unpriced_calls, { 'shop:secret': 2 });
  });

  test('guesses what a call took that was cut off before its provider could say it', async (t) => {
    const { ledger, db } = await openLedger(t);
    const cut = { usage: tokens(0, 0, {}), emittedChars: 400, failed: 'turn.cancelled' } as const;
    const unsaid = { ...cut, usage: { ...cut.usage, input: undefined, output: undefined } };
    const reservation = await ledger.reserve(chat);
    reservation.record(unsaid);
    reservation.record({ ...unsaid, emittedChars: 0 });
    reservation.release();
    assert.deepEqual(
      rowsOf(db).map((row) => [row.input_tokens, row.output_tokens, row.cost, row.estimated]),
      [
        [1_000, 100, 0.002, 1],
        [0, 0, 0, 0],
      ],
    );
  });

  test('takes what the provider itself says that it cost', async (t) => {
    const { ledger, db } = await openLedger(t);
    const reservation = await ledger.reserve(chat);
    assert.equal(reservation.record({ usage: tokens(1_000, 100, { costUsd: 0.5 }) }), 0.5);
    assert.equal(rowsOf(db)[0]?.cost_source, 'stated');
  });

  test('writes nothing of the echo model', async (t) => {
    const { ledger, db } = await openLedger(t, { budgets: { monthlyUsd: 1 } });
    const reservation = await ledger.reserve({ ...chat, model: 'echo' });
    reservation.record(USED);
    reservation.release();
    assert.deepEqual(rowsOf(db), []);
  });

  test('keeps rows while another program holds the database, counts them, and writes them afterwards', async (t) => {
    const { ledger, db, clock, logged } = await openLedger(t, { budgets: { monthlyUsd: 0.003 } });
    const other = new SqliteDatabase(db.name);
    t.after(() => other.close());
    other.exec('BEGIN IMMEDIATE');
    const first = await ledger.reserve(chat);
    first.record(USED);
    first.release();
    assert.deepEqual(logged.map(({ event }) => event).sort(), ['usage.budget', 'usage.write_failed']);
    assert.deepEqual(rowsOf(db), []);
    assert.equal(ledger.summary().monthly_spend, 0.002);
    other.exec('ROLLBACK');
    clock.advance(1_000);
    assert.equal(rowsOf(db).length, 1);
    assert.equal(db.pragma('synchronous', { simple: true }), 1);
    assert.equal(ledger.summary().monthly_spend, 0.002);
  });

  test('writes what is kept when it is closed, and lets nobody in afterwards', async (t) => {
    const { ledger, db, clock } = await openLedger(t, { budgets: { monthlyUsd: 0.003 } });
    const open = await ledger.reserve(chat);
    const waiting = ledger.reserve(chat);
    const refused = assert.rejects(waiting, { code: 'agent.stopping' });
    ledger.close();
    await refused;
    await assert.rejects(ledger.reserve(chat), { code: 'agent.stopping' });
    open.record(USED);
    clock.advance(10_000);
    assert.deepEqual(rowsOf(db), []);
  });
});

describe('budgets', () => {
  test('refuse the call after the one that spent them, with when they begin anew', async (t) => {
    const { ledger } = await openLedger(t, { budgets: { monthlyUsd: 0.001 } });
    const first = await ledger.reserve(chat);
    first.record(USED);
    first.release();
    await assert.rejects(ledger.reserve(chat), (error: unknown) => {
      assert.ok(AppError.is(error));
      assert.equal(error.code, 'budget.exceeded');
      assert.equal(error.status, 402);
      assert.match(error.message, /model\.monthly_budget/);
      assert.deepEqual(error.details, {
        period: 'month',
        budget_usd: 0.001,
        spent_usd: 0.002,
        resets_at: '2023-12-01T00:00:00Z',
      });
      return true;
    });
  });

  test('of a day end with the UTC day, and those of a month with the month', async (t) => {
    const clock = createTestClock();
    const { ledger } = await openLedger(t, { budgets: { monthlyUsd: 0.003, dailyUsd: 0.001 }, clock });
    const spend = async () => {
      const reservation = await ledger.reserve(chat);
      reservation.record(USED);
      reservation.release();
    };
    await spend();
    await assert.rejects(spend(), (error: unknown) => {
      assert.ok(AppError.is(error));
      assert.deepEqual((error.details as { resets_at: string }).resets_at, '2023-11-15T00:00:00Z');
      return true;
    });
    clock.advance(86_400_000);
    await spend();
    clock.advance(86_400_000);
    await assert.rejects(spend(), /budget of this month/);
    clock.advance(31 * 86_400_000);
    await spend();
    assert.equal(ledger.summary().monthly_spend, 0.002);
  });

  test('let a call wait that may not fit, until those that run have shown what they cost', async (t) => {
    const { ledger } = await openLedger(t, { budgets: { monthlyUsd: 0.003 } });
    const first = await ledger.reserve(chat);
    let state = 'waiting';
    const second = ledger.reserve(chat).then((reservation) => {
      state = 'admitted';
      return reservation;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(state, 'waiting');
    assert.equal(ledger.summary().reserved, 0.002);
    first.record({ usage: tokens(100, 10) });
    first.release();
    (await second).record(USED);
    (await second).release();
    assert.equal(ledger.summary().monthly_spend, 0.0022);
  });

  test('refuse who waits when the money is gone', async (t) => {
    const { ledger } = await openLedger(t, { budgets: { monthlyUsd: 0.003 } });
    const first = await ledger.reserve(chat);
    const refused = assert.rejects(ledger.reserve(chat), isExceeded);
    first.record({ usage: tokens(1_000, 1_000) });
    first.release();
    await refused;
  });

  test('let nobody wait longer than is useful, nor after his signal', async (t) => {
    const { ledger, clock } = await openLedger(t, { budgets: { monthlyUsd: 0.003 } });
    const first = await ledger.reserve(chat);
    const late = assert.rejects(ledger.reserve(chat), isExceeded);
    const aborter = new AbortController();
    const stopped = assert.rejects(ledger.reserve({ ...chat, signal: aborter.signal }), /enough/);
    aborter.abort(new Error('enough'));
    await stopped;
    clock.advance(120_000);
    await late;
    first.release();
    (await ledger.reserve(chat)).release();
  });

  test('let in one call even where it may cost more than is left', async (t) => {
    const { ledger } = await openLedger(t, { budgets: { monthlyUsd: 0.0001 } });
    (await ledger.reserve({ ...chat, outputTokensMax: 1_000_000 })).release();
  });

  test('do not hold up what costs nothing, spent or not', async (t) => {
    const { ledger } = await openLedger(t, { budgets: { monthlyUsd: 0.001 } });
    const first = await ledger.reserve(chat);
    first.record(USED);
    first.release();
    const free = await ledger.reserve({ ...chat, model: 'ollama:llama3:8b' });
    assert.equal(free.record({ usage: tokens(5, 5) }), 0);
    free.release();
  });

  test('forget at a start what was set aside, and remember what was spent', async (t) => {
    const budgets = { monthlyUsd: 0.003 };
    const { ledger, db, clock } = await openLedger(t, { budgets });
    const done = await ledger.reserve(chat);
    done.record({ usage: tokens(1_000, 0) });
    done.release();
    await ledger.reserve(chat);
    const again = ledgerOn(db, { budgets, clock }).ledger;
    assert.equal(again.summary().reserved, 0);
    assert.equal(again.summary().monthly_spend, 0.001);
    (await again.reserve(chat)).release();
  });

  test('tell of 50, 80 and 100 % once, also across a start', async (t) => {
    const budgets = { monthlyUsd: 0.01 };
    const { ledger, db, clock, events, logged } = await openLedger(t, { budgets });
    for (let call = 0; call < 4; call += 1) {
      const reservation = await ledger.reserve(chat);
      reservation.record(USED);
      reservation.release();
    }
    assert.deepEqual(
      events.map(({ percent, key, kind }) => [percent, key, kind]),
      [
        [50, '2023-11', 'month'],
        [80, '2023-11', 'month'],
      ],
    );
    assert.equal(logged.filter(({ event }) => event === 'usage.budget').length, 2);
    const again = ledgerOn(db, { budgets, clock });
    const last = await again.ledger.reserve(chat);
    last.record({ usage: tokens(2_000, 100) });
    last.release();
    assert.deepEqual(
      again.events.map(({ percent }) => percent),
      [100],
    );
  });

  test('tell of one that was lowered below what is spent already, and only of the highest mark', async (t) => {
    const { ledger, db, clock } = await openLedger(t, { budgets: { monthlyUsd: 1 } });
    const reservation = await ledger.reserve(chat);
    reservation.record(USED);
    reservation.release();
    const { events } = ledgerOn(db, { budgets: { monthlyUsd: 0.001 }, clock });
    assert.deepEqual(
      events.map(({ percent }) => percent),
      [100],
    );
  });

  test('say what is left of the scarcer one', async (t) => {
    const { ledger, db, clock } = await openLedger(t, { budgets: { monthlyUsd: 0.01, dailyUsd: 0.004 } });
    assert.equal(ledger.budgetRatio(), 1);
    const reservation = await ledger.reserve(chat);
    reservation.record(USED);
    reservation.release();
    assert.equal(ledger.budgetRatio(), 0.5);
    assert.equal(ledgerOn(db, { clock }).ledger.budgetRatio(), 1);
    assert.equal(ledgerOn(db, { clock, budgets: { monthlyUsd: 0.001 } }).ledger.budgetRatio(), 0);
  });

  test('set aside what the dearest model may cost that a call may come to', () => {
    const routing = {
      simple: 'a:1',
      medium: 'a:2',
      hard: 'a:3',
      fallback: 'a:4',
      classifier: 'a:5',
      others: ['a:6'],
    };
    const candidates = candidatesIn({ ...ECHO_SETTINGS, routing, fallbacks: ['b:1'] });
    assert.deepEqual(candidates('smart'), ['a:1', 'a:2', 'a:3', 'a:4', 'b:1']);
    assert.deepEqual(candidates('c:1'), ['c:1', 'b:1']);
  });
});
