/** The part of the transport contract that is about answers whose length nobody knows, and callers that leave. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { test } from 'node:test';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { within } from '../fixtures/transport-bench.ts';
import { answer, MEBI, open, Source, start } from './transport-bodies.contract.ts';

export function chunkCases(factory: TransportFactory): void {
  test('sends a stream without length in chunks, each before the next is made, and lets go of it', async (t) => {
    const events = new EventEmitter();
    const source = new Source(undefined, async function* () {
      yield Buffer.from('one');
      await once(events, 'go');
      yield Buffer.from('two');
    });
    const { port } = await start(t, factory, () => ({
      status: 201,
      headers: { 'x-one': '1' },
      body: source,
    }));
    const response = await within(fetch(`http://127.0.0.1:${port}/ours`));
    const { headers } = response;
    assert.deepEqual(
      [response.status, headers.get('content-length'), headers.get('x-one')],
      [201, null, '1'],
    );
    const reader = response.body?.getReader();
    assert.equal(Buffer.from((await within(reader!.read())).value!).toString(), 'one');
    events.emit('go');
    assert.equal(Buffer.from((await within(reader!.read())).value!).toString(), 'two');
    assert.equal((await within(reader!.read())).done, true);
    assert.deepEqual([source.opened, source.released], [1, 1]);
    assert.equal((await fetch(`http://127.0.0.1:${port}/bytes`)).status, 200);
  });

  test('sends much of unknown length whole, also to a client that pauses, and makes no more than it can be sent', async (t) => {
    let made = 0;
    const source = new Source(undefined, async function* () {
      for (let left = 16; left > 0; left--) {
        made += MEBI;
        source.events.emit('made');
        yield new Uint8Array(MEBI);
      }
    });
    const { port } = await start(t, factory, () => answer(200, source));
    const client = await open(t, port, 'GET /ours HTTP/1.1\r\nConnection: close');
    client.pause();
    const begun = once(source.events, 'made');
    client.write('\r\n');
    await within(begun);
    for (let i = 0; i < 50; i++) assert.equal((await fetch(`http://127.0.0.1:${port}/bytes`)).status, 200);
    assert.ok(made < 16 * MEBI, `${made} bytes were made for nobody`);
    let bytes = 0;
    client.on('data', (data: Buffer) => {
      bytes += data.length;
    });
    client.resume();
    await source.isReleased();
    while (bytes < 16 * MEBI) await within(once(client, 'data'));
  });

  test('a stream of unknown length may be empty, and HEAD does not open it', async (t) => {
    const source = new Source(undefined, async function* () {});
    const { port } = await start(t, factory, () => answer(200, source));
    const head = await within(fetch(`http://127.0.0.1:${port}/ours`, { method: 'HEAD' }));
    assert.deepEqual([head.status, source.opened], [200, 0]);
    assert.equal(await within((await fetch(`http://127.0.0.1:${port}/ours`)).text()), '');
  });

  test('cuts the connection when a stream of unknown length fails in the middle', async (t) => {
    const source = new Source(undefined, async function* () {
      yield new Uint8Array(5);
      throw new Error('broken');
    });
    const { port } = await start(t, factory, () => answer(200, source));
    await assert.rejects(fetch(`http://127.0.0.1:${port}/ours`).then((response) => response.arrayBuffer()));
    await source.isReleased();
  });

  for (const when of ['before its answer', 'in the middle of its answer'] as const) {
    test(`tells of a client that leaves ${when}`, async (t) => {
      const events = new EventEmitter();
      const source = new Source(undefined, async function* () {
        yield new Uint8Array(5);
        await once(events, 'gone');
      });
      const { port } = await start(t, factory, async (request) => {
        request.onGone(() => events.emit('gone'));
        events.emit('asked');
        return when === 'before its answer' ? new Promise<never>(() => {}) : answer(200, source);
      });
      const [asked, gone] = [once(events, 'asked'), once(events, 'gone')];
      const client = await open(t, port, 'GET /ours HTTP/1.1');
      client.write('\r\n');
      await within(asked);
      if (when !== 'before its answer') await within(once(client, 'data'));
      client.resetAndDestroy();
      await within(gone);
      if (when !== 'before its answer') await source.isReleased();
    });
  }

  test('tells nothing to who has had his answer', async (t) => {
    let gone = 0;
    const { port } = await start(t, factory, async (request) => {
      request.onGone(() => gone++);
      return answer(200, 'all');
    });
    const client = await open(t, port, 'GET /ours HTTP/1.1');
    client.write('\r\n');
    await within(once(client, 'data'));
    client.resetAndDestroy();
    assert.equal((await fetch(`http://127.0.0.1:${port}/bytes`)).status, 200);
    assert.equal(gone, 0);
  });
}
