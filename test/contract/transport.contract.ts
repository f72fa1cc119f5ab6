/**
 * Every transport must pass this file unchanged. Called once per adapter; where libraries cannot be made to agree, the
 * difference is data.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect as connectTcp } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, test } from 'node:test';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { BODY_BYTES, openSocket, rawExchange, startTransport, within } from '../fixtures/transport-bench.ts';
import { downloadCases, uploadCases } from './transport-bodies.contract.ts';
import { chunkCases } from './transport-chunks.contract.ts';
import { closingCases, socketCases, type TransportDifferences } from './transport-sockets.contract.ts';

export function transportContract(
  name: string,
  factory: TransportFactory,
  differs: TransportDifferences,
): void {
  describe(`${name}: HTTP`, () => httpCases(factory));
  describe(`${name}: uploads`, () => uploadCases(factory));
  describe(`${name}: downloads`, () => downloadCases(factory));
  describe(`${name}: chunks`, () => chunkCases(factory));
  describe(`${name}: WebSocket`, () => socketCases(factory, differs));
  describe(`${name}: closing`, () => closingCases(factory));
  describe(`${name}: listening`, () => listeningCases(factory));
}

function httpCases(factory: TransportFactory): void {
  test('hands over method, path, query, headers and peer as sent', async (t) => {
    const { port } = await startTransport(t, factory);
    const response = await fetch(`http://127.0.0.1:${port}/echo/a%20b?x=1&y=%2F`, {
      headers: { origin: 'http://localhost:1', authorization: 'Bearer s', 'content-type': 'text/x' },
    });
    assert.deepEqual(await response.json(), {
      method: 'GET',
      path: '/echo/a%20b',
      query: 'x=1&y=%2F',
      host: `127.0.0.1:${port}`,
      origin: 'http://localhost:1',
      authorization: 'Bearer s',
      contentType: 'text/x',
      secFetchSite: '',
      isUpgrade: false,
      remoteAddress: '127.0.0.1',
    });
  });

  test('gives absent headers and an absent query as empty strings', async (t) => {
    const { port } = await startTransport(t, factory);
    const text = await rawExchange(
      port,
      'GET /echo HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: none\r\n\r\n',
      '}',
    );
    const echoed = JSON.parse(text.slice(text.indexOf('{')));
    assert.deepEqual(
      [echoed.query, echoed.origin, echoed.authorization, echoed.contentType],
      ['', '', '', ''],
    );
    assert.equal(echoed.secFetchSite, 'none');
  });

  for (const path of ['/sync', '/async']) {
    test(`answers ${path} with exactly the status, headers and body given`, async (t) => {
      const { port } = await startTransport(t, factory);
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      assert.equal(response.status, 418);
      assert.equal(response.headers.get('x-one'), '1');
      assert.equal(response.headers.get('content-type'), 'text/plain; charset=utf-8');
      assert.equal(response.headers.get('content-length'), '6');
      assert.equal(await response.text(), 'té☕');
    });

    test(`answers HEAD ${path} with the length and no body, on a connection that goes on`, async (t) => {
      const { port } = await startTransport(t, factory);
      const head = `HEAD ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
      const text = await rawExchange(port, [head, 'GET /bytes HTTP/1.1\r\nHost: x\r\n\r\n'], 'end');
      const [first, second] = text.split(/(?=HTTP\/1\.1 200)/);
      assert.match(first ?? '', /^HTTP\/1\.1 418 /);
      assert.match(first ?? '', /content-length: 6\r\n/i);
      assert.ok(first?.endsWith('\r\n\r\n'), 'nothing after the headers');
      assert.match(second ?? '', /\r\n\r\nbytes end$/);
    });
  }

  test('sends bytes, empty bodies and 204 as they are', async (t) => {
    const { port } = await startTransport(t, factory);
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/bytes`)).text(), 'bytes end');
    const empty = await fetch(`http://127.0.0.1:${port}/empty`);
    assert.deepEqual([empty.status, empty.headers.get('content-length')], [200, '0']);
    const none = await fetch(`http://127.0.0.1:${port}/none`);
    assert.deepEqual([none.status, none.headers.get('content-length'), await none.text()], [204, null, '']);
  });

  test('reads a body of exactly the limit, and none at all', async (t) => {
    const { port } = await startTransport(t, factory);
    const post = (body: string) => fetch(`http://127.0.0.1:${port}/body`, { method: 'POST', body });
    assert.equal(await (await post('x'.repeat(BODY_BYTES))).text(), String(BODY_BYTES));
    assert.equal(await (await post('')).text(), '0');
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/body`)).text(), '0', 'GET without a body');
  });

  test('rejects one byte over the limit, and the connection stays usable', async (t) => {
    const { port } = await startTransport(t, factory);
    const tooLong = 'x'.repeat(BODY_BYTES + 1);
    const announced = `POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: ${tooLong.length}\r\n\r\n${tooLong}`;
    const next = 'GET /bytes HTTP/1.1\r\nHost: x\r\n\r\n';
    const text = await rawExchange(port, [announced, next], 'end');
    assert.match(text, /^HTTP\/1\.1 413 [\s\S]*body\.too_large[\s\S]*HTTP\/1\.1 200 OK/);
  });

  test('rejects a chunked body as soon as it overruns the limit', async (t) => {
    const { port } = await startTransport(t, factory);
    const body = ReadableStream.from([Buffer.alloc(BODY_BYTES), Buffer.alloc(1), Buffer.alloc(1)]);
    const init = { method: 'POST', body, duplex: 'half' } as RequestInit;
    const response = await fetch(`http://127.0.0.1:${port}/body`, init);
    assert.equal(response.status, 413);
    assert.equal(((await response.json()) as { code: string }).code, 'body.too_large');
  });

  test('discards a body that nobody reads, and the connection goes on', async (t) => {
    const { port } = await startTransport(t, factory);
    const unread = 'POST /sync HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789';
    const text = await rawExchange(port, [unread, 'GET /bytes HTTP/1.1\r\nHost: x\r\n\r\n'], 'end');
    assert.match(text, /^HTTP\/1\.1 418 [\s\S]*HTTP\/1\.1 200 OK[\s\S]*bytes end$/);
  });

  test('survives a client that leaves while its answer is being made', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const held = app.nextHeld();
    const client = connectTcp(port, '127.0.0.1');
    client.write('GET /held HTTP/1.1\r\nHost: x\r\n\r\n');
    const release = await held;
    client.resetAndDestroy();
    await once(client, 'close');
    // A second request on another connection is answered after the reset has been seen.
    assert.equal((await fetch(`http://127.0.0.1:${port}/bytes`)).status, 200);
    release();
    assert.equal((await fetch(`http://127.0.0.1:${port}/bytes`)).status, 200);
  });

  test('rejects the body of a client that leaves in the middle of it', async (t) => {
    const { port, app } = await startTransport(t, factory);
    const failed = app.nextBodyFailure();
    const client = connectTcp(port, '127.0.0.1');
    client.write('POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01');
    await app.nextRequest();
    client.resetAndDestroy();
    assert.equal(((await within(failed)) as { code?: string }).code, 'request.invalid');
  });

  test('ends a connection that does not speak HTTP', async (t) => {
    const { port } = await startTransport(t, factory);
    const client = connectTcp(port, '127.0.0.1');
    let text = '';
    client.on('data', (data) => {
      text += data;
    });
    client.write('this is not HTTP\r\n\r\n');
    await within(once(client, 'close'));
    assert.match(text, /^HTTP\/1\.1 (400|505) /);
  });

  test('serves a request that offers some other upgrade as an ordinary one', async (t) => {
    const { port } = await startTransport(t, factory);
    const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n';
    const text = await rawExchange(port, `GET /bytes HTTP/1.1\r\nHost: x\r\n${offer}\r\n`, 'end');
    assert.match(text, /^HTTP\/1\.1 200 OK/);
  });
}

function listeningCases(factory: TransportFactory): void {
  test('says taken for a port of the same kind, of node and of a wildcard listener', async (t) => {
    const first = await startTransport(t, factory);
    const second = await startTransport(t, factory, { isListening: false });
    assert.equal(await second.transport.listen({ host: '127.0.0.1', port: first.port }), 'taken');
    const other = createServer().listen(0, '0.0.0.0');
    t.after(() => other.close());
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    assert.equal(await second.transport.listen({ host: '127.0.0.1', port }), 'taken');
    const bound = await second.transport.listen({ host: '127.0.0.1', port: 0 });
    assert.ok(bound !== 'taken' && bound.port > 0, 'a refused port does not spoil the next try');
  });

  test('rejects an address that this machine does not have', async (t) => {
    const { transport } = await startTransport(t, factory, { isListening: false });
    await assert.rejects(transport.listen({ host: '192.0.2.1', port: 0 }), { code: 'bind.failed' });
  });

  const outer = Object.values(networkInterfaces())
    .flat()
    .find((each) => each && !each.internal && each.family === 'IPv4')?.address;
  test('listens on the given address only', { skip: !outer && 'no second IPv4 address here' }, async (t) => {
    const { port } = await startTransport(t, factory);
    const client = connectTcp(port, outer!);
    const [error] = await within(once(client, 'error'));
    assert.equal((error as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  });

  test('frees its port at once and leaks nothing over twenty cycles', async (t) => {
    let port = 0;
    const listenersBefore = process.listenerCount('exit');
    for (let cycle = 0; cycle < 20; cycle++) {
      const started = await startTransport(t, factory, { port });
      if (port) assert.equal(started.port, port);
      port = started.port;
      const ws = await openSocket(t, port);
      const closed = once(ws, 'close');
      await within(started.transport.close(1012, 'again', 1_000));
      assert.equal((await within(closed))[0], 1012);
    }
    assert.equal(process.listenerCount('exit'), listenersBefore);
  });
}
