/** Real wires, spoken by a published double: what comes out of each is the same. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { LLMock } from '@copilotkit/aimock';
import { systemClock } from '../../src/contract/clock.ts';
import { AppError, type ErrorCode } from '../../src/contract/errors.ts';
import type { Wire } from '../../src/contract/vendors.ts';
import type { ModelMessage, ModelProvider, StreamPart } from '../../src/models/provider.ts';
import { createModel } from '../../src/models/registry.ts';
import {
  ask,
  collect,
  MODEL_OF,
  settingsAt,
  startDouble,
  stopDouble,
  textOf,
  usagesOf,
  WIRES,
} from '../fixtures/model-double.ts';

const ANSWER = 'A rather long answer, which comes in several pieces.';
const TOOLS = ['look', 'hear'].map((name) => ({
  name,
  description: `Lets you ${name}.`,
  inputSchema: { type: 'object', properties: { at: { type: 'string' } } },
}));
const CALLS = [
  { name: 'look', arguments: '{"at":"the sky"}' },
  { name: 'hear', arguments: '{"at":"the sea","loud":[1,2]}' },
];

/** As each vendor says it. */
const USAGE: Readonly<Record<Wire, object>> = {
  openai: { input_tokens: 120, output_tokens: 30 },
  'openai-chat': { prompt_tokens: 120, completion_tokens: 30 },
  anthropic: { input_tokens: 120, output_tokens: 30 },
  google: { promptTokenCount: 120, candidatesTokenCount: 30 },
};

let double: LLMock;
let model: ModelProvider;

/** Bodies as they came: the double keeps them in a form of its own. */
const seen: string[] = [];

before(async () => {
  double = await startDouble();
  double.mount('/seen', {
    handleRequest: async (request, response) => {
      seen.push(Buffer.concat(await request.toArray()).toString());
      response.writeHead(400).end();
      return true;
    },
  });
  model = createModel(settingsAt(double.url), systemClock);
  for (const wire of WIRES)
    double.onMessage(`answer ${wire}`, { content: ANSWER, usage: USAGE[wire] } as object as never);
  double.onMessage('think', { content: ANSWER, reasoning: 'That wants some thought.' });
  double.onMessage('call tools', { content: 'Looking.', toolCalls: CALLS });
  const thought = { reasoning: 'That wants some thought.', reasoningSignature: 'vouched' };
  double.onMessage('reason first', { ...thought, content: 'Looking.', toolCalls: CALLS });
  double.onMessage('empty', { content: '' });
  double.onMessage('malformed', { content: ANSWER }, { chaos: { malformedRate: 1 } });
  for (const [name, { response, retryAfter }] of Object.entries(FAILURES)) {
    const { status, ...error } = response;
    double.onMessage(name, { error, status, ...(retryAfter === undefined ? {} : { retryAfter }) });
  }
});

after(() => stopDouble(double));

interface Failing {
  readonly response: {
    readonly status: number;
    readonly message: string;
    readonly type?: string;
    readonly code?: string;
  };
  readonly retryAfter?: number;
  readonly code: ErrorCode;
  readonly says: RegExp;
}

const FAILURES: Readonly<Record<string, Failing>> = {
  'wrong key': {
    response: { status: 401, message: 'Incorrect API key provided: sk-double.', code: 'invalid_api_key' },
    code: 'model.auth',
    says: /refused the API key \(401: Incorrect API key provided: \*{4}\)\. Set providers\.\w+\.api_key in openagent\.yaml, or the environment variable [A-Z_]+_API_KEY/,
  },
  'too many': {
    response: { status: 429, message: 'Rate limit reached', type: 'rate_limit_error' },
    retryAfter: 7,
    code: 'model.rate_limited',
    says: /limits the rate of requests \(429: Rate limit reached\)\. Try again in 7 s/,
  },
  'no credit': {
    response: { status: 429, message: 'You exceeded your current quota', code: 'insufficient_quota' },
    code: 'model.quota',
    says: /has no credit left.*Add credit/,
  },
  broken: {
    response: { status: 500, message: 'The server had an error', type: 'server_error' },
    code: 'model.overloaded',
    says: /\(500: The server had an error\)\. Try again later/,
  },
  overloaded: {
    response: { status: 529, message: 'Overloaded', type: 'overloaded_error' },
    code: 'model.overloaded',
    says: /is overloaded or failing \(529: Overloaded\)/,
  },
  'too long': {
    response: {
      status: 400,
      message: "This model's maximum context length is 8192 tokens",
      code: 'context_length_exceeded',
    },
    code: 'model.context_too_long',
    says: /Begin a new session/,
  },
  flagged: {
    response: {
      status: 400,
      message: 'Your request was flagged by our content policy',
      code: 'content_policy_violation',
    },
    code: 'model.content_filter',
    says: /refused to answer for the content.*Ask differently/,
  },
  'no such model': {
    response: { status: 404, message: 'The model does not exist', code: 'model_not_found' },
    code: 'model.rejected',
    says: /\(404: The model does not exist\)\. Check that it serves the model ".+" at http:\/\/127\.0\.0\.1:\d+\/v1/,
  },
};

function failsWith(error: unknown, code: ErrorCode, says: RegExp): void {
  assert.ok(AppError.is(error), String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, says);
  assert.doesNotMatch(JSON.stringify(AppError.toWire(error)), /sk-double/);
}

const lastOf = (parts: readonly StreamPart[]) => parts.at(-1);

for (const wire of WIRES) {
  const runtimeId = MODEL_OF[wire];

  describe(`the ${wire} wire`, () => {
    test('streams a text, counts its tokens, and finishes', async () => {
      const { parts, error } = await collect(model.stream(ask(runtimeId, `answer ${wire}`)));
      assert.equal(error, undefined);
      assert.equal(textOf(parts), ANSWER);
      assert.ok(parts.filter(({ type }) => type === 'text').length > 3);
      assert.deepEqual(lastOf(parts), { type: 'finish', reason: 'stop' });
      assert.equal(usagesOf(parts).length, 1);
      const [{ usage, model: called } = assert.fail()] = usagesOf(parts);
      assert.equal(called, runtimeId);
      assert.deepEqual([usage.input, usage.output], [120, 30]);
    });

    test('tells reasoning apart from the answer', async () => {
      const { parts } = await collect(model.stream(ask(runtimeId, 'think')));
      assert.equal(textOf(parts, 'reasoning'), 'That wants some thought.');
      assert.equal(textOf(parts), ANSWER);
    });

    test('gives back parallel tool calls, and takes their results', async () => {
      const first = await collect(model.stream(ask(runtimeId, 'call tools', { tools: TOOLS })));
      const calls = first.parts.flatMap((part) => (part.type === 'tool_call' ? [part.call] : []));
      assert.deepEqual(
        calls.map(({ name, input }) => ({ name, arguments: JSON.stringify(input) })),
        CALLS,
      );
      assert.equal(new Set(calls.map(({ id }) => id)).size, 2);
      const finish = lastOf(first.parts);
      assert.ok(finish?.type === 'finish' && finish.reason === 'tool_calls', JSON.stringify(finish));

      const providerData = structuredClone(finish.providerData);
      const messages: ModelMessage[] = [
        { role: 'user', text: 'What is there?' },
        { role: 'assistant', text: textOf(first.parts), toolCalls: calls, providerData },
        {
          role: 'tool',
          results: calls.map(({ id, name }) => ({
            id,
            name,
            text: `${name} says ${id}`,
            isError: name === 'hear',
          })),
        },
      ];
      double.prependFixture({
        match: { toolCallId: calls[1]?.id ?? '' },
        response: { content: `The end, says ${wire}.` },
      });
      const second = await collect(model.stream(ask(runtimeId, '', { messages, tools: TOOLS })));
      assert.equal(second.error, undefined);
      assert.equal(textOf(second.parts), `The end, says ${wire}.`);
      const sent = JSON.stringify(double.getLastRequest()?.body);
      for (const { id, name } of calls) assert.ok(sent.includes(`${name} says ${id}`), sent);
      assert.ok(sent.includes('Looking.') && sent.includes('You are tested.'), sent);
    });

    test('gets its own reasoning back where it vouches for it, and nowhere else', async () => {
      const first = await collect(model.stream(ask(runtimeId, 'reason first', { tools: TOOLS })));
      assert.equal(textOf(first.parts, 'reasoning'), 'That wants some thought.');
      const toolCalls = first.parts.flatMap((part) => (part.type === 'tool_call' ? [part.call] : []));
      const finish = lastOf(first.parts);
      assert.ok(finish?.type === 'finish');
      const text = textOf(first.parts);
      const messages: ModelMessage[] = [
        {
          role: 'assistant',
          text,
          toolCalls,
          providerData: JSON.parse(JSON.stringify(finish.providerData ?? null)),
        },
        {
          role: 'tool',
          results: toolCalls.map(({ id, name }) => ({ id, name, text: 'done', isError: false })),
        },
      ];
      const seeing = createModel(settingsAt(`${double.url}/seen`), systemClock);
      await collect(seeing.stream(ask(runtimeId, '', { messages, tools: TOOLS })));
      const sent = seen.at(-1) ?? '';
      assert.ok(sent.includes(toolCalls[0]?.name ?? 'x'), sent);
      assert.equal(
        sent.includes('That wants some thought.'),
        wire === 'anthropic' || wire === 'openai',
        sent,
      );
      if (wire === 'anthropic') assert.match(sent, /"signature":"vouched"/);
      assert.doesNotMatch(sent, /eager_input_streaming/);
      assert.equal(sent.includes('"strict":false'), wire === 'openai', sent);
      if (wire === 'openai')
        assert.match(sent, /"encrypted_content":".+"store":false|"store":false.+"encrypted_content":/);
    });

    test('sends an image as what it is, and says so where its file is gone', async (t) => {
      const dir = await mkdtemp(join(tmpdir(), 'models-'));
      t.after(() => rm(dir, { recursive: true, force: true }));
      const bytes = Buffer.from('not really a picture');
      await writeFile(join(dir, 'there.png'), bytes);
      const images = ['there.png', 'gone.png'].map((name) => ({
        mediaType: 'image/png',
        path: join(dir, name),
      }));
      const messages: ModelMessage[] = [{ role: 'user', text: 'What is this?', images }];
      const seeing = createModel(settingsAt(`${double.url}/seen`), systemClock);
      await collect(seeing.stream(ask(runtimeId, '', { messages })));
      const sent = seen.at(-1) ?? '';
      assert.ok(sent.includes(bytes.toString('base64')), sent);
      assert.ok(sent.includes('The image gone.png is not there any more'), sent);
    });

    test('an empty answer is an error, and was paid for', async () => {
      const { parts, error } = await collect(model.stream(ask(runtimeId, 'empty')));
      failsWith(error, 'model.empty', /sent an empty answer/);
      assert.deepEqual(
        usagesOf(parts).map(({ failed }) => failed),
        ['model.empty'],
      );
    });

    test('what is no stream of events is garbage', async () => {
      const { parts, error } = await collect(model.stream(ask(runtimeId, 'malformed')));
      failsWith(error, 'model.garbage', new RegExp(`check that http://127.* speaks "${wire}"`));
      assert.deepEqual(
        parts.map(({ type }) => type),
        ['usage'],
      );
    });

    for (const [name, { code, says, response, retryAfter }] of Object.entries(FAILURES)) {
      test(`${name} (${response.status}) is ${code}`, async () => {
        const { parts, error } = await collect(model.stream(ask(runtimeId, name)));
        failsWith(error, code, says);
        assert.deepEqual(
          usagesOf(parts).map(({ model: called, failed }) => [called, failed]),
          [[runtimeId, code]],
        );
        const details = (error as AppError).details as Readonly<Record<string, unknown>>;
        assert.equal(details.status, response.status);
        if (retryAfter !== undefined) assert.equal(details.retry_after_ms, retryAfter * 1_000);
      });
    }
  });
}
