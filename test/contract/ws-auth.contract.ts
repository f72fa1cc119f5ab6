/** Who a WebSocket is: reference §2.2, and what we add to it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS, limitKey } from '../../src/contract/limits.ts';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { until } from '../fixtures/turns.ts';
import { connectClient, refusedUpgrade, signIn } from '../fixtures/ws-client.ts';
import { startGateway, TOKEN } from '../fixtures/ws-gateway.ts';

const REFUSED = { code: 1008, reason: 'authentication failed' };
const NOT_AUTHENTICATED = { type: 'auth_error', reason: 'Not authenticated', code: 'auth.required' };
const INVALID = { type: 'auth_error', reason: 'Invalid token', code: 'auth.invalid' };

export function authCases(factory: TransportFactory): void {
  test('auth with the right token: auth_ok with agent_name, version and the client_id', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN });
    const client = await connectClient(t, gateway);
    client.send({ type: 'auth', token: TOKEN, client_id: 'cli' });
    assert.deepEqual(await client.next(), {
      ...{ type: 'auth_ok', agent_name: 'tester', version: '9.9.9', client_id: 'cli' },
    });
  });

  for (const [what, token] of [
    ['a wrong token', 'wrong'],
    ['a token that only begins right', TOKEN.slice(0, -1)],
    ['an empty token', ''],
    ['a null token', null],
    ['no token', undefined],
  ] as const) {
    test(`auth with ${what}: auth_error, then close 1008`, async (t) => {
      const gateway = await startGateway(t, factory, { token: TOKEN });
      const client = await connectClient(t, gateway);
      client.send({ type: 'auth', token, client_id: 'cli' });
      assert.deepEqual(await client.next(), INVALID);
      assert.deepEqual(await client.closed(), REFUSED);
      assert.equal(client.frames.length, 1);
    });
  }

  test('frames before auth: auth_error each time, and the socket stays open', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN });
    const client = await connectClient(t, gateway);
    const early = [
      ...[{ type: 'ping' }, { type: 'message', text: 'x' }, { type: 'command', name: 'help' }],
      ...[{ type: 'unknown' }, {}],
    ];
    client.send(...early, { type: 'auth', token: TOKEN });
    assert.deepEqual(
      await client.take(early.length),
      early.map(() => NOT_AUTHENTICATED),
    );
    assert.equal((await client.next()).type, 'auth_ok');
    assert.deepEqual(gateway.rows(), []);
  });

  test('auth is optional without a token, and any token is accepted', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await connectClient(t, gateway);
    client.send({ type: 'ping' }, { type: 'auth', token: 'whatever', client_id: 'cli' });
    assert.deepEqual(await client.next(), { type: 'pong' });
    assert.equal((await client.nextOf('auth_ok')).client_id, 'cli');
  });

  test('client_id absent, null or empty: ws-<n>, another for each socket', async (t) => {
    const gateway = await startGateway(t, factory);
    const ids = [];
    for (const clientId of [undefined, null, '']) {
      const client = await connectClient(t, gateway);
      client.send({ type: 'auth', client_id: clientId });
      ids.push((await client.nextOf('auth_ok')).client_id);
    }
    assert.deepEqual(ids, ['ws-1', 'ws-2', 'ws-3']);
  });

  test('client_id absent in a second auth: the socket keeps its id', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway, { client_id: 'cli' });
    client.send({ type: 'auth' });
    assert.equal((await client.nextOf('auth_ok')).client_id, 'cli');
  });

  test('a second auth switches the client id, and messages before it stay with the first', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway, { client_id: 'one' });
    client.sendAtOnce(
      { type: 'message', text: 'first', session_id: 'a' },
      { type: 'auth', client_id: 'two' },
      { type: 'message', text: 'second', session_id: 'b' },
      { type: 'command', name: 'status' },
    );
    assert.equal((await client.nextOf('auth_ok')).client_id, 'two');
    assert.equal((await client.nextOf('command_result')).text, 'Idle | Queue: 1 | Sessions: 1');
    await until(() => gateway.model.calls.length === 2, 'both messages to run');
    for (const call of gateway.model.calls) call.answer(`to ${call.text}`);
    const texts = [await client.nextOf('response'), await client.nextOf('response')].map(({ text }) => text);
    assert.deepEqual(texts.sort(), ['to first', 'to second'], 'both answers come here');
    assert.deepEqual(
      gateway.rows().map((row) => row.client_key),
      ['n::one', 'n::two'],
    );
  });

  test('a second auth with a wrong token: auth_error and close 1008', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN });
    const client = await signIn(t, gateway, { token: TOKEN, client_id: 'one' });
    client.send({ type: 'auth', token: 'wrong', client_id: 'two' });
    assert.deepEqual(await client.next(), INVALID);
    assert.deepEqual(await client.closed(), REFUSED);
  });

  test('one socket may use 16 client ids and go back to each of them; the 17th closes it with 1008', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await connectClient(t, gateway);
    for (let n = 1; n <= 16; n++) client.send({ type: 'auth', client_id: `id-${n}` });
    client.send({ type: 'auth', client_id: 'id-1' });
    const ids = (await client.take(17)).map((frame) => frame.client_id);
    assert.deepEqual(ids.slice(-2), ['id-16', 'id-1']);
    assert.equal(gateway.hub.connectedClients(), 16);
    client.send({ type: 'auth', client_id: 'id-17' });
    assert.equal((await client.nextOf('error')).code, 'frame.invalid');
    assert.equal((await client.closed()).code, 1008);
    await until(() => gateway.hub.connectedClients() === 0, 'all ids to be given up');
  });

  test('auth_ok is the first frame after auth', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN, model: 'echo' });
    const client = await connectClient(t, gateway);
    client.sendAtOnce(...[{ type: 'auth', token: TOKEN }, { type: 'message', text: 'x' }, { type: 'ping' }], {
      type: 'command',
      name: 'help',
    });
    await client.nextOf('response');
    assert.deepEqual(client.types(), ['auth_ok', 'pong', 'command_result', 'status', 'response']);
  });

  test('token by Bearer on upgrade: authenticated from the start, and auth may name the client without it', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN });
    const client = await connectClient(t, gateway, { headers: { authorization: `Bearer ${TOKEN}` } });
    client.send({ type: 'ping' }, { type: 'auth', client_id: 'named' });
    assert.deepEqual(await client.next(), { type: 'pong' });
    assert.equal((await client.nextOf('auth_ok')).client_id, 'named');
  });

  test('wrong token by Bearer on upgrade: 401', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN });
    const { status, body } = await refusedUpgrade(gateway, { authorization: 'Bearer wrong' });
    assert.deepEqual([status, body.code], [401, 'auth.invalid']);
  });

  test('capabilities: granted those we know, with the limits by their names; the others are ignored', async (t) => {
    const gateway = await startGateway(t, factory, { limits: { waitingPerSession: 7 } });
    const client = await connectClient(t, gateway);
    client.send({ type: 'auth', capabilities: ['telepathy', 'delta', 'delta'] });
    const { capabilities, limits } = await client.nextOf('auth_ok');
    assert.deepEqual(capabilities, ['delta']);
    assert.deepEqual(Object.keys(limits ?? {}), Object.keys(DEFAULT_LIMITS).map(limitKey));
    assert.equal(limits?.waiting_per_session, 7);
    client.send({ type: 'auth', capabilities: [] });
    assert.deepEqual((await client.nextOf('auth_ok')).capabilities, []);
  });

  test('no auth within the time for it: close 1008', async (t) => {
    const clock = createTestClock();
    const gateway = await startGateway(t, factory, { token: TOKEN, clock });
    const [silent, early] = [await connectClient(t, gateway), await connectClient(t, gateway)];
    early.send({ type: 'auth', token: TOKEN });
    await early.nextOf('auth_ok');
    clock.advance(DEFAULT_LIMITS.authTimeoutMs - 1);
    silent.send({ type: 'ping' });
    assert.deepEqual(await silent.next(), NOT_AUTHENTICATED, 'open until the last moment');
    clock.advance(1);
    assert.deepEqual(await silent.closed(), { code: 1008, reason: 'authentication timeout' });
    assert.ok((await early.settled()).length > 0, 'the other one lives on');
  });

  test('failed auth is limited, from loopback too, and a right token is not looked at meanwhile', async (t) => {
    const clock = createTestClock();
    const gateway = await startGateway(t, factory, {
      token: TOKEN,
      clock,
      limits: { authFailuresPerMinute: 2 },
    });
    const before = await signIn(t, gateway, { token: TOKEN });
    for (const expected of ['auth.invalid', 'auth.invalid', 'auth.rate_limited']) {
      const client = await connectClient(t, gateway);
      client.send({ type: 'auth', token: expected === 'auth.invalid' ? 'wrong' : TOKEN });
      assert.equal((await client.nextOf('auth_error')).code, expected);
      assert.deepEqual(await client.closed(), REFUSED);
    }
    const { status, headers } = await refusedUpgrade(gateway, { authorization: `Bearer ${TOKEN}` });
    assert.deepEqual([status, headers['retry-after']], [429, '60']);
    assert.ok((await before.settled()).length > 0, 'a socket that is in stays in');
    clock.advance(60_000);
    await signIn(t, gateway, { token: TOKEN });
  });

  test('auth without a token is no guess: it is not counted', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN, limits: { authFailuresPerMinute: 1 } });
    for (const token of [undefined, null, '']) {
      const client = await connectClient(t, gateway);
      client.send({ type: 'auth', token });
      assert.equal((await client.nextOf('auth_error')).code, 'auth.invalid');
    }
    await signIn(t, gateway, { token: TOKEN });
  });

  test('a socket whose auth failed is not read further', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN, model: 'echo' });
    const client = await connectClient(t, gateway);
    client.sendAtOnce(
      { type: 'auth', token: 'wrong' },
      { type: 'auth', token: TOKEN },
      { type: 'message', text: 'x' },
      { type: 'ping' },
    );
    assert.deepEqual(await client.closed(), REFUSED);
    assert.deepEqual(client.frames, [INVALID]);
    assert.deepEqual(gateway.rows(), []);
  });

  test('two sockets with one client id: closing one does not unregister the other', async (t) => {
    const gateway = await startGateway(t, factory, { model: 'echo' });
    const [one, two] = [
      await signIn(t, gateway, { client_id: 'cli' }),
      await signIn(t, gateway, { client_id: 'cli' }),
    ];
    const other = await signIn(t, gateway, { client_id: 'app' });
    assert.equal(await gateway.connectedClients(), 2);
    await one.close();
    await until(() => gateway.hub.count() === 2, 'the first to be gone');
    assert.equal(await gateway.connectedClients(), 2);
    two.send({ type: 'message', text: 'still here' });
    assert.equal((await two.nextOf('response')).text, 'echo: still here');
    await other.close();
    two.vanish();
    await until(() => gateway.hub.count() === 0, 'all to be gone');
    assert.equal(await gateway.connectedClients(), 0);
  });
}
