/** What happens between a failure and an answer: retries, fallbacks, silence, streams that break, and `stop`. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { LLMock } from '@copilotkit/aimock';
import { systemClock } from '../../src/contract/clock.ts';
import { AppError, type ErrorCode } from '../../src/contract/errors.ts';
import { DEFAULT_RETRY, type ModelSettings } from '../../src/contract/model-settings.ts';
import { pauseBefore } from '../../src/models/api-model.ts';
import { createProgressWatcher } from '../../src/models/progress-watch.ts';
import type { StreamPart } from '../../src/models/provider.ts';
import { createModel } from '../../src/models/registry.ts';
import {
  ask,
  collect,
  MODEL_OF,
  providerAt,
  settingsAt,
  startDouble,
  stopDouble,
  textOf,
  usagesOf,
} from '../fixtures/model-double.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';

const ANSWER = 'Here it is, at last.';
const SECOND = MODEL_OF.anthropic;

let double: LLMock;
const notes: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[] = [];
/** What the next request to `/raw` is answered with. */
let handleRaw: (response: ServerResponse, request: IncomingMessage) => void = () => {};

before(async () => {
  double = await startDouble();
  double.mount('/raw', {
    handleRequest: async (request, response) => {
      await request.toArray();
      handleRaw(response, request);
      return true;
    },
  });
});
beforeEach(() => {
  notes.length = 0;
  double.reset();
});
after(() => stopDouble(double));

function modelOf(over: Partial<ModelSettings> = {}, clock = systemClock) {
  const settings = settingsAt(double.url, over);
  const providers = { ...settings.providers, raw: providerAt(`${double.url}/raw`, 'openai-chat') };
  const retry = { ...settings.retry, count: 2, ...over.retry };
  const note = (event: string, fields: Readonly<Record<string, unknown>>) => notes.push({ event, fields });
  return createModel({ ...settings, retry, ...(over.providers ? {} : { providers }) }, clock, { note });
}

function fails(error: unknown, code: ErrorCode): void {
  assert.ok(AppError.is(error) && error.code === code, String(error));
}

const failedOf = (parts: readonly StreamPart[]) =>
  usagesOf(parts).map(({ model, failed }) => [model, failed]);

describe('a call that failed before it said anything', () => {
  test('is not made again, nor another one, where its empty answer took the last of the money', async () => {
    handleRaw = (response) => {
      const empty = { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] };
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.end(`data: ${JSON.stringify(empty)}\n\ndata: [DONE]\n\n`);
    };
    const settings = settingsAt(double.url, { fallbacks: [SECOND] });
    const providers = { ...settings.providers, raw: providerAt(`${double.url}/raw`, 'openai-chat') };
    const retry = { ...settings.retry, count: 2 };
    const asked = async (ratios: number[]) => {
      const hooks = { budgetRatio: () => ratios.shift() ?? 0 };
      const model = createModel({ ...settings, providers, retry }, systemClock, hooks);
      const { parts, error } = await collect(model.stream(ask('raw:m', 'hello')));
      fails(error, 'model.empty');
      return usagesOf(parts).length;
    };
    assert.equal(await asked([0]), 1);
    assert.equal(await asked([0.1, 0]), 2);
  });

  test('is made again, and every call is counted', async () => {
    double.onMessage('hello', { content: ANSWER });
    double.nextRequestError(500, { message: 'broken' });
    const { parts, error } = await collect(modelOf().stream(ask(undefined, 'hello')));
    assert.equal(error, undefined);
    assert.equal(textOf(parts), ANSWER);
    const runtimeId = MODEL_OF.openai;
    assert.deepEqual(failedOf(parts), [
      [runtimeId, 'model.overloaded'],
      [runtimeId, undefined],
    ]);
    assert.deepEqual(
      notes.map(({ event, fields }) => [event, fields.code]),
      [['model.retry', 'model.overloaded']],
    );
  });

  test('waits before it is made again under the eyes of whoever gave it a place', async () => {
    double.onMessage('hello', { error: { message: 'slow down' }, status: 429, retryAfter: 20 });
    const rests: string[] = [];
    const request = ask(undefined, 'hello', { rest: async () => void rests.push('rested') });
    const retry = { ...DEFAULT_RETRY, count: 2, retryAfterMsMax: 60_000 };
    const { error } = await collect(modelOf({ retry }).stream(request));
    fails(error, 'model.rate_limited');
    assert.deepEqual(rests, ['rested', 'rested']);
    assert.equal(double.getRequests().length, 3);
  });

  test('is given up after as many retries as are allowed', async () => {
    double.onMessage('hello', { error: { message: 'broken' }, status: 500 });
    const { parts, error } = await collect(modelOf().stream(ask(undefined, 'hello')));
    fails(error, 'model.overloaded');
    assert.equal(double.getRequests().length, 3);
    assert.equal(usagesOf(parts).length, 3);
  });

  test('is not made again where that is useless', async () => {
    double.onMessage('hello', { error: { message: 'bad key' }, status: 401 });
    fails((await collect(modelOf().stream(ask(undefined, 'hello')))).error, 'model.auth');
    assert.equal(double.getRequests().length, 1);
  });

  test('goes to the next model when all retries are used up', async () => {
    double.on({ userMessage: 'hello', model: /gpt/ }, { error: { message: 'broken' }, status: 500 });
    double.on({ userMessage: 'hello', model: /claude/ }, { content: ANSWER });
    const model = modelOf({ fallbacks: ['ollama:not-there', SECOND] });
    const { parts, error } = await collect(model.stream(ask(undefined, 'hello')));
    assert.equal(error, undefined);
    assert.equal(textOf(parts), ANSWER);
    assert.deepEqual(failedOf(parts).at(-1), [SECOND, undefined]);
    const steps = notes.filter(({ event }) => event === 'model.fallback').map(({ fields }) => fields.to);
    assert.deepEqual(steps, ['ollama:not-there', SECOND]);
  });

  test('does not go to another model with what every model would refuse', async () => {
    double.onMessage('hello', { error: { message: 'maximum context length is 10' }, status: 400 });
    const { error } = await collect(modelOf({ fallbacks: [SECOND] }).stream(ask(undefined, 'hello')));
    fails(error, 'model.context_too_long');
    assert.equal(double.getRequests().length, 1);
  });

  test('is waited for as long as the provider asks, and not longer than the bound', () => {
    const asked = (retry_after_ms: number) =>
      new AppError('model.rate_limited', '', { details: { retry_after_ms } });
    const pause = pauseBefore(0, asked(7_000), DEFAULT_RETRY) ?? assert.fail();
    assert.ok(pause >= 7_000 && pause <= 8_750, String(pause));
    assert.equal(pauseBefore(0, asked(30_001), DEFAULT_RETRY), undefined);
    const none = new AppError('model.network', '');
    for (const attempt of [0, 1]) {
      const backoff = pauseBefore(attempt, none, DEFAULT_RETRY) ?? assert.fail();
      assert.ok(backoff >= 0 && backoff <= DEFAULT_RETRY.backoffMsMin * 2 ** attempt, String(backoff));
    }
    assert.equal(pauseBefore(2, none, DEFAULT_RETRY), undefined);
  });
});

const chunk = (content: string) =>
  `data: ${JSON.stringify({ id: 'c', created: 1, model: 'm', choices: [{ index: 0, delta: { content } }] })}\n\n`;

function beginStream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(chunk('It began'));
}

const BROKEN: Readonly<Record<string, { readonly code: ErrorCode; end(response: ServerResponse): void }>> = {
  'a connection that is cut': { code: 'model.network', end: (response) => response.destroy() },
  'a stream that just ends': { code: 'model.network', end: (response) => response.end() },
  'an event that is no JSON': {
    code: 'model.garbage',
    end: (response) => response.end('data: {"choices":[\n\n'),
  },
  'an event of another shape': {
    code: 'model.garbage',
    end: (response) => response.end('data: {"choices":7}\n\n'),
  },
  'an error in the stream': {
    code: 'model.overloaded',
    end: (response) => response.end('data: {"error":{"message":"Overloaded, try again","code":503}}\n\n'),
  },
};

describe('a stream that breaks in the middle', () => {
  for (const [name, { code, end }] of Object.entries(BROKEN)) {
    test(`${name} is ${code}, and is not begun again`, async () => {
      let calls = 0;
      let current: ServerResponse | undefined;
      handleRaw = (response) => {
        calls += 1;
        current = response;
        beginStream(response);
      };
      const model = modelOf({ fallbacks: [SECOND] });
      const { parts, error } = await collect(model.stream(ask('raw:m', 'hello')), (part) => {
        if (part.type === 'text' && current) end(current);
      });
      fails(error, code);
      assert.equal(textOf(parts), 'It began');
      assert.deepEqual(failedOf(parts), [['raw:m', code]]);
      assert.equal(calls, 1);
    });
  }
});

describe('silence', () => {
  test('in the middle of an answer ends it with model.timeout, and closes the connection', async () => {
    const events = new EventEmitter();
    handleRaw = (response) => {
      response.on('close', () => events.emit('closed'));
      beginStream(response);
    };
    const clock = createTestClock();
    const closed = once(events, 'closed');
    const { parts, error } = await collect(
      modelOf({ stallMs: 5_000 }, clock).stream(ask('raw:m', 'hello')),
      (part) => {
        if (part.type === 'text') clock.advance(5_000);
      },
    );
    fails(error, 'model.timeout');
    assert.equal(textOf(parts), 'It began');
    await closed;
  });

  test('before the answer is not waited for twice, but another model is asked', async () => {
    double.onMessage('hello', { content: ANSWER });
    const clock = createTestClock();
    let calls = 0;
    handleRaw = () => {
      calls += 1;
      clock.advance(5_000);
    };
    const model = modelOf({ stallMs: 5_000, fallbacks: [SECOND] }, clock);
    const { parts, error } = await collect(model.stream(ask('raw:m', 'hello')));
    assert.equal(error, undefined);
    assert.equal(textOf(parts), ANSWER);
    assert.equal(calls, 1);
    assert.deepEqual(failedOf(parts), [
      ['raw:m', 'model.timeout'],
      [SECOND, undefined],
    ]);
  });

  test('is no silence while bytes come, of whatever they are', async () => {
    const clock = createTestClock();
    let current: ServerResponse | undefined;
    handleRaw = (response) => {
      current = response;
      beginStream(response);
    };
    const watcher = createProgressWatcher();
    const watch = watcher.watch({
      signal: new AbortController().signal,
      stallMs: 5_000,
      progressMs: 60_000,
      clock,
    });
    const { body } = await watcher.fetch(`${double.url}/raw`, { signal: watch.signal });
    const reader = body?.getReader() ?? assert.fail();
    for (let ping = 0; ping < 5; ping++) {
      await reader.read();
      clock.advance(4_000);
      assert.equal(watch.missed(), undefined);
      current?.write(': ping\n\n');
    }
    clock.advance(5_000);
    assert.equal(watch.missed(), 'bytes');
    await assert.rejects(async () => {
      for (;;) await reader.read();
    });
  });

  test('that signs of life fill lasts longer, but not for ever', () => {
    const clock = createTestClock();
    const { signal } = new AbortController();
    const times = { stallMs: 5_000, progressMs: 60_000, clock };
    const watch = createProgressWatcher().watch({ signal, ...times, stallMs: 300_000 });
    clock.advance(59_000);
    watch.progressed();
    clock.advance(59_000);
    assert.equal(watch.missed(), undefined);
    clock.advance(1_000);
    assert.equal(watch.missed(), 'answer');
    assert.ok(watch.signal.aborted);
    const silent = createProgressWatcher().watch({ signal, ...times });
    clock.advance(5_000);
    assert.equal(silent.missed(), 'bytes');
  });

  for (const [what, alive] of [
    ['comments', ': OPENROUTER PROCESSING\n\n'],
    ['empty pieces', `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: '' } }] })}\n\n`],
  ] as const) {
    test(`is broken by ${what} for a while only: then another model is asked`, async () => {
      double.onMessage('hello', { content: ANSWER });
      const events = new EventEmitter();
      const closed = once(events, 'closed');
      const clock = createTestClock();
      handleRaw = (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        const tell = () => {
          if (response.destroyed) return;
          response.write(alive);
          clock.advance(1_000);
          setImmediate(tell);
        };
        response.on('close', () => events.emit('closed'));
        tell();
      };
      const over = { stallMs: 100_000_000, progressMs: 600_000, fallbacks: [SECOND] };
      const { parts, error } = await collect(modelOf(over, clock).stream(ask('raw:m', 'hello')));
      assert.equal(error, undefined);
      assert.equal(textOf(parts), ANSWER);
      assert.deepEqual(failedOf(parts), [
        ['raw:m', 'model.timeout'],
        [SECOND, undefined],
      ]);
      const told = notes.find(({ event }) => event === 'model.fallback')?.fields.error;
      assert.match(String(told), /model\.progress_timeout_ms/);
      await closed;
    });
  }
});

describe('stop', () => {
  test('closes the connection at once: the provider sees it', async () => {
    const events = new EventEmitter();
    handleRaw = (response) => {
      response.on('close', () => events.emit('closed'));
      beginStream(response);
    };
    const closed = once(events, 'closed');
    const abort = new AbortController();
    const stopped = new Error('stopped');
    const { error } = await collect(
      modelOf({ fallbacks: [SECOND] }).stream(ask('raw:m', 'hello', { signal: abort.signal })),
      (part) => {
        if (part.type === 'text') abort.abort(stopped);
      },
    );
    assert.equal(error, stopped);
    await closed;
    assert.equal(double.getRequests().filter(({ path }) => path.includes('messages')).length, 0);
  });

  test('so does whoever stops listening', async () => {
    const events = new EventEmitter();
    handleRaw = (response) => {
      response.on('close', () => events.emit('closed'));
      beginStream(response);
    };
    const closed = once(events, 'closed');
    for await (const part of modelOf().stream(ask('raw:m', 'hello'))) {
      if (part.type === 'text') break;
    }
    await closed;
  });

  test('ends a pause between two tries', async () => {
    double.onMessage('hello', { error: { message: 'slow down' }, status: 429, retryAfter: 20 });
    const abort = new AbortController();
    const retry = { count: 2, backoffMsMin: 1, backoffMsMax: 2, retryAfterMsMax: 60_000 };
    const stopped = new Error('stopped');
    const model = modelOf({ retry });
    const reading = collect(model.stream(ask(undefined, 'hello', { signal: abort.signal })), (part) => {
      if (part.type === 'usage') setImmediate(() => abort.abort(stopped));
    });
    assert.equal((await reading).error, stopped);
  });
});

test('a redirect is not followed: it would carry the key away', async () => {
  handleRaw = (response) => response.writeHead(307, { location: `${double.url}/v1/chat/completions` }).end();
  const { error } = await collect(
    modelOf({ retry: { ...DEFAULT_RETRY, count: 0 } }).stream(ask('raw:m', 'hello')),
  );
  fails(error, 'model.network');
  assert.equal(double.getRequests().length, 0);
});

test('an address where nobody listens is model.network, which names it', async () => {
  const settings = settingsAt('http://127.0.0.1:1');
  const { error } = await collect(createModel(settings, systemClock).stream(ask(undefined, 'hello')));
  fails(error, 'model.network');
  assert.match(String(error), /http:\/\/127\.0\.0\.1:1\/v1/);
});
