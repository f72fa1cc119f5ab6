/** The half of the transport contract that is about WebSockets: frames, bounds, and how sockets end. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { WebSocket } from 'ws';
import type { Peer, TransportFactory } from '../../src/gateway/transport.ts';
import {
  BUFFERED_BYTES,
  FRAME_BYTES,
  handshake,
  openSocket,
  rawExchange,
  startTransport,
  within,
} from '../fixtures/transport-bench.ts';

export interface TransportDifferences {
  /** What a client sees that sent a text frame which is not UTF-8. */
  readonly invalidTextCode: number;
}

export function socketCases(factory: TransportFactory, differs: TransportDifferences): void {
  test('refuses an upgrade with the response given', async (t) => {
    const { port } = await startTransport(t, factory);
    const text = await rawExchange(port, handshake('/refuse'), '}');
    assert.match(text, /^HTTP\/1\.1 403 Forbidden\r\n/);
    assert.match(text, /x-why: because\r\n/i);
    assert.match(text, /\{"code":"access.origin"\}$/);
  });

  test('accepts an upgrade and echoes text, also when it is not ASCII and in fragments', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    assert.equal(app.upgrades[0]?.path, '/ws');
    assert.equal(app.upgrades[0]?.isUpgrade, true);
    assert.equal(app.peers[0]?.remoteAddress, '127.0.0.1');
    assert.equal(ws.extensions, '', 'no compression');
    ws.send('grüße ☕');
    assert.equal(String((await within(once(ws, 'message')))[0]), 'echo grüße ☕');
    ws.send('one ', { fin: false });
    ws.send('two', { fin: true });
    assert.equal(String((await within(once(ws, 'message')))[0]), 'echo one two');
  });

  test('tells of binary frames by their size', async (t) => {
    const { port } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    ws.send(Buffer.alloc(77));
    assert.equal(String((await within(once(ws, 'message')))[0]), 'binary 77');
  });

  test('takes a frame of exactly the limit and closes with 1009 on one more byte', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    ws.send('x'.repeat(FRAME_BYTES));
    assert.equal(String((await within(once(ws, 'message')))[0]).length, FRAME_BYTES + 'echo '.length);
    const closed = once(ws, 'close');
    ws.send('x'.repeat(FRAME_BYTES + 1));
    assert.equal((await within(closed))[0], 1009);
    assert.equal((await app.nextClosed()).code, 1009);
  });

  test('tells the app 1009 also for a frame far over the limit', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    ws.on('error', () => {}); // The connection may be reset while the frame is still being sent.
    ws.send('x'.repeat(FRAME_BYTES * 5));
    assert.deepEqual(await app.nextClosed(), { code: 1009, isClean: false });
  });

  test('never hands over text that is not UTF-8', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    const closed = once(ws, 'close');
    ws.send(Buffer.from([0x61, 0xff]), { binary: false });
    assert.equal((await within(closed))[0], differs.invalidTextCode);
    assert.deepEqual(await app.nextClosed(), { code: 1007, isClean: false });
    assert.deepEqual(app.texts, []);
  });

  test('drops frames for a peer that does not read, keeps what it took, and can cut it', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const client = await openRaw(port);
    client.pause();
    const peer = app.peers[0]!;
    const chunk = 'x'.repeat(64 * 1024);
    let dropped = false;
    for (let i = 0; i < 1_000 && !dropped; i++) dropped = peer.send(chunk) === 'dropped';
    assert.ok(dropped, 'the bound is reached');
    assert.ok(peer.bufferedBytes() > BUFFERED_BYTES);
    assert.ok(peer.bufferedBytes() <= BUFFERED_BYTES + 2 * chunk.length, 'at most one frame over the bound');
    const closed = app.nextClosed();
    peer.close(1013, 'too slow');
    peer.terminate();
    assert.deepEqual(await closed, { code: 1006, isClean: false });
    client.destroy();
  });

  test('a slow peer that catches up gets every frame that was taken, then the close frame', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    ws.pause();
    const peer = app.peers[0]!;
    const chunk = 'x'.repeat(64 * 1024);
    let taken = 0;
    while (peer.send(chunk) !== 'dropped') taken++;
    let received = 0;
    ws.on('message', () => {
      received++;
    });
    const closed = once(ws, 'close');
    peer.close(1013, 'too slow');
    ws.resume();
    const [code, reason] = await within(closed);
    assert.deepEqual([code, String(reason), received], [1013, 'too slow', taken]);
  });

  test('takes frames again once the peer has caught up', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    ws.pause();
    const peer = app.peers[0]!;
    const chunk = 'x'.repeat(64 * 1024);
    let owed = 0;
    while (peer.send(chunk) !== 'dropped') owed++;
    const caughtUp = new Promise<void>((resolve) => {
      ws.on('message', () => --owed === 0 && resolve());
    });
    ws.resume();
    await within(caughtUp);
    ws.send('hello');
    assert.equal(String((await within(once(ws, 'message')))[0]), 'echo hello');
    assert.equal(peer.bufferedBytes(), 0);
  });

  test('cork sends everything in order, and nesting or throwing work harms nothing', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    const peer = app.peers[0]!;
    const seen: string[] = [];
    const done = new Promise<void>((resolve) => {
      ws.on('message', (data) => seen.push(String(data)) === 4 && resolve());
    });
    peer.cork(() => {
      peer.send('1');
      peer.cork(() => void peer.send('2'));
      peer.send('3');
    });
    peer.send('4');
    await within(done);
    assert.deepEqual(seen, ['1', '2', '3', '4']);
  });

  test('reports the code with which the client closed', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    ws.close(4001, 'mine');
    assert.deepEqual(await app.nextClosed(), { code: 4001, isClean: true });
  });

  test('reports a client that vanished as 1006, not clean', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    ws.terminate();
    assert.deepEqual(await app.nextClosed(), { code: 1006, isClean: false });
  });
}

export function closingCases(factory: TransportFactory): void {
  test('a peer closed by the app sees code and reason; afterwards everything is harmless', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    const peer = app.peers[0]!;
    const closed = once(ws, 'close');
    peer.send('last');
    const last = once(ws, 'message');
    peer.close(1008, `wrong token ${'é'.repeat(100)}`);
    assert.equal(peer.send('late'), 'dropped');
    ws.send('also late');
    assert.equal(String((await within(last))[0]), 'last');
    const [code, reason] = await within(closed);
    assert.equal(code, 1008);
    assert.match(String(reason), /^wrong token é+$/, 'cut at a whole character');
    assert.deepEqual(await app.nextClosed(), { code: 1008, isClean: true });
    assert.deepEqual(app.texts, [], 'nothing is handed over after close');
    useClosed(peer);
  });

  test('a peer that does not answer a close is cut and reported as 1006', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const client = await openRaw(port);
    client.pause();
    app.peers[0]!.close(1008, 'silent');
    assert.deepEqual(await app.nextClosed(), { code: 1006, isClean: false });
    client.resume();
    await within(once(client, 'close'));
    client.destroy();
  });

  test('a peer cut inside accept is told to its listener', async (t) => {
    const { port, app } = await startTransport(t, factory, { onAccept: (peer) => peer.terminate() });
    const ws = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    ws.on('error', () => {}); // Cut before or after its handshake: both are fine here.
    const closed = new Promise((resolve) => ws.once('close', resolve));
    assert.deepEqual(await app.nextClosed(), { code: 1006, isClean: false });
    await within(closed);
  });

  test('close says goodbye to every socket, waits for their answers, cuts the silent ones', async (t) => {
    const { port, transport, app } = await startTransport(t, factory);
    const sockets = await Promise.all([openSocket(t, port), openSocket(t, port)]);
    const silent = await openRaw(port);
    const silentClosed = once(silent, 'close');
    const closes = Promise.all(sockets.map((ws) => once(ws, 'close')));
    await within(transport.close(1012, 'restarting', 300));
    for (const [code, reason] of await within(closes)) {
      assert.deepEqual([code, String(reason)], [1012, 'restarting']);
    }
    await within(silentClosed);
    assert.deepEqual(app.closed.map(({ code }) => code).sort(), [1006, 1012, 1012]);
    await within(transport.close(1001, 'again', 300));
    await assert.rejects(fetch(`http://127.0.0.1:${port}/bytes`));
  });

  test('close lets a pending answer go out within its time', async (t) => {
    const { port, transport, app } = await startTransport(t, factory);
    const held = app.nextHeld();
    const answer = fetch(`http://127.0.0.1:${port}/held`);
    const release = await held;
    const closing = transport.close(1001, 'bye', 5_000);
    release();
    assert.equal(await (await within(answer)).text(), 'held');
    await within(closing);
  });

  test('close ends although a request is never answered', async (t) => {
    const { port, transport, app } = await startTransport(t, factory);
    const held = app.nextHeld();
    const refused = assert.rejects(fetch(`http://127.0.0.1:${port}/held`));
    const release = await held;
    await within(transport.close(1001, 'bye', 50));
    await within(refused);
    release();
  });

  test('stopListening refuses new connections and keeps the open ones', async (t) => {
    const { port, transport } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    transport.stopListening();
    transport.stopListening();
    await assert.rejects(fetch(`http://127.0.0.1:${port}/bytes`));
    ws.send('still');
    assert.equal(String((await within(once(ws, 'message')))[0]), 'echo still');
  });

  test('closeNow cuts everything at once, tells nobody, and can be called again', async (t) => {
    const { port, transport, app } = await startTransport(t, factory);
    const ws = await openSocket(t, port);
    const closed = once(ws, 'close');
    transport.closeNow();
    transport.closeNow();
    assert.equal((await within(closed))[0], 1006);
    await within(transport.close(1001, 'late', 1_000));
    assert.deepEqual(app.closed, []);
    assert.equal(app.peers[0]!.send('late'), 'dropped');
    useClosed(app.peers[0]!);
  });

  test('closing a transport that never listened ends', async (t) => {
    const { transport } = await startTransport(t, factory, { isListening: false });
    await within(transport.close(1001, 'bye', 100));
  });
}

/** A WebSocket client that speaks the opening handshake and then never says another word. */
async function openRaw(port: number) {
  const client = connectTcp(port, '127.0.0.1');
  client.on('error', () => {}); // Being reset is what happens to it.
  client.write(handshake('/ws'));
  await within(once(client, 'data'));
  return client;
}

function useClosed(peer: Peer): void {
  peer.close(1000, 'again');
  peer.terminate();
  peer.cork(() => void peer.send('late'));
  peer.bufferedBytes();
}
