import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { systemClock } from '../../src/contract/clock.ts';
import { AppError } from '../../src/contract/errors.ts';
import { ECHO_SETTINGS } from '../../src/contract/model-settings.ts';
import { createEchoModel } from '../../src/models/echo.ts';
import type { ModelRequest, StreamPart } from '../../src/models/provider.ts';
import { createModel, modelLabel, modelWarnings } from '../../src/models/registry.ts';

const request = (text: string, signal = new AbortController().signal): ModelRequest => ({
  model: undefined,
  system: '',
  messages: [{ role: 'user', text }],
  signal,
});

async function read(parts: AsyncIterable<StreamPart>): Promise<readonly StreamPart[]> {
  const all: StreamPart[] = [];
  for await (const part of parts) all.push(part);
  return all;
}

describe('the echo model', () => {
  test('says back what it was told, and ends', async () => {
    const parts = await read(createEchoModel({ delayMs: 0, clock: systemClock }).stream(request('hi there')));
    assert.deepEqual(parts, [
      { type: 'text', delta: 'echo: hi there' },
      { type: 'finish', reason: 'stop' },
    ]);
  });

  test('with a delay streams words that join to the same text, white space and all', async () => {
    const text = '  two\n\nlines\tand  more ';
    const parts = await read(createEchoModel({ delayMs: 1, clock: systemClock }).stream(request(text)));
    const deltas = parts.flatMap((part) => (part.type === 'text' ? [part.delta] : []));
    assert.equal(deltas.join(''), `echo: ${text}`);
    assert.ok(deltas.length > 3, `${deltas.length} parts`);
  });

  test('stops in the middle of a pause when it is aborted', async () => {
    const abort = new AbortController();
    const endless = { ...systemClock, setTimeout: () => 0, clearTimeout: () => {} };
    const reading = read(createEchoModel({ delayMs: 1, clock: endless }).stream(request('hi', abort.signal)));
    abort.abort(new Error('enough'));
    await assert.rejects(reading, /enough/);
  });
});

describe('claude-cli', () => {
  const settings = { ...ECHO_SETTINGS, provider: 'claude-cli', modelId: 'claude-sonnet-4-6' };

  test('ends each turn with model.unavailable, which names it and the replacement', async () => {
    await assert.rejects(read(createModel(settings, systemClock).stream(request('hi'))), (error) => {
      assert.ok(AppError.is(error) && error.code === 'model.unavailable', String(error));
      assert.match(
        error.message,
        /claude-cli.*provider: anthropic, model_id: claude-sonnet-4-6.*ANTHROPIC_API_KEY/s,
      );
      return true;
    });
  });

  test('is warned of at the start', () => {
    assert.deepEqual(
      modelWarnings(settings).map(({ code }) => code),
      ['model.unavailable'],
    );
    assert.deepEqual(modelWarnings(ECHO_SETTINGS), []);
  });

  test('is called as the reference calls it, any other model by its runtime id', () => {
    assert.equal(modelLabel(settings), 'claude-cli/claude-sonnet-4-6');
    assert.equal(modelLabel({ ...settings, modelId: undefined }), 'claude-cli');
    assert.equal(modelLabel({ ...settings, provider: 'zai' }), 'zai:claude-sonnet-4-6');
  });
});
