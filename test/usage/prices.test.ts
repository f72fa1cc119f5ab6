import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPrices, pricedTokens } from '../../src/usage/prices.ts';
import { noList, PROVIDERS, tokens } from './usage-fixture.ts';

const AT_MS = Date.UTC(2026, 10, 22);
const entry = (id: string, input?: number, output?: number) => ({
  id,
  inputCostPerMillion: input,
  outputCostPerMillion: output,
});

test('the public list knows the vendors, their caches, and models whose names hold slashes and colons', () => {
  const prices = createPrices({});
  const cost = (model: string, usage = tokens(1_000_000, 0)) => prices.costOf(model, usage, AT_MS);
  assert.deepEqual(cost('openai:gpt-4o-mini', tokens(1_000, 500)), { usd: 0.00045, source: 'list' });
  assert.equal(cost('openrouter:anthropic/claude-3.5-sonnet:beta').source, 'list');
  const plain = cost('anthropic:claude-sonnet-4-6').usd ?? 0;
  const cached = cost('anthropic:claude-sonnet-4-6', tokens(1_000_000, 0, { cacheRead: 1_000_000 })).usd ?? 0;
  assert.ok(plain > 0);
  assert.ok(Math.abs(cached - plain / 10) < 1e-9);
});

test('the Claude command line costs what its model costs; without a model nobody knows', () => {
  const prices = createPrices({});
  const usage = tokens(1_000, 1_000);
  assert.deepEqual(
    prices.costOf('claude-cli/claude-sonnet-4-6', usage, AT_MS),
    prices.costOf('anthropic:claude-sonnet-4-6', usage, AT_MS),
  );
  assert.deepEqual(prices.costOf('claude-cli', usage, AT_MS), { usd: undefined, source: 'unknown' });
  assert.deepEqual(prices.costOf('claude-cli', tokens(1, 1, { costUsd: 0.25 }), AT_MS), {
    usd: 0.25,
    source: 'stated',
  });
});

test('prices of the configuration win over the list, one of them is enough, and the model may be named in full', () => {
  const openai = (...models: ReturnType<typeof entry>[]) =>
    createPrices({ openai: { baseUrl: undefined, models } });
  const million = tokens(1_000_000, 1_000_000);
  const cost = (prices: ReturnType<typeof openai>) => prices.costOf('openai:gpt-4o-mini', million, AT_MS);
  assert.deepEqual(cost(openai(entry('gpt-4o-mini', 2, 3))), { usd: 5, source: 'config' });
  assert.deepEqual(cost(openai(entry('openai:gpt-4o-mini', 2))), { usd: 2, source: 'config' });
  assert.deepEqual(cost(openai(entry('openai/gpt-4o-mini', undefined, 3))), { usd: 3, source: 'config' });
  assert.deepEqual(cost(openai(entry('gpt-4o-mini', 0, 0))), { usd: 0.75, source: 'list' });
  assert.deepEqual(cost(openai(entry('gpt-4o-mini'))), { usd: 0.75, source: 'list' });
});

test('two prices of 0 make a model free that the list does not know', () => {
  const prices = createPrices(PROVIDERS, noList);
  assert.deepEqual(prices.costOf('shop:given', tokens(9, 9), AT_MS), { usd: 0, source: 'config' });
  assert.deepEqual(prices.costOf('shop:secret', tokens(9, 9), AT_MS), { usd: undefined, source: 'unknown' });
});

test('an endpoint of somebody else has no price by the name of its model alone', () => {
  const prices = createPrices({ proxy: { baseUrl: 'https://models.example/v1', models: [] } });
  assert.equal(prices.costOf('proxy:gpt-4o', tokens(1, 1), AT_MS).source, 'unknown');
  assert.equal(prices.costOf('nobody:gpt-4o', tokens(1, 1), AT_MS).source, 'unknown');
  const known = createPrices({ mine: { baseUrl: 'https://api.openai.com/v1', models: [] } });
  assert.equal(known.costOf('mine:gpt-4o', tokens(1, 1), AT_MS).source, 'list');
});

test('models on this machine are free, those of the same name elsewhere are not known', () => {
  const prices = createPrices(
    { ...PROVIDERS, vllm: { baseUrl: 'https://vllm.example/v1', models: [] } },
    noList,
  );
  assert.ok(prices.isFree('ollama:llama3:8b'));
  assert.ok(prices.isFree('lmstudio:x'));
  assert.ok(prices.isFree('echo'));
  assert.ok(!prices.isFree('vllm:x'));
  assert.ok(!prices.isFree('shop:dear'));
  assert.deepEqual(prices.ratesOf('ollama:llama3:8b', AT_MS), { input: 0, output: 0, source: 'free' });
});

test('rates are those of the source that prices a call', () => {
  const prices = createPrices({ ...PROVIDERS });
  const { source, input, output } = prices.ratesOf('openai:gpt-4o-mini', AT_MS);
  assert.equal(source, 'list');
  assert.ok(Math.abs((input ?? 0) - 0.15) < 1e-9);
  assert.ok(Math.abs((output ?? 0) - 0.6) < 1e-9);
  assert.deepEqual(prices.ratesOf('shop:dear', AT_MS), { input: 1, output: 10, source: 'config' });
  assert.deepEqual(prices.ratesOf('shop:secret', AT_MS), {
    input: undefined,
    output: undefined,
    source: 'unknown',
  });
});

test('the list is not opened for what needs no list', () => {
  const prices = createPrices(PROVIDERS, () => assert.fail('opened'));
  prices.costOf('echo', tokens(1, 1), AT_MS);
  prices.costOf('ollama:x', tokens(1, 1), AT_MS);
  prices.costOf('shop:dear', tokens(1, 1), AT_MS);
  prices.costOf('openai:gpt-4o', tokens(1, 1, { costUsd: 1 }), AT_MS);
});

test('odd numbers of a provider become numbers of tokens', () => {
  assert.deepEqual(pricedTokens(tokens(-5, Number.NaN)), {
    input: 0,
    output: 0,
    cacheRead: 0,
    cacheWrite: 0,
  });
  assert.deepEqual(pricedTokens(tokens(10, 2.4, { cacheRead: 30, cacheWrite: 5 })), {
    input: 45,
    output: 2,
    cacheRead: 30,
    cacheWrite: 5,
  });
  const prices = createPrices({});
  assert.equal(prices.costOf('openai:gpt-4o', tokens(10, 2, { costUsd: Number.NaN }), AT_MS).source, 'list');
});
