import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import { systemClock } from '../../src/contract/clock.ts';
import { AppError } from '../../src/contract/errors.ts';
import { ECHO_SETTINGS } from '../../src/contract/model-settings.ts';
import { createEchoModel } from '../../src/models/echo.ts';
import type { ModelMessage, ModelRequest, StreamPart, ToolCall } from '../../src/models/provider.ts';
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

describe('the echo model with tools', () => {
  const tools = [{ name: 'look', description: '', inputSchema: { type: 'object' } }];
  const echo = createEchoModel({ delayMs: 0, clock: systemClock });
  const said = 'Hello\n/tool look {"at": "the sky"}\n/tool look\n/then\n/tool look {broken';
  const step = async (messages: readonly ModelMessage[]) =>
    read(echo.stream({ ...request(''), tools, messages: [{ role: 'user', text: said }, ...messages] }));

  test('calls what each line says, step by step, and then answers with the results', async () => {
    const first = await step([]);
    const calls = first.flatMap((part) => (part.type === 'tool_call' ? [part.call] : []));
    assert.deepEqual(
      calls.map(({ name, input }) => [name, input]),
      [
        ['look', { at: 'the sky' }],
        ['look', {}],
      ],
    );
    assert.deepEqual(first.at(-1), { type: 'finish', reason: 'tool_calls' });
    const answered = (toolCalls: readonly ToolCall[], isError: boolean): readonly ModelMessage[] => [
      { role: 'assistant', text: '', toolCalls },
      { role: 'tool', results: toolCalls.map(({ id, name }) => ({ id, name, text: `saw ${id}`, isError })) },
    ];
    const second = await step(answered(calls, false));
    const more = second.flatMap((part) => (part.type === 'tool_call' ? [part.call] : []));
    assert.deepEqual(
      more.map(({ input }) => input),
      ['{broken'],
    );
    assert.equal(new Set([...calls, ...more].map(({ id }) => id)).size, 3);
    assert.deepEqual(await step([...answered(calls, false), ...answered(more, true)]), [
      {
        type: 'text',
        delta: `echo: Hello\nlook: saw ${calls[0]?.id}\nlook: saw ${calls[1]?.id}\nlook failed: saw ${more[0]?.id}`,
      },
      { type: 'finish', reason: 'stop' },
    ]);
  });

  test('says back what it is told where it is offered none', async () => {
    const [part] = await read(echo.stream(request(said)));
    assert.deepEqual(part, { type: 'text', delta: `echo: ${said}` });
  });
});

describe('claude-cli', () => {
  const settings = { ...ECHO_SETTINGS, provider: 'claude-cli', modelId: 'claude-sonnet-4-6' };

  test('is not to be had for a single question: the message names it and the replacement', async () => {
    await assert.rejects(read(createModel(settings, systemClock).stream(request('hi'))), (error) => {
      assert.ok(AppError.is(error) && error.code === 'model.unavailable', String(error));
      assert.match(error.message, /claude-cli.*anthropic:claude-sonnet-4-6.*ANTHROPIC_API_KEY/s);
      return true;
    });
  });

  test('is not warned of at the start where its SDK is installed, nor is the echo model', () => {
    assert.deepEqual(modelWarnings(settings, tmpdir()), []);
    assert.deepEqual(modelWarnings(ECHO_SETTINGS, tmpdir()), []);
  });

  test('is called as the reference calls it, any other model by its runtime id', () => {
    assert.equal(modelLabel(settings), 'claude-cli/claude-sonnet-4-6');
    assert.equal(modelLabel({ ...settings, modelId: undefined }), 'claude-cli');
    assert.equal(modelLabel({ ...settings, provider: 'zai' }), 'zai:claude-sonnet-4-6');
  });
});
