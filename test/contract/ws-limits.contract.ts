/** What one socket may send and how fast: every bound, and how it is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '../../src/contract/limits.ts';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { until } from '../fixtures/turns.ts';
import { connectClient, signIn } from '../fixtures/ws-client.ts';
import { startGateway, TOKEN } from '../fixtures/ws-gateway.ts';

/** A ping frame of exactly so many bytes. */
function pingOf(bytes: number): string {
  const frame = JSON.stringify({ type: 'ping' });
  return frame + ' '.repeat(bytes - frame.length);
}

export function limitCases(factory: TransportFactory): void {
  test('a frame of 4 MiB is taken; one byte more closes the socket with 1009', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await connectClient(t, gateway);
    client.send(pingOf(DEFAULT_LIMITS.frameBytes));
    assert.deepEqual(await client.next(), { type: 'pong' });
    client.send(pingOf(DEFAULT_LIMITS.frameBytes + 1));
    assert.equal((await client.closed()).code, 1009);
  });

  for (const kind of ['text', 'binary'] as const) {
    test(`a ${kind} frame over 64 KiB before auth: error frame.too_large, then close 1009`, async (t) => {
      const gateway = await startGateway(t, factory, { token: TOKEN });
      const client = await connectClient(t, gateway);
      client.send(pingOf(DEFAULT_LIMITS.frameBytesBeforeAuth));
      assert.equal((await client.next()).code, 'auth.required', 'exactly the limit is read');
      const big = pingOf(DEFAULT_LIMITS.frameBytesBeforeAuth + 1);
      client.ws.send(kind === 'text' ? big : Buffer.from(big));
      assert.equal((await client.nextOf('error')).code, 'frame.too_large');
      assert.equal((await client.closed()).code, 1009);
    });
  }

  test('after auth, and where no token is set, frames over 64 KiB are fine', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN });
    const client = await signIn(t, gateway, { token: TOKEN });
    client.send(pingOf(DEFAULT_LIMITS.frameBytesBeforeAuth + 1));
    assert.deepEqual(await client.next(), { type: 'pong' });
  });

  test('bytes are counted, not characters', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN, limits: { frameBytesBeforeAuth: 40 } });
    const client = await connectClient(t, gateway);
    client.send('☕'.repeat(13), '☕'.repeat(14));
    assert.equal((await client.next()).code, 'frame.invalid');
    assert.equal((await client.next()).code, 'frame.too_large');
  });

  for (const kind of ['text', 'binary'] as const) {
    test(`more ${kind} frames in a second than allowed: error frame.rate_limited, then close 1008`, async (t) => {
      const clock = createTestClock();
      const gateway = await startGateway(t, factory, { clock, limits: { framesPerSecond: 3 } });
      const client = await connectClient(t, gateway);
      const send = () => client.ws.send(kind === 'text' ? '{"type":"ping"}' : Buffer.from('x'));
      for (let n = 0; n < 3; n++) send();
      await client.take(3);
      clock.advance(1_000);
      for (let n = 0; n < 4; n++) send();
      await client.take(3);
      assert.deepEqual(await client.nextOf('error'), {
        type: 'error',
        text: 'Too many frames in one second; the connection is closed.',
        code: 'frame.rate_limited',
      });
      assert.equal((await client.closed()).code, 1008);
    });
  }

  test('more bytes in a second than allowed: error frame.rate_limited, then close 1008', async (t) => {
    const clock = createTestClock();
    const gateway = await startGateway(t, factory, { clock, limits: { frameBytesPerSecond: 1_000 } });
    const client = await connectClient(t, gateway);
    client.send(pingOf(1_000));
    await client.next();
    clock.advance(1_000);
    client.send(pingOf(500), pingOf(501));
    assert.equal((await client.next()).type, 'pong');
    assert.equal((await client.next()).code, 'frame.rate_limited');
    assert.equal((await client.closed()).code, 1008);
  });

  test('one socket at its limit does not slow another', async (t) => {
    const gateway = await startGateway(t, factory, {
      clock: createTestClock(),
      limits: { framesPerSecond: 2 },
    });
    const [busy, calm] = [await connectClient(t, gateway), await connectClient(t, gateway)];
    for (let n = 0; n < 3; n++) busy.send({ type: 'ping' });
    assert.equal((await busy.closed()).code, 1008);
    assert.equal((await calm.settled()).length, 1);
  });

  test('a refused socket is not read further', async (t) => {
    const gateway = await startGateway(t, factory, {
      clock: createTestClock(),
      limits: { framesPerSecond: 1 },
    });
    const client = await connectClient(t, gateway);
    client.sendAtOnce({ type: 'ping' }, { type: 'ping' }, { type: 'message', text: 'late' });
    assert.equal((await client.closed()).code, 1008);
    assert.deepEqual(client.types(), ['pong', 'error']);
    assert.deepEqual(gateway.rows(), []);
  });

  test('a slow consumer is cut with 1013, and gets its terminal frames when it returns', async (t) => {
    const gateway = await startGateway(t, factory, { limits: { bufferedBytes: 64 * 1024 } });
    const client = await signIn(t, gateway, { client_id: 'slow' });
    client.pause();
    const text = 'x'.repeat(1024 * 1024);
    const count = 12;
    for (let n = 0; n < count; n++) client.send({ type: 'message', text: 'go', session_id: n });
    await until(() => gateway.model.calls.length === count, 'all to run');
    for (const call of gateway.model.calls) call.answer(text);
    const ended = () => gateway.rows().filter((row) => row.state === 'done').length === count;
    await until(ended, 'all to end', 10_000);
    client.ws.resume();
    assert.equal((await client.closed()).code, 1013);
    const seen = new Set(client.frames.filter(({ type }) => type === 'response').map(sessionOf));
    assert.ok(seen.size < count, 'some did not fit');
    await until(() => gateway.hub.count() === 0, 'the server to know');
    for (let visit = 0; seen.size < count && visit < count; visit++) {
      const again = await signIn(t, gateway, { client_id: 'slow' });
      again.send({ type: 'ping' });
      await again.nextWhere(({ type }) => type === 'pong', 'the pong').catch(() => again.closed());
      for (const frame of again.frames) if (frame.type === 'response') seen.add(sessionOf(frame));
      if (!again.isClosed) await again.close();
      await until(() => gateway.hub.count() === 0, 'the server to know');
    }
    assert.deepEqual([...seen].sort(byNumber), [...Array(count).keys()], 'every answer has arrived');
  });
}

const sessionOf = ({ session_id }: Readonly<Record<string, unknown>>) => Number(session_id);
const byNumber = (a: number, b: number) => a - b;
