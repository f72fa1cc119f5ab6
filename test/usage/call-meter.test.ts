import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createCallMeter } from '../../src/usage/call-meter.ts';
import { DEAR, openLedger, rowsOf, tokens } from './usage-fixture.ts';

async function openStep(t: TestContext) {
  const opened = await openLedger(t, { budgets: { monthlyUsd: 1 } });
  const meter = createCallMeter(opened.ledger, DEAR);
  const step = await meter({ model: undefined, kind: 'chat', inputTokens: 1_000 });
  const rows = () =>
    rowsOf(opened.db).map(({ model, kind, error_code, output_tokens }) => [
      model,
      kind,
      error_code,
      output_tokens,
    ]);
  return { ...opened, step, rows };
}

const part = (more: object = {}) => ({ type: 'usage' as const, usage: tokens(10, 5), model: DEAR, ...more });

test('a step writes down what its stream tells, once', async (t) => {
  const { step, rows, ledger } = await openStep(t);
  assert.ok(ledger.summary().reserved > 0);
  step.take(part({ purpose: 'classifier' }), 0);
  step.take(part({ failed: 'model.overloaded', usage: tokens(0, 0) }), 0);
  step.take(part(), 20);
  step.end(20, undefined);
  step.end(20, 'turn.cancelled');
  step.take(part(), 20);
  assert.deepEqual(rows(), [
    [DEAR, 'classifier', null, 5],
    [DEAR, 'chat', 'model.overloaded', 0],
    [DEAR, 'chat', null, 5],
  ]);
  assert.equal(ledger.summary().reserved, 0);
});

test('a call that was stopped is written down by what had come of it', async (t) => {
  const { step, rows } = await openStep(t);
  step.take(part({ purpose: 'classifier' }), 0);
  step.end(400, 'turn.cancelled');
  assert.deepEqual(rows()[1], [DEAR, 'chat', 'turn.cancelled', 100]);
});

test('a second call that was stopped is not taken for the first one that failed', async (t) => {
  const { step, rows } = await openStep(t);
  step.take(part({ failed: 'model.network', usage: tokens(0, 0) }), 0);
  step.end(0, 'turn.cancelled');
  assert.deepEqual(
    rows().map(([, , error]) => error),
    ['model.network', 'turn.cancelled'],
  );
});

test('a failure that was told is not written twice, and one without a call not at all', async (t) => {
  const { step, rows, ledger } = await openStep(t);
  step.take(part({ failed: 'model.auth', usage: tokens(0, 0) }), 0);
  step.end(0, 'model.auth');
  assert.equal(rows().length, 1);
  const meter = createCallMeter(ledger, 'nobody:x');
  (await meter({ model: undefined, kind: 'chat', inputTokens: 1 })).end(0, 'model.unconfigured');
  assert.equal(rows().length, 1);
});

test('an answer whose provider counts nothing is guessed', async (t) => {
  const { step, rows } = await openStep(t);
  step.end(40, undefined);
  assert.deepEqual(rows(), [[DEAR, 'chat', null, 10]]);
});
