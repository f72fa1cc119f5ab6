import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../../src/contract/errors.ts';
import type { CallTarget } from '../../src/models/call-target.ts';
import { classifyFailure, isDefect } from '../../src/models/model-errors.ts';
import { providerAt } from '../fixtures/model-double.ts';

const TARGET: CallTarget = {
  runtimeId: 'google:m',
  provider: 'google',
  model: 'm',
  label: 'Google',
  settings: providerAt('https://user:hunter2@example.org/v1?key=hunter2', 'google'),
};

const api = (statusCode: number, message: string, more: object = {}) =>
  Object.assign(new Error(message), { name: 'AI_APICallError', statusCode, ...more });
const caused = (cause: object) => new TypeError('terminated', { cause });

/** As the vendors word them. */
const SAID: readonly (readonly [string, unknown, ErrorCode])[] = [
  ['Gemini, wrong key', api(400, 'API key not valid. Please pass a valid API key.'), 'model.auth'],
  [
    'Gemini, limit of a minute',
    api(429, 'You exceeded your current quota. Please retry in 22s.'),
    'model.rate_limited',
  ],
  ['OpenAI, no money', api(429, 'You exceeded your current quota, please check your plan'), 'model.quota'],
  ['OpenRouter, no money', api(402, 'Insufficient credits'), 'model.quota'],
  [
    'OpenRouter, moderated',
    api(403, 'Your input was flagged', { responseBody: 'moderation' }),
    'model.content_filter',
  ],
  [
    'Anthropic, no money',
    api(400, 'Your credit balance is too low to access the Anthropic API'),
    'model.quota',
  ],
  [
    'Anthropic, long',
    api(400, 'prompt is too long: 210000 tokens > 200000 maximum'),
    'model.context_too_long',
  ],
  [
    'Gemini, long',
    api(400, 'The input token count (2000000) exceeds the maximum number'),
    'model.context_too_long',
  ],
  ['a body that is too large', api(413, 'Payload Too Large'), 'model.context_too_long'],
  ['a wrong parameter', api(400, "Unsupported parameter: 'tools'"), 'model.rejected'],
  ['a gateway that waited', api(504, 'upstream timed out'), 'model.timeout'],
  ['a page instead of an API', api(404, 'Not Found'), 'model.rejected'],
  ['Anthropic, in the stream', { type: 'overloaded_error', message: 'Overloaded' }, 'model.overloaded'],
  [
    'OpenAI, in the stream',
    { type: 'error', error: { code: 'server_error', message: 'oops' } },
    'model.overloaded',
  ],
  [
    'OpenAI, limit in the stream',
    { type: 'error', error: { code: 'rate_limit_exceeded', message: 'x' } },
    'model.rate_limited',
  ],
  ['a text in the stream', 'something odd', 'model.garbage'],
  ['nothing at all', undefined, 'model.garbage'],
  [
    'a connection that ended',
    caused({ code: 'UND_ERR_SOCKET', message: 'other side closed' }),
    'model.network',
  ],
  ['a name nobody knows', new TypeError('fetch failed', { cause: { code: 'ENOTFOUND' } }), 'model.network'],
  ['silence that Node noticed', caused({ code: 'UND_ERR_BODY_TIMEOUT' }), 'model.timeout'],
  [
    'what the SDK cannot send',
    Object.assign(new Error('x'), { name: 'AI_UnsupportedFunctionalityError' }),
    'model.rejected',
  ],
];

for (const [what, error, code] of SAID) {
  test(`${what} is ${code}`, () => {
    const failure = classifyFailure(error, TARGET);
    assert.equal(failure.code, code, failure.message);
    assert.match(failure.message, /^Google .+\. \S/);
    assert.doesNotMatch(failure.message, /hunter2/);
    assert.equal(isDefect(error), false);
  });
}

test('an error of our own is none of the provider', () => {
  assert.equal(isDefect(new TypeError("Cannot read properties of undefined (reading 'x')")), true);
});

test('how long to wait is read from seconds, milliseconds and dates', () => {
  const wait = (headers: Record<string, string>) =>
    (
      classifyFailure(api(429, 'slow', { responseHeaders: headers }), TARGET).details as {
        retry_after_ms?: number;
      }
    ).retry_after_ms;
  assert.equal(wait({ 'retry-after': '7' }), 7_000);
  assert.equal(wait({ 'retry-after-ms': '250', 'retry-after': '7' }), 250);
  assert.equal(wait({ 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' }), 0);
  assert.equal(wait({ 'retry-after': 'soon' }), undefined);
  assert.equal(wait({}), undefined);
});
