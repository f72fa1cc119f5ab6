import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import type { ModelRequest, StreamPart } from '../../src/models/provider.ts';
import { until } from '../fixtures/turns.ts';
import { startRest } from './rest-fixture.ts';
import { rowsOf, tokens } from './usage-fixture.ts';

const SOURCE = `
model: {provider: smart, fallbacks: ["openai:gpt-4o"]}
providers:
  shop: {base_url: "https://shop.example/v1", models: [off, dear, other], disabled_models: [off]}
  bare: {base_url: "https://bare.example/v1"}
  openai: {}
`;

async function* ready({ model }: ModelRequest): AsyncGenerator<StreamPart, void> {
  yield { type: 'reasoning', delta: 'hm' };
  yield { type: 'text', delta: 'rea' };
  yield { type: 'text', delta: 'dy' };
  yield { type: 'usage', usage: tokens(20, 2), model: model ?? '' };
  yield { type: 'finish', reason: 'stop' };
}

test('a test calls the first enabled model of the provider, alone, and is counted', async (t) => {
  const requests: ModelRequest[] = [];
  const stream = (request: ModelRequest) => {
    requests.push(request);
    return ready(request);
  };
  const { ask, made, db } = await startRest(t, { source: SOURCE, stream });
  for (const [path, body] of [
    ['/api/models/shop/test', undefined],
    ['/api/models/shop/test', {}],
    ['/api/providers/test', { provider: ' shop ', model_id: '' }],
  ] as const) {
    assert.deepEqual(await ask('POST', path, body), {
      status: 200,
      body: { ok: true, model: 'shop:dear', response: 'ready' },
    });
  }
  assert.deepEqual(
    requests.map(({ model, system, messages }) => [model, system, messages.length]),
    Array(3).fill(['shop:dear', '', 1]),
  );
  const [settings] = made;
  assert.deepEqual(
    [settings?.provider, settings?.modelId, settings?.fallbacks, settings?.routing, settings?.retry.count],
    ['shop', 'dear', [], undefined, 0],
  );
  assert.deepEqual(
    rowsOf(db).map(({ model, kind, session_id }) => [model, kind, session_id]),
    Array(3).fill(['shop:dear', 'test', 'provider-test']),
  );
});

test('a test takes the model that the request names, also in full and also one that is not listed', async (t) => {
  const { ask } = await startRest(t, { source: SOURCE, stream: ready });
  const models = await Promise.all(
    ['other', 'shop:other', 'off', 'meta-llama/x:free'].map(async (model_id) => {
      const { body } = await ask('POST', '/api/models/shop/test', { model_id });
      return body.model;
    }),
  );
  assert.deepEqual(models, ['shop:other', 'shop:other', 'shop:off', 'shop:meta-llama/x:free']);
});

test('what is not configured is 400 with the reason, and nothing is called', async (t) => {
  const { ask, made } = await startRest(t, { source: SOURCE });
  for (const [provider, reason] of [
    ['nobody', /^Provider 'nobody' not configured/],
    ['openai', /^Provider 'openai' not configured/],
    ['bare', /^No models configured for provider 'bare'/],
  ] as const) {
    const { status, body } = await ask('POST', '/api/providers/test', { provider });
    assert.deepEqual([status, body.ok, body.code], [400, false, 'model.unconfigured']);
    assert.match(body.error, reason);
  }
  const empty = await ask('POST', '/api/providers/test');
  assert.deepEqual([empty.status, empty.body.code], [400, 'request.bad_json']);
  assert.equal(made.length, 0);
});

test('what the provider answers wrongly is 400 with its message, what is our fault keeps its details to itself', async (t) => {
  let error: unknown = new AppError('model.auth', 'shop refuses the key');
  const stream = () => {
    // biome-ignore lint/correctness/useYield: it fails before
    return (async function* (): AsyncGenerator<StreamPart, void> {
      throw error;
    })();
  };
  const { ask, defects } = await startRest(t, { source: SOURCE, stream });
  assert.deepEqual(await ask('POST', '/api/models/shop/test'), {
    status: 400,
    body: { ok: false, error: 'shop refuses the key', code: 'model.auth' },
  });
  error = new TypeError('secret detail');
  const { status, body } = await ask('POST', '/api/models/shop/test');
  assert.deepEqual([status, body], [400, { ok: false, error: 'Internal error', code: 'internal' }]);
  assert.deepEqual(defects, [error]);
});

test('a provider that says nothing is given up after half a minute, whether it listens or not', async (t) => {
  let signal: AbortSignal | undefined;
  const stream = (request: ModelRequest): AsyncIterable<StreamPart> => {
    signal = request.signal;
    return { [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) };
  };
  const { ask, testClock, ledger } = await startRest(t, { source: SOURCE, stream });
  const asked = ask('POST', '/api/models/shop/test');
  await until(() => signal, 'the call');
  testClock.advance(30_000);
  const { status, body } = await asked;
  assert.deepEqual([status, body.ok, body.code], [400, false, 'model.timeout']);
  assert.equal(signal?.aborted, true);
  assert.equal(ledger.summary().reserved, 0);
});

test('a test is refused when the budget is spent', async (t) => {
  const { ask, ledger } = await startRest(t, { source: SOURCE, budgets: { monthlyUsd: 0.001 } });
  const reservation = await ledger.reserve({ model: 'shop:dear', kind: 'chat', inputTokens: 1 });
  reservation.record({ usage: tokens(1_000, 1_000) });
  reservation.release();
  const { status, body } = await ask('POST', '/api/models/shop/test');
  assert.deepEqual([status, body.code], [400, 'budget.exceeded']);
});

test('a test goes by what the file says now', async (t) => {
  const { ask } = await startRest(t, { source: SOURCE, stream: ready });
  assert.equal((await ask('POST', '/api/models/late/test')).body.code, 'model.unconfigured');
  await ask('POST', '/api/models', { name: 'late', base_url: 'https://late.example/v1', models: ['m'] });
  assert.equal((await ask('POST', '/api/models/late/test')).body.model, 'late:m');
});
