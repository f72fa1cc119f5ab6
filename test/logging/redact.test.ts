import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRedactor } from '../../src/logging/redact.ts';

const PLAIN = 'canary-7f3a9c51d2e8';
const AWKWARD = 'quote"back\\slash\nline/+ö';
const redact = createRedactor([PLAIN, AWKWARD, `${PLAIN}-longer`, 'abc', '12345678']);

function redacted(fields: object): Record<string, unknown> {
  const line = redact(`${JSON.stringify({ ts: 1.5, event: 'x', ...fields })}\n`);
  assert.ok(line.endsWith('}\n'));
  return JSON.parse(line) as Record<string, unknown>;
}

test('a line without a secret is not touched', () => {
  const line = '{"ts":1.5,"event":"x","text":"nothing to see","input_tokens":5}\n';
  assert.equal(redact(line), line);
});

const HIDING_PLACES: Record<string, (secret: string) => object> = {
  'a value': (s) => ({ v: s }),
  'the middle of a text': (s) => ({ v: `before ${s} after` }),
  'a nested field': (s) => ({ a: { b: [{ c: s }] } }),
  'a key': (s) => ({ a: { [s]: 1 } }),
  'an error message and stack': (s) => ({
    error: { name: 'Error', message: `bad ${s}`, stack: `Error: bad ${s}\n  at x`, cause: { message: s } },
  }),
  'a JSON text in a message': (s) => ({ message: `body was ${JSON.stringify({ x: s })}` }),
  'a URL': (s) => ({ url: `https://api.example/bot${encodeURIComponent(s)}/send` }),
  'the event': (s) => ({ event: `got ${s}` }),
};

for (const [place, hide] of Object.entries(HIDING_PLACES)) {
  for (const [kind, secret] of Object.entries({ plain: PLAIN, awkward: AWKWARD })) {
    test(`a secret (${kind}) is removed from ${place}`, () => {
      const line = JSON.stringify(redacted(hide(secret)));
      for (const form of [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)])
        assert.ok(!line.includes(form), line);
      assert.ok(line.includes('[redacted]'), line);
    });
  }
}

test('of two secrets, one inside the other, nothing of the longer one stays', () => {
  assert.equal(redacted({ v: `${PLAIN}-longer` }).v, '[redacted]');
});

test('a secret that is a number keeps the line valid', () => {
  assert.equal(redacted({ v: 12345678 }).v, '[redacted]');
  assert.equal(redacted({ v: 1234567 }).v, 1234567);
});

test('a very short secret is removed as a whole value and does not shred words', () => {
  assert.deepEqual(redacted({ v: 'abc', w: 'abcdef', x: [`the abc`] }), {
    ts: 1.5,
    event: 'x',
    v: '[redacted]',
    w: 'abcdef',
    x: ['the abc'],
  });
});

test('keys that name a secret lose their value whatever it is', () => {
  const keys = ['token', 'api_key', 'apiKey', 'password', 'secret', 'Authorization', 'bot_token', 'botToken'];
  for (const key of keys) {
    assert.equal(redacted({ a: { [key]: 'short' } }).a?.[key as never], '[redacted]', key);
    assert.equal(redacted({ [key]: { deep: [1] } })[key], '[redacted]', key);
  }
});

test('keys that only look like it keep theirs', () => {
  for (const key of ['tokens', 'input_tokens', 'secretary', 'token_count', 'passwords_checked'])
    assert.equal(redacted({ [key]: 5, token: 'x' })[key], 5, key);
});

const FORMS: readonly (readonly [string, string])[] = [
  ['Authorization: Bearer abcdef.123-456', 'Authorization: Bearer [redacted]'],
  ['key sk-proj-abcdefgh-98765 refused', 'key sk-[redacted] refused'],
  ['http://user:pa55@host/path', 'http://[redacted]@host/path'],
  ['postgres://user@host', 'postgres://[redacted]@host'],
  ['wss://host/ws?token=abc&x=1', 'wss://host/ws?token=[redacted]&x=1'],
  ['https://host/a@b?c=d', 'https://host/a@b?c=d'],
];

for (const [before, after] of FORMS) {
  test(`by its form: ${before}`, () => {
    assert.equal(redacted({ v: before }).v, after);
  });
}

test('without any secret configured the forms still hold', () => {
  const line = createRedactor([])('{"ts":1,"event":"x","v":"Bearer abcdef123"}\n');
  assert.equal(line, '{"ts":1,"event":"x","v":"Bearer [redacted]"}\n');
});

test('a secret that is empty or half a surrogate pair does no harm', () => {
  const odd = createRedactor(['', '\ud800abc', '(a+)+$[x']);
  assert.equal(odd('{"ts":1,"event":"x"}\n'), '{"ts":1,"event":"x"}\n');
  assert.ok(!odd(`${JSON.stringify({ ts: 1, event: 'x', v: 'is (a+)+$[x' })}\n`).includes('(a+)+$[x'));
});
