/** Terminal frames reach their client once; twice only when the first delivery is in doubt. design §8, Delivery. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { until } from '../fixtures/turns.ts';
import { connectClient, signIn, type WsClient } from '../fixtures/ws-client.ts';
import { type GatewayOptions, startGateway, type TestGateway, TOKEN } from '../fixtures/ws-gateway.ts';

const LOOK_MS = 1_000;

/** A turn of this client is running. */
async function ask(gateway: TestGateway, client: WsClient, text: string): Promise<void> {
  const calls = gateway.model.calls.length;
  client.send({ type: 'message', text, session_id: text });
  await until(() => gateway.model.calls.length > calls, 'the turn to run');
}

async function gone(gateway: TestGateway): Promise<void> {
  await until(() => gateway.hub.count() === 0, 'the server to know that the socket is gone');
}

/** The client asked, vanished, and its answer came while it was away. */
async function missAnswer(
  t: Parameters<typeof signIn>[0],
  gateway: TestGateway,
  auth: object,
): Promise<void> {
  const client = await signIn(t, gateway, auth);
  await ask(gateway, client, 'missed');
  client.vanish();
  await gone(gateway);
  gateway.model.calls.at(-1)?.answer('while you were away');
  await until(() => gateway.rows().at(-1)?.state === 'done', 'the turn to end');
}

/** Everything one gets in the first moments under a name. */
async function visit(t: Parameters<typeof signIn>[0], gateway: TestGateway, auth: object): Promise<WsClient> {
  const client = await connectClient(t, gateway);
  client.sendAtOnce({ type: 'auth', ...auth }, { type: 'ping' }, { type: 'command', name: 'queue' });
  await client.nextOf('command_result');
  return client;
}

const PLAIN = ['auth_ok', 'pong', 'command_result'];
const WITH_MISSED = ['auth_ok', 'response', 'pong', 'command_result'];

export function deliveryCases(factory: TransportFactory): void {
  test('a client that returns gets what it missed right behind auth_ok, before its next frame is handled', async (t) => {
    const gateway = await startGateway(t, factory);
    await missAnswer(t, gateway, { client_id: 'cli' });
    assert.equal(gateway.rows()[0]?.open, 1);
    const client = await visit(t, gateway, { client_id: 'cli' });
    assert.deepEqual(client.types(), WITH_MISSED);
    assert.equal(client.frames[1]?.text, 'while you were away');
  });

  test('several missed frames come in the order of acceptance', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway, { client_id: 'cli' });
    for (const text of ['a', 'b', 'c']) await ask(gateway, client, text);
    client.vanish();
    await gone(gateway);
    for (const call of [...gateway.model.calls].reverse()) call.answer(call.text);
    await until(() => gateway.rows().every((row) => row.state === 'done'), 'all to end');
    const back = await visit(t, gateway, { client_id: 'cli' });
    const texts = back.frames.filter(({ type }) => type === 'response').map(({ text }) => text);
    assert.deepEqual(texts, ['a', 'b', 'c']);
  });

  test('nobody else gets them: not another name, not an unnamed client, not an inherited ws-<n>', async (t) => {
    const gateway = await startGateway(t, factory);
    await missAnswer(t, gateway, { client_id: 'cli' });
    for (const clientId of ['CLI', 'cli ', ':cli', undefined, 'ws-1']) {
      assert.deepEqual((await visit(t, gateway, { client_id: clientId })).types(), PLAIN);
    }
    assert.deepEqual((await visit(t, gateway, { client_id: 'cli' })).types(), WITH_MISSED);
  });

  test('an unnamed client has nobody to return as: its frames are not kept', async (t) => {
    const gateway = await startGateway(t, factory);
    await missAnswer(t, gateway, {});
    assert.equal(gateway.rows()[0]?.open, 0);
    assert.deepEqual((await visit(t, gateway, { client_id: 'ws-1' })).types(), PLAIN);
  });

  test('not under another credential: after the token has changed they stay in the history', async (t) => {
    const first = await startGateway(t, factory, { token: TOKEN });
    const { path } = first;
    await missAnswer(t, first, { client_id: 'cli', token: TOKEN });
    await first.close();
    const second = await startGateway(t, factory, { token: 'next token', path });
    const auth = { client_id: 'cli', token: 'next token' };
    assert.deepEqual((await visit(t, second, auth)).types(), PLAIN);
    await second.close();
    const third = await startGateway(t, factory, { token: TOKEN, path });
    assert.deepEqual((await visit(t, third, { client_id: 'cli', token: TOKEN })).types(), WITH_MISSED);
  });

  test('missed frames outlive a restart of the agent, under the same turn_id', async (t) => {
    const first = await startGateway(t, factory);
    await missAnswer(t, first, { client_id: 'cli' });
    const frame = JSON.parse(String(first.rows()[0]?.outcome));
    await first.close();
    const second = await startGateway(t, factory, { path: first.path });
    assert.deepEqual((await visit(t, second, { client_id: 'cli' })).frames[1], frame, 'byte for byte');
  });

  test('a frame whose socket closed cleanly is never repeated', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway, { client_id: 'cli' });
    await ask(gateway, client, 'x');
    gateway.model.calls[0]?.answer('once');
    await client.nextOf('response');
    await client.close();
    await gone(gateway);
    assert.deepEqual((await visit(t, gateway, { client_id: 'cli' })).types(), PLAIN);
    assert.equal(gateway.rows()[0]?.open, 0);
  });

  test('nor after a planned end of the agent', async (t) => {
    const first = await startGateway(t, factory);
    const client = await signIn(t, first, { client_id: 'cli' });
    await ask(first, client, 'x');
    first.model.calls[0]?.answer('once');
    await client.nextOf('response');
    await first.close(1012);
    assert.equal((await client.closed()).code, 1012);
    const second = await startGateway(t, factory, { path: first.path });
    assert.deepEqual((await visit(t, second, { client_id: 'cli' })).types(), PLAIN);
    assert.equal(second.rows()[0]?.open, 0);
  });

  test('a frame whose socket vanished is repeated, the very same, until it has arrived', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway, { client_id: 'cli' });
    await ask(gateway, client, 'x');
    gateway.model.calls[0]?.answer('perhaps twice');
    const response = await client.nextOf('response');
    client.vanish();
    await gone(gateway);
    for (let time = 0; time < 2; time++) {
      const back = await visit(t, gateway, { client_id: 'cli' });
      assert.deepEqual(back.types(), WITH_MISSED);
      assert.deepEqual(back.frames[1], response);
      if (time === 0) back.vanish();
      else await back.close();
      await gone(gateway);
    }
    assert.deepEqual((await visit(t, gateway, { client_id: 'cli' })).types(), PLAIN);
  });

  const looks: GatewayOptions[] = [{}, { token: TOKEN }];
  for (const options of looks) {
    const how = options.token === undefined ? 'without' : 'with';
    test(`a frame counts as delivered once its socket has lived on, ${how} a token`, async (t) => {
      const clock = createTestClock();
      const gateway = await startGateway(t, factory, { ...options, clock });
      const auth = { client_id: 'cli', ...(options.token ? { token: options.token } : {}) };
      const client = await signIn(t, gateway, auth);
      await ask(gateway, client, 'x');
      gateway.model.calls[0]?.answer('there');
      await client.nextOf('response');
      assert.equal(gateway.rows()[0]?.open, 1);
      clock.advance(LOOK_MS);
      assert.equal(gateway.rows()[0]?.open, 1, 'seen drained, no more');
      clock.advance(LOOK_MS);
      assert.equal(gateway.rows()[0]?.open, 0);
      client.vanish();
      await gone(gateway);
      assert.deepEqual((await visit(t, gateway, auth)).types(), PLAIN);
    });
  }

  test('a second socket of the client gets what the first one may have lost', async (t) => {
    const gateway = await startGateway(t, factory);
    const first = await signIn(t, gateway, { client_id: 'cli' });
    const second = await signIn(t, gateway, { client_id: 'cli' });
    await ask(gateway, first, 'x');
    first.vanish();
    await until(() => gateway.hub.count() === 1, 'the first to be gone');
    gateway.model.calls[0]?.answer('here');
    assert.equal((await second.nextOf('response')).text, 'here');
    await ask(gateway, second, 'y');
    const third = await signIn(t, gateway, { client_id: 'cli' });
    gateway.model.calls[1]?.answer('in doubt');
    await second.nextOf('response');
    second.vanish();
    assert.equal((await third.nextWhere(({ text }) => text === 'in doubt', 'it')).type, 'response');
  });

  test('a frame older than the limit stays in the history', async (t) => {
    const clock = createTestClock();
    const gateway = await startGateway(t, factory, { clock, limits: { redeliveryMs: 5_000 } });
    await missAnswer(t, gateway, { client_id: 'cli' });
    clock.advance(5_001);
    assert.deepEqual((await visit(t, gateway, { client_id: 'cli' })).types(), PLAIN);
    assert.deepEqual([gateway.rows()[0]?.open, gateway.rows()[0]?.state], [0, 'done']);
  });

  test('of more frames than are kept, the latest are', async (t) => {
    const gateway = await startGateway(t, factory, { limits: { redeliveriesPerClient: 2 } });
    const client = await signIn(t, gateway, { client_id: 'cli' });
    for (const text of ['a', 'b', 'c']) await ask(gateway, client, text);
    client.vanish();
    await gone(gateway);
    for (const call of gateway.model.calls) {
      call.answer(call.text);
      await until(
        () => gateway.rows().some(({ text, state }) => text === call.text && state === 'done'),
        'it',
      );
    }
    const back = await visit(t, gateway, { client_id: 'cli' });
    const texts = back.frames.filter(({ type }) => type === 'response').map(({ text }) => text);
    assert.deepEqual(texts, ['b', 'c']);
  });

  test('auth again under the same name repeats nothing', async (t) => {
    const gateway = await startGateway(t, factory);
    await missAnswer(t, gateway, { client_id: 'cli' });
    const { mock } = t.mock.method(gateway.engine, 'attach');
    const client = await visit(t, gateway, { client_id: 'cli' });
    for (const clientId of ['cli', 'other', 'cli']) client.send({ type: 'auth', client_id: clientId });
    await client.settled();
    assert.equal(client.types().filter((type) => type === 'response').length, 1);
    assert.equal(mock.callCount(), 2, 'once for each name');
  });
}
