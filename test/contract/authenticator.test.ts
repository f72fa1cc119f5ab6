import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import { bearerOf, createAuthenticator, credentialId } from '../../src/gateway/authenticator.ts';

const PEER = '127.0.0.1';

test('without a token everyone is in, whatever they present', () => {
  const { authenticator } = start({ token: undefined });
  assert.equal(authenticator.isOpen, true);
  for (const presented of [undefined, '', 'anything']) {
    for (let count = 0; count < 20; count += 1) assert.equal(authenticator.check(presented, PEER), 'ok');
  }
});

describe('with a token', () => {
  const cases: readonly [string | undefined, string][] = [
    ['secret', 'ok'],
    [undefined, 'missing'],
    ['', 'invalid'],
    ['secre', 'invalid'],
    ['secret ', 'invalid'],
    ['Secret', 'invalid'],
    ['x'.repeat(100_000), 'invalid'],
  ];
  for (const [presented, verdict] of cases) {
    test(`${JSON.stringify(presented?.slice(0, 20))} is ${verdict}`, () => {
      assert.equal(start({ token: 'secret' }).authenticator.check(presented, PEER), verdict);
    });
  }
});

test('an empty token is refused at start, not taken for none', () => {
  assert.throws(
    () => start({ token: '' }),
    (error) => AppError.is(error) && error.code === 'config.invalid',
  );
});

test('a peer with too many failures is locked out to the end of its minute, loopback and right tokens too', () => {
  const { authenticator, clock } = start({ token: 'secret', failuresPerMinute: 3 });
  for (let count = 0; count < 3; count += 1) assert.equal(authenticator.check('wrong', PEER), 'invalid');
  clock.nowMs += 20_500;
  assert.equal(authenticator.check('wrong', PEER), 'rate_limited');
  assert.equal(authenticator.check('secret', PEER), 'rate_limited');
  assert.equal(authenticator.check(undefined, PEER), 'rate_limited');
  assert.equal(authenticator.retryAfterSeconds(PEER), 40);
  clock.nowMs += 39_499;
  assert.equal(authenticator.check('secret', PEER), 'rate_limited');
  assert.equal(authenticator.retryAfterSeconds(PEER), 1);
  clock.nowMs += 1;
  assert.equal(authenticator.retryAfterSeconds(PEER), 0);
  assert.equal(authenticator.check('secret', PEER), 'ok');
});

test('failures of one peer do not lock out another', () => {
  const { authenticator } = start({ token: 'secret', failuresPerMinute: 1 });
  authenticator.check('wrong', '10.0.0.1');
  assert.equal(authenticator.check('secret', '10.0.0.1'), 'rate_limited');
  assert.equal(authenticator.check('secret', '10.0.0.2'), 'ok');
});

test('another spelling or another address of the same IPv6 network does not give new attempts', () => {
  const { authenticator } = start({ token: 'secret', failuresPerMinute: 2 });
  authenticator.check('wrong', '2001:db8::1');
  authenticator.check('wrong', '2001:db8::2');
  assert.equal(authenticator.check('secret', '2001:0db8:0000:0000::ffff'), 'rate_limited');
  authenticator.check('wrong', '10.0.0.1');
  authenticator.check('wrong', '::ffff:10.0.0.1');
  assert.equal(authenticator.check('secret', '10.0.0.1'), 'rate_limited');
});

test('a request without credential is not counted as a guess', () => {
  const { authenticator } = start({ token: 'secret', failuresPerMinute: 2 });
  for (let count = 0; count < 50; count += 1) assert.equal(authenticator.check(undefined, PEER), 'missing');
  assert.equal(authenticator.check('secret', PEER), 'ok');
});

test('a right token between wrong ones does not buy new attempts', () => {
  const { authenticator } = start({ token: 'secret', failuresPerMinute: 2 });
  authenticator.check('wrong', PEER);
  assert.equal(authenticator.check('secret', PEER), 'ok');
  authenticator.check('wrong', PEER);
  assert.equal(authenticator.check('secret', PEER), 'rate_limited');
});

test('a failure in the next minute starts a new count', () => {
  const { authenticator, clock } = start({ token: 'secret', failuresPerMinute: 2 });
  authenticator.check('wrong', PEER);
  clock.nowMs += 60_000;
  authenticator.check('wrong', PEER);
  assert.equal(authenticator.check('secret', PEER), 'ok');
});

test('a flood of peers is forgotten from the oldest on', () => {
  const { authenticator } = start({ token: 'secret', failuresPerMinute: 1 });
  authenticator.check('wrong', '10.0.0.1');
  for (let count = 0; count < 4_095; count += 1) {
    authenticator.check('wrong', `11.${count >> 16}.${(count >> 8) & 255}.${count & 255}`);
  }
  assert.equal(authenticator.check('secret', '10.0.0.1'), 'rate_limited');
  authenticator.check('wrong', '12.0.0.1');
  assert.equal(authenticator.check('secret', '10.0.0.1'), 'ok');
  assert.equal(authenticator.check('secret', '12.0.0.1'), 'rate_limited');
});

describe('bearerOf', () => {
  const cases: readonly [string, string | undefined][] = [
    ['Bearer abc', 'abc'],
    ['bearer abc', 'abc'],
    ['BEARER   abc  ', 'abc'],
    ['', undefined],
    ['Bearer', undefined],
    ['Bearer ', undefined],
    ['Bearerabc', undefined],
    ['Basic abc', undefined],
    ['abc', undefined],
  ];
  for (const [header, token] of cases) {
    test(`${JSON.stringify(header)} gives ${token}`, () => assert.equal(bearerOf(header), token));
  }
});

test('a credential id is stable, short, differs by token, and is not the bare digest of it', () => {
  assert.match(credentialId('secret'), /^[0-9a-f]{16}$/);
  assert.equal(credentialId('secret'), credentialId('secret'));
  assert.notEqual(credentialId('secret'), credentialId('other'));
  assert.equal(credentialId(undefined), '');
  assert.equal(start({ token: 'secret' }).authenticator.credential, credentialId('secret'));
  assert.equal(start({ token: undefined }).authenticator.credential, '');
});

function start(options: { token: string | undefined; failuresPerMinute?: number }) {
  const clock = { nowMs: 1_000_000, monotonicMs: () => clock.nowMs };
  const { token, failuresPerMinute = 10 } = options;
  return { clock, authenticator: createAuthenticator({ token, failuresPerMinute, clock }) };
}
