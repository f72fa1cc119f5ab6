import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CommandContext, runCommand } from '../../src/gateway/ws/commands.ts';
import { startRest } from './rest-fixture.ts';
import { DEAR, ledgerOn, tokens } from './usage-fixture.ts';

const SUMMARY = {
  monthly_spend: 0,
  monthly_budget: 0,
  remaining: null,
  by_model: {},
  daily_spend: 0,
  daily_budget: 0,
  daily_remaining: null,
  reserved: 0,
  calls: 0,
  failed_calls: 0,
  unpriced_calls: {},
};

test('a new agent has spent nothing and has no prices to show', async (t) => {
  const { ask } = await startRest(t);
  assert.deepEqual(await ask('GET', '/api/usage'), { status: 200, body: SUMMARY });
  assert.deepEqual((await ask('GET', '/api/usage/daily')).body, { entries: [] });
  assert.deepEqual((await ask('GET', '/api/usage/pricing')).body, { pricing: {} });
});

test('usage sums up the month, with any model and not only with a router', async (t) => {
  const { ask, ledger, clock } = await startRest(t, { budgets: { monthlyUsd: 1, dailyUsd: 0.5 } });
  const reservation = await ledger.reserve({
    model: DEAR,
    kind: 'chat',
    inputTokens: 1_000,
    outputTokensMax: 100,
  });
  reservation.record({ usage: tokens(1_000, 100) });
  reservation.record({ usage: tokens(0, 0), failed: 'model.network' });
  clock.advance(86_400_000);
  reservation.record({ model: 'shop:secret', usage: tokens(7, 7) });
  assert.deepEqual((await ask('GET', '/api/usage')).body, {
    ...SUMMARY,
    monthly_spend: 0.002,
    monthly_budget: 1,
    remaining: 0.998,
    by_model: { [DEAR]: 0.002, 'shop:secret': 0 },
    daily_budget: 0.5,
    daily_remaining: 0.5,
    reserved: 0.002,
    calls: 3,
    failed_calls: 1,
    unpriced_calls: { 'shop:secret': 1 },
  });
  const context: Partial<CommandContext> = { usage: ledger.summary };
  assert.equal(runCommand('usage', context as CommandContext).text, 'Spent this month: $0.0020 of $1.0000 (2 models)');
});

test('rows of the reference count with ours', async (t) => {
  const { ask, db, clock } = await startRest(t);
  const row = db.prepare('INSERT INTO usage_log VALUES (?, ?, ?, 1000, 500, ?, NULL, ?)');
  row.run('a', clock.wallMs() / 1000, 'openai:gpt-4o-mini', 0.00045, '2023-11');
  row.run('b', clock.wallMs() / 1000 - 8 * 86_400, 'openai:gpt-4o', 0.5, '2023-11');
  row.run('c', clock.wallMs() / 1000, 'unheard:of', 0, '2023-11');
  const { entries } = (await ask('GET', '/api/usage/daily?days=7')).body;
  assert.deepEqual(entries[0], {
    date: '2023-11-14',
    model: 'openai:gpt-4o-mini',
    cost: 0.00045,
    input_tokens: 1000,
    output_tokens: 500,
    request_count: 1,
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    reasoning_tokens: 0,
    failed_count: 0,
    unpriced_count: 0,
  });
  assert.deepEqual(
    entries.map(({ model }: { model: string }) => model),
    ['openai:gpt-4o-mini', 'unheard:of'],
  );
  assert.equal((await ask('GET', '/api/usage/daily?days=30')).body.entries.length, 3);
  const { pricing } = (await ask('GET', '/api/usage/pricing')).body;
  assert.deepEqual(pricing['unheard:of'], {
    input_cost_per_million: 0,
    output_cost_per_million: 0,
    source: 'unknown',
  });
  // One that was open before they came would not look again: nobody else writes while an agent runs.
  assert.equal(ledgerOn(db, { clock }).ledger.summary().monthly_spend, 0.50045);
});

test('days are listed newest first, the dearest model of a day first', async (t) => {
  const { ask, db, clock } = await startRest(t);
  const row = db.prepare('INSERT INTO usage_log VALUES (?, ?, ?, 1, 1, ?, NULL, ?)');
  const now = clock.wallMs() / 1000;
  row.run('a', now - 86_400, 'a', 3, '2023-11');
  row.run('b', now, 'b', 1, '2023-11');
  row.run('c', now, 'c', 2, '2023-11');
  const { entries } = (await ask('GET', '/api/usage/daily')).body;
  assert.deepEqual(
    entries.map(({ model }: { model: string }) => model),
    ['c', 'b', 'a'],
  );
});

test('a number of days that is none is 400, and one that reaches back nowhere gives nothing', async (t) => {
  const { ask } = await startRest(t);
  for (const days of ['many', '1.5', '367', '1e99', 'NaN']) {
    const { status, body } = await ask('GET', `/api/usage/daily?days=${days}`);
    assert.deepEqual(
      [status, body.code, body.details.issues[0].field],
      [400, 'request.invalid', 'query.days'],
    );
  }
  for (const days of ['0', '-3']) {
    assert.deepEqual(await ask('GET', `/api/usage/daily?days=${days}`), {
      status: 200,
      body: { entries: [] },
    });
  }
});

test('a database that cannot be read is 503 and no defect', async (t) => {
  const { ask, db, appDefects } = await startRest(t);
  db.exec('DROP TABLE usage_calls');
  const { status, body } = await ask('GET', '/api/usage');
  assert.deepEqual([status, body.code, appDefects], [503, 'storage.unavailable', []]);
});
