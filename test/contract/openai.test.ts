/** OpenAI's own client against a gateway with real turns, over each transport. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import OpenAI, { APIError, APIUserAbortError } from 'openai';
import { createAgentCompletions } from '../../src/actors/agent-completions.ts';
import { AppError } from '../../src/contract/errors.ts';
import { ECHO_SETTINGS } from '../../src/contract/model-settings.ts';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { TRANSPORTS } from '../fixtures/both-transports.ts';
import { within } from '../fixtures/transport-bench.ts';
import { until } from '../fixtures/turns.ts';
import { type GatewayOptions, startGateway, type TestGateway, TOKEN } from '../fixtures/ws-gateway.ts';

interface Started {
  readonly gateway: TestGateway;
  readonly openai: OpenAI;
  readonly completions: { stop(): void };
}

async function start(
  t: TestContext,
  factory: TransportFactory,
  options: GatewayOptions = {},
): Promise<Started> {
  let completions = { stop: () => {} };
  const gateway = await startGateway(t, factory, {
    ...options,
    services: ({ engine: turns, ...parts }) => {
      const own = { turns, remembers: false, agentName: 'tester', settings: ECHO_SETTINGS };
      const made = createAgentCompletions({
        ...parts,
        ...own,
        keepImages: async () => [],
        onDefect: assert.fail,
      });
      completions = made;
      return { completions: made };
    },
  });
  const baseURL = `http://127.0.0.1:${gateway.port}/v1`;
  const openai = new OpenAI({ baseURL, apiKey: TOKEN, maxRetries: 0 });
  return { gateway, openai, completions };
}

const PNG_URL = 'data:image/png;base64,aGVsbG8=';
const soon = <T>(check: () => T | undefined | false, what: string) => until(check, what, 15_000);
const user = (content: string) => ({ role: 'user', content }) as const;

function failsWith(status: number, code: string, message?: RegExp) {
  return (error: unknown): true => {
    assert.ok(error instanceof APIError, String(error));
    assert.deepEqual([error.status, error.code], [status, code], error.message);
    if (message) assert.match(error.message, message);
    return true;
  };
}

for (const [name, factory] of TRANSPORTS) {
  test(`${name}: lists the models of the agent, and answers whole and in pieces`, async (t) => {
    const { gateway, openai } = await start(t, factory, { model: 'echo', token: TOKEN });
    assert.deepEqual(
      (await openai.models.list()).data.map(({ id }) => id),
      ['echo'],
    );
    assert.equal((await openai.models.retrieve('echo')).object, 'model');

    const whole = await openai.chat.completions.create({ model: 'echo', messages: [user('hello')] });
    const { index, message, finish_reason } = whole.choices[0]!;
    assert.deepEqual([whole.model, index, finish_reason], ['echo', 0, 'stop']);
    assert.deepEqual([message.role, message.content], ['assistant', 'echo: hello']);
    assert.deepEqual([whole.usage?.prompt_tokens, whole.usage?.total_tokens], [0, 0]);

    const stream = await openai.chat.completions.create({
      ...{ model: 'default', stream: true, stream_options: { include_usage: true } },
      messages: [user('hello'), { role: 'assistant', content: 'echo: hello' }, user('and again')],
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    assert.equal(
      chunks.map(({ choices: [choice] }) => choice?.delta.content ?? '').join(''),
      'echo: and again',
    );
    assert.deepEqual(
      chunks.map(({ choices: [choice] }) => choice?.finish_reason).filter((reason) => reason),
      ['stop'],
    );
    assert.equal(chunks.at(-1)?.usage?.total_tokens, 0);
    assert.deepEqual(
      gateway.rows().map(({ state, text }) => [state, text]),
      [
        ['done', 'hello'],
        ['done', 'and again'],
      ],
    );
  });

  test(`${name}: answers as responses, whole and in events, and goes on where one has ended`, async (t) => {
    const { gateway, openai } = await start(t, factory, { model: 'echo' });
    const whole = await openai.responses.create({ model: 'echo', input: 'hello' });
    assert.deepEqual(
      [whole.status, whole.output_text, whole.usage?.total_tokens],
      ['completed', 'echo: hello', 0],
    );

    const types: string[] = [];
    const stream = openai.responses.stream({
      ...{ model: 'echo', previous_response_id: whole.id, instructions: 'Be brief.' },
      input: [user('on')],
    });
    for await (const { type } of stream) types.push(type);
    const final = await stream.finalResponse();
    const text = 'echo: [Instructions for this answer]\nBe brief.\n[End of the instructions]\n\non';
    assert.deepEqual([final.output_text, final.status], [text, 'completed']);
    assert.deepEqual([types[0], types.at(-1)], ['response.created', 'response.completed']);
    assert.ok(types.includes('response.output_text.delta'));
    const [first, second] = gateway.rows();
    assert.equal(second?.session_id, first?.session_id);
    await assert.rejects(
      openai.responses.create({ model: 'echo', input: 'x', previous_response_id: 'resp_none' }),
      failsWith(404, 'completion.not_found'),
    );
  });

  for (const stream of [false, true]) {
    test(`${name}: a request that is given up stops its turn, and no other, ${stream ? 'streamed' : 'whole'}`, async (t) => {
      const { gateway, openai } = await start(t, factory);
      const other = openai.chat.completions.create({ model: '', messages: [user('other')] });
      const gone = new AbortController();
      const body = { model: '', stream, messages: [user('mine')] };
      const asked = openai.chat.completions.create(body, { signal: gone.signal });
      const failed = assert.rejects(asked, APIUserAbortError);
      const { calls } = gateway.model;
      const mine = await soon(() => calls.find(({ text }) => text === 'mine'), 'the call');
      gone.abort();
      await failed;
      await soon(() => mine.signal.aborted, 'the call is stopped');
      const held = await soon(() => calls.find(({ text }) => text === 'other'), 'the other call');
      held.answer('still here');
      assert.equal((await within(other)).choices[0]?.message.content, 'still here');
      const ends = () => gateway.rows().map(({ text, state }) => `${text} ${state}`);
      await soon(() => ends().sort().join() === 'mine cancelled,other done', 'both have ended');
    });
  }

  test(`${name}: an agent that goes says so to whoever waits, whole and streamed`, async (t) => {
    const { gateway, openai, completions } = await start(t, factory);
    const failures = [false, true].map((stream) =>
      assert.rejects(
        openai.chat.completions.create({ model: '', stream, messages: [user('wait')] }),
        failsWith(503, 'agent.stopping'),
      ),
    );
    await soon(() => gateway.model.calls.length === 2, 'both wait');
    completions.stop();
    await within(Promise.all(failures));
    for (const call of gateway.model.calls) call.answer('too late');
    await soon(() => gateway.rows().every(({ state }) => state === 'done'), 'their turns go on');
  });

  test(`${name}: refuses in the shape that the client reads, and says why`, async (t) => {
    const { gateway, openai } = await start(t, factory, { model: 'echo', token: TOKEN });
    const ask = (fields: object) =>
      openai.chat.completions.create({ model: 'echo', messages: [user('x')], ...fields });
    const stranger = new OpenAI({ baseURL: openai.baseURL, apiKey: 'wrong', maxRetries: 0 });
    await assert.rejects(stranger.models.list(), failsWith(401, 'auth.invalid'));
    await assert.rejects(openai.post('/none', { body: {} }), failsWith(404, 'route.not_found'));
    await assert.rejects(ask({ model: 'gpt-4o' }), failsWith(404, 'model.unknown', /gpt-4o.*echo/));
    for (const fields of [
      { tools: [{ type: 'function', function: { name: 'f' } }] },
      { n: 2 },
      { logprobs: true },
      { stop: ['x'] },
      { response_format: { type: 'json_object' } },
      { messages: [{ role: 'tool', tool_call_id: '1', content: 'x' }] },
      { messages: [{ role: 'assistant', content: 'x' }] },
      ...[
        'data:,',
        'data:image/png;base64,',
        'data:image/png,aGVsbG8=',
        'data:image/svg+xml;base64,aGVsbG8=',
        'https://example.com/a.png',
        'http://127.0.0.1/a.png',
      ].map((url) => ({
        messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }],
      })),
      { messages: [{ role: 'system', content: [{ type: 'image_url', image_url: { url: PNG_URL } }] }] },
      { messages: [{ role: 'user', content: [{ type: 'input_file', file_id: 'f' }] }] },
      { messages: [] },
    ]) {
      await assert.rejects(
        ask(fields),
        failsWith(400, 'request.invalid', new RegExp(Object.keys(fields)[0] ?? '')),
      );
    }
    assert.deepEqual(gateway.rows(), []);
    const harmless = { temperature: 0.5, max_tokens: 5, seed: 1, tools: [], n: 1, stop: null };
    assert.equal((await ask(harmless)).choices[0]?.message.content, 'echo: x');
  });

  test(`${name}: a turn that fails has its status, and is not asked for again by itself`, async (t) => {
    const { gateway } = await start(t, factory);
    const baseURL = `http://127.0.0.1:${gateway.port}/v1`;
    const openai = new OpenAI({ baseURL, apiKey: 'none' });
    for (const stream of [false, true]) {
      const calls = gateway.model.calls.length;
      const asked = openai.chat.completions.create({ model: '', stream, messages: [user('x')] });
      const failed = assert.rejects(asked, failsWith(503, 'model.overloaded', /busy/));
      const call = await soon(() => gateway.model.calls[calls], 'the call');
      call.fail(new AppError('model.overloaded', 'The provider is busy'));
      await within(failed);
      assert.equal(gateway.rows().length, calls + 1);
    }
  });

  test(`${name}: the same key is the same turn, and one that was given up is there to be fetched`, async (t) => {
    const { gateway, openai } = await start(t, factory);
    const body = { model: '', messages: [user('x')] };
    const headers = { 'Idempotency-Key': 'k1' };
    const gone = new AbortController();
    const failed = assert.rejects(
      openai.chat.completions.create(body, { headers, signal: gone.signal }),
      APIUserAbortError,
    );
    const call = await soon(() => gateway.model.calls[0], 'the call');
    gone.abort();
    await failed;
    const again = openai.chat.completions.create(body, { headers });
    call.answer('once');
    assert.equal((await within(again)).choices[0]?.message.content, 'once');
    const late = await openai.chat.completions.create(body, { headers });
    assert.deepEqual([late.choices[0]?.message.content, gateway.model.calls.length], ['once', 1]);
  });
}
