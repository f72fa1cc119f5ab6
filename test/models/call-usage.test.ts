import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Wire } from '../../src/contract/vendors.ts';
import type { CallTarget } from '../../src/models/call-target.ts';
import { UNKNOWN_USAGE, usageInChunk, usageOf } from '../../src/models/call-usage.ts';
import { providerAt } from '../fixtures/model-double.ts';

/** What each vendor sends before a stream breaks. */
const CHUNKS: Readonly<Record<Wire, readonly unknown[]>> = {
  openai: [
    { type: 'response.created', response: { id: 'r', usage: null } },
    { type: 'response.completed', response: { usage: { input_tokens: 120, output_tokens: 30 } } },
  ],
  'openai-chat': [{ choices: [] }, { choices: [], usage: { prompt_tokens: 120, completion_tokens: 30 } }],
  anthropic: [
    {
      type: 'message_start',
      message: {
        usage: {
          input_tokens: 20,
          cache_read_input_tokens: 70,
          cache_creation_input_tokens: 30,
          output_tokens: 1,
        },
      },
    },
    { type: 'content_block_delta', delta: { text: 'x' } },
    { type: 'message_delta', usage: { output_tokens: 30 } },
  ],
  google: [
    { usageMetadata: { promptTokenCount: 120 } },
    { usageMetadata: { candidatesTokenCount: 10, thoughtsTokenCount: 20 } },
  ],
};

for (const [wire, chunks] of Object.entries(CHUNKS)) {
  test(`what a broken stream of ${wire} cost is what it said last`, () => {
    const usage = chunks.reduce(
      (known: typeof UNKNOWN_USAGE, chunk) => usageInChunk(chunk, known),
      UNKNOWN_USAGE,
    );
    assert.deepEqual([usage.input, usage.output], [120, 30]);
    if (wire === 'anthropic') assert.deepEqual([usage.cacheRead, usage.cacheWrite], [70, 30]);
  });
}

test('chunks that are no objects, or say nothing of usage, change nothing', () => {
  for (const chunk of [
    undefined,
    null,
    7,
    'usage',
    [],
    {},
    { usage: 'much' },
    { usage: { input_tokens: 'x' } },
  ]) {
    assert.deepEqual(usageInChunk(chunk, UNKNOWN_USAGE), UNKNOWN_USAGE);
  }
});

test('the price that OpenRouter names is taken, one that another provider names is not', () => {
  const target = (provider: string): CallTarget => ({
    runtimeId: `${provider}:m`,
    provider,
    model: 'm',
    label: provider,
    settings: providerAt('http://127.0.0.1:1/v1', 'openai-chat'),
  });
  const usage = {
    inputTokens: { total: 9, noCache: 4, cacheRead: 5, cacheWrite: 0 },
    outputTokens: { total: 3, text: 1, reasoning: 2 },
    raw: { cost: 0.0125 },
  };
  const counted = { input: 9, output: 3, cacheRead: 5, cacheWrite: 0, reasoning: 2 };
  assert.deepEqual(usageOf(usage, target('openrouter')), { ...counted, costUsd: 0.0125 });
  assert.deepEqual(usageOf(usage, target('groq')), counted);
});
