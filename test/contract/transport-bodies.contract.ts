/** The part of the transport contract that is about bodies which are neither read nor sent in one piece. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import type { ByteStream } from '../../src/contract/route.ts';
import type { HttpRequest, HttpResponse, TransportFactory } from '../../src/gateway/transport.ts';
import { rawExchange, startTransport, within } from '../fixtures/transport-bench.ts';

export const MEBI = 1024 * 1024;
/** More than both ends of a loopback connection buffer. */
const MUCH = 64 * MEBI;

type Handle = (request: HttpRequest) => HttpResponse | Promise<HttpResponse>;

export const answer = (status: number, body: HttpResponse['body']): HttpResponse => ({
  status,
  headers: {},
  body,
});

export function start(t: TestContext, factory: TransportFactory, handle: Handle, stallMs?: number) {
  const onlyOurs = (request: HttpRequest) => (request.path === '/ours' ? handle(request) : undefined);
  return startTransport(t, factory, { handle: onlyOurs, ...(stallMs === undefined ? {} : { stallMs }) });
}

export async function open(t: TestContext, port: number, head: string): Promise<Socket> {
  const client = connect(port, '127.0.0.1').on('error', () => {}); // Being cut is what happens to it.
  t.after(() => client.destroy());
  await within(once(client, 'connect'));
  client.write(`${head}\r\nHost: x\r\n`);
  return client;
}

export function uploadCases(factory: TransportFactory): void {
  test('gives any header by its name, and an absent one as an empty string', async (t) => {
    const { port } = await start(t, factory, (request) =>
      answer(200, [request.header('range'), request.header('if-match')].join('|')),
    );
    const response = await fetch(`http://127.0.0.1:${port}/ours`, { headers: { Range: 'bytes=0-1' } });
    assert.equal(await response.text(), 'bytes=0-1|');
  });

  test('streams an upload chunk by chunk, each of which stays as it was until the next is asked for', async (t) => {
    const { port } = await start(t, factory, async (request) => {
      const hash = createHash('sha256');
      for await (const chunk of request.stream(MUCH)) {
        // More arrives meanwhile.
        for (let round = 0; round < 20; round += 1) await setImmediate();
        hash.update(chunk);
      }
      return answer(200, hash.digest('hex'));
    });
    const body = randomBytes(3 * MEBI + 7);
    const expected = createHash('sha256').update(body).digest('hex');
    for (const sent of [body, ReadableStream.from([body.subarray(0, 5), body.subarray(5)])]) {
      const init = { method: 'POST', body: sent, duplex: 'half' } as RequestInit;
      assert.equal(await (await fetch(`http://127.0.0.1:${port}/ours`, init)).text(), expected);
    }
    assert.equal(
      await (await fetch(`http://127.0.0.1:${port}/ours`)).text(),
      createHash('sha256').digest('hex'),
    );
  });

  test('makes a fast client wait for a slow reader, then takes the rest', async (t) => {
    const events = new EventEmitter();
    const { port } = await start(t, factory, async (request) => {
      const chunks = request.stream(MUCH)[Symbol.asyncIterator]();
      let bytes = (await chunks.next()).value?.byteLength ?? 0;
      await new Promise<void>((resolve) => events.emit('reading', resolve));
      for (let next = await chunks.next(); !next.done; next = await chunks.next())
        bytes += next.value.byteLength;
      return answer(200, String(bytes));
    });
    const client = await open(t, port, 'POST /ours HTTP/1.1');
    const reading = once(events, 'reading');
    client.write(`Content-Length: ${MUCH}\r\n\r\n`);
    client.write(Buffer.alloc(MUCH));
    const [goOn] = await within(reading);
    // A reader that is not waited for would have it all by the time another client has been answered often.
    for (let i = 0; i < 50; i++) assert.equal((await fetch(`http://127.0.0.1:${port}/bytes`)).status, 200);
    assert.ok(client.writableLength > 0, 'the client still holds what nobody has read');
    goOn();
    const [text] = await within(once(client, 'data'));
    assert.match(String(text), new RegExp(`\\r\\n\\r\\n${MUCH}$`));
  });

  for (const framing of ['Content-Length: 3000', 'Transfer-Encoding: chunked']) {
    test(`refuses an upload over its limit, ${framing}, and the connection goes on`, async (t) => {
      const { port } = await start(t, factory, async (request) => {
        try {
          for await (const _ of request.stream(2_000));
        } catch (error) {
          return answer(413, (error as { code: string }).code);
        }
        return answer(200, 'taken');
      });
      const body = 'x'.repeat(3_000);
      const sent = framing.startsWith('C') ? body : `bb8\r\n${body}\r\n0\r\n\r\n`;
      const first = `POST /ours HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n${sent}`;
      const text = await rawExchange(port, [first, 'GET /bytes HTTP/1.1\r\nHost: x\r\n\r\n'], 'end');
      assert.match(text, /^HTTP\/1\.1 413 [\s\S]*body\.too_large[\s\S]*HTTP\/1\.1 200 OK/);
    });
  }

  for (const how of ['leaves the loop early', 'never reads']) {
    test(`a handler that ${how} is answered, the rest is dropped, the connection goes on`, async (t) => {
      const { port } = await start(t, factory, async (request) => {
        const stream = request.stream(MUCH);
        if (how === 'never reads') return answer(200, 'enough');
        for await (const _ of stream) break;
        return answer(200, 'enough');
      });
      const client = await open(t, port, 'POST /ours HTTP/1.1');
      let text = '';
      const done = new Promise<void>((resolve) => {
        client.on('data', (data) => {
          text += data;
          if (text.endsWith('bytes end')) resolve();
        });
      });
      client.write(`Content-Length: ${4 * MEBI}\r\n\r\n`);
      client.write(Buffer.alloc(4 * MEBI));
      client.write('GET /bytes HTTP/1.1\r\nHost: x\r\n\r\n');
      await within(done);
      assert.match(text, /^HTTP\/1\.1 200 [\s\S]*enough[\s\S]*HTTP\/1\.1 200/);
    });
  }

  test('a reader is told of a client that leaves', async (t) => {
    const events = new EventEmitter();
    const { port } = await start(t, factory, async (request) => {
      try {
        for await (const _ of request.stream(MUCH)) events.emit('chunk');
      } catch (error) {
        events.emit('failed', error);
      }
      return answer(200, '');
    });
    const failed = once(events, 'failed');
    const client = await open(t, port, 'POST /ours HTTP/1.1');
    const chunk = once(events, 'chunk');
    client.write('Content-Length: 10\r\n\r\n01');
    await within(chunk);
    client.resetAndDestroy();
    assert.equal((await within(failed))[0].code, 'request.invalid');
  });

  for (const reads of ['stream', 'readBody'] as const) {
    test(`cuts a client that sends no more of its body (read by ${reads})`, async (t) => {
      await cutsStalled(t, factory, async (request) => {
        if (reads === 'readBody') await request.readBody(MUCH);
        else await request.stream(MUCH)[Symbol.asyncIterator]().next();
        return new Promise(() => {});
      });
    });
  }
}

/** uWS does it by itself, after ten seconds, where nobody read the body. */
export function unreadUploadCase(factory: TransportFactory): void {
  test('cuts a client that sends no more of a body that nobody read', async (t) => {
    await cutsStalled(t, factory, () => answer(200, ''));
  });
}

async function cutsStalled(t: TestContext, factory: TransportFactory, handle: Handle): Promise<void> {
  const failed = (request: HttpRequest) => Promise.resolve(handle(request)).catch(() => answer(400, ''));
  const { port } = await start(t, factory, failed, 100);
  const client = await open(t, port, 'POST /ours HTTP/1.1');
  const closed = once(client, 'close');
  client.write('Content-Length: 10\r\n\r\n01');
  client.resume();
  await within(closed);
}

/** Counts how often it was opened and let go of. */
export class Source {
  readonly events = new EventEmitter();
  opened = 0;
  released = 0;
  readonly length: number | undefined;
  readonly #make: () => AsyncGenerator<Uint8Array>;

  constructor(length: number | undefined, make: () => AsyncGenerator<Uint8Array>) {
    this.length = length;
    this.#make = make;
  }

  async *open(): ByteStream & AsyncGenerator<Uint8Array> {
    this.opened++;
    try {
      yield* this.#make();
    } finally {
      this.released++;
      this.events.emit('released');
    }
  }

  async isReleased(): Promise<void> {
    if (this.released === 0) await within(once(this.events, 'released'));
  }
}

function zeros(length: number, given = length): Source {
  return new Source(length, async function* () {
    for (let left = given; left > 0; left -= MEBI) yield new Uint8Array(Math.min(left, MEBI));
  });
}

export function downloadCases(factory: TransportFactory): void {
  test('sends a stream with its length, byte for byte, and lets go of it', async (t) => {
    const bytes = randomBytes(5 * MEBI + 3);
    const source = new Source(bytes.length, async function* () {
      yield bytes.subarray(0, 1);
      yield bytes.subarray(1, 100);
      yield bytes.subarray(100);
    });
    const { port } = await start(t, factory, () => ({
      status: 206,
      headers: { 'x-one': '1' },
      body: source,
    }));
    for (let time = 1; time <= 2; time++) {
      const response = await fetch(`http://127.0.0.1:${port}/ours`);
      const { headers } = response;
      assert.deepEqual(
        [response.status, headers.get('content-length'), headers.get('x-one')],
        [206, String(bytes.length), '1'],
      );
      assert.ok(bytes.equals(Buffer.from(await response.arrayBuffer())));
      assert.deepEqual([source.opened, source.released], [time, time]);
    }
  });

  test('tells HEAD the length, and nobody opens the stream for it, nor for an empty one, nor for 304', async (t) => {
    const [full, empty] = [zeros(MEBI), zeros(0)];
    const { port } = await start(t, factory, async ({ query }) =>
      query === 'empty' ? answer(200, empty) : answer(query === '304' ? 304 : 200, full),
    );
    const head = await fetch(`http://127.0.0.1:${port}/ours`, { method: 'HEAD' });
    assert.equal(head.headers.get('content-length'), String(MEBI));
    assert.equal((await fetch(`http://127.0.0.1:${port}/ours?304`)).status, 304);
    assert.equal((await (await fetch(`http://127.0.0.1:${port}/ours?empty`)).arrayBuffer()).byteLength, 0);
    assert.deepEqual([full.opened, empty.opened], [0, 0]);
  });

  test('makes no more of a stream than a client that does not read can be sent', async (t) => {
    let made = 0;
    const source = new Source(16 * MUCH, async function* () {
      for (;;) {
        made += MEBI;
        source.events.emit('made');
        yield new Uint8Array(MEBI);
      }
    });
    const { port } = await start(t, factory, () => answer(200, source));
    const client = await open(t, port, 'GET /ours HTTP/1.1');
    client.pause();
    const begun = once(source.events, 'made');
    client.write('\r\n');
    await within(begun);
    for (let i = 0; i < 50; i++) assert.equal((await fetch(`http://127.0.0.1:${port}/bytes`)).status, 200);
    assert.ok(made < 2 * MUCH, `${made} bytes were made for nobody`);
    client.resetAndDestroy();
    await source.isReleased();
  });

  const broken: Record<string, Source> = {
    'fails at once': new Source(10, async function* () {
      yield* [];
      throw new Error('broken');
    }),
    'fails in the middle': new Source(10, async function* () {
      yield new Uint8Array(5);
      throw new Error('broken');
    }),
    'ends too early': zeros(10, 5),
    'gives too much': zeros(5, 10),
  };
  for (const [name, source] of Object.entries(broken)) {
    test(`cuts the connection when a stream ${name}`, async (t) => {
      const { port } = await start(t, factory, () => answer(200, source));
      await assert.rejects(fetch(`http://127.0.0.1:${port}/ours`).then((response) => response.arrayBuffer()));
      await source.isReleased();
      assert.equal((await fetch(`http://127.0.0.1:${port}/bytes`)).status, 200, 'the transport goes on');
    });
  }

  test('cuts a client that stopped reading', async (t) => {
    const source = zeros(MUCH);
    const { port } = await start(t, factory, () => answer(200, source), 100);
    const client = await open(t, port, 'GET /ours HTTP/1.1');
    client.pause();
    client.write('\r\n');
    await source.isReleased();
  });

  for (const how of ['close', 'closeNow'] as const) {
    test(`${how} ends with an upload and a download in progress, and both are told`, async (t) => {
      const source = zeros(MUCH);
      const events = new EventEmitter();
      const { port, transport } = await start(t, factory, async (request) => {
        if (request.method === 'GET') return answer(200, source);
        const chunks = request.stream(MUCH)[Symbol.asyncIterator]();
        await chunks.next();
        events.emit('reading');
        await assert.rejects(async () => {
          for (let next = await chunks.next(); !next.done; ) next = await chunks.next();
        });
        events.emit('failed');
        return answer(200, '');
      });
      const [reading, failed] = [once(events, 'reading'), once(events, 'failed')];
      const upload = await open(t, port, 'POST /ours HTTP/1.1');
      upload.write(`Content-Length: ${MUCH}\r\n\r\n0`);
      const download = await open(t, port, 'GET /ours HTTP/1.1');
      download.write('\r\n');
      await within(Promise.all([reading, once(download, 'readable')]));
      if (how === 'close') await within(transport.close(1001, 'bye', 50));
      else transport.closeNow();
      await Promise.all([within(failed), source.isReleased()]);
    });
  }

  test('close lets a download in progress come to its end', async (t) => {
    const source = zeros(16 * MEBI);
    const { port, transport } = await start(t, factory, () => answer(200, source));
    const response = await within(fetch(`http://127.0.0.1:${port}/ours`));
    const closing = transport.close(1001, 'bye', 10_000);
    assert.equal((await within(response.arrayBuffer())).byteLength, 16 * MEBI);
    await within(closing);
  });
}
