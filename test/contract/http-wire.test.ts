/** The HTTP app behind each transport: what only shows on a socket. */
import assert from 'node:assert/strict';
import { request as ask } from 'node:http';
import { describe, type TestContext, test } from 'node:test';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { requireInstalledUws } from '../../src/gateway/transports/load.ts';
import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { createUwsTransport } from '../../src/gateway/transports/uws.ts';
import { LONG, startReplies } from '../fixtures/http-replies.ts';
import { startTransport, within } from '../fixtures/transport-bench.ts';

const factories: Record<string, TransportFactory | undefined> = {
  node: createNodeTransport,
  uws: uwsFactory(),
};

function uwsFactory(): TransportFactory | undefined {
  try {
    return createUwsTransport(requireInstalledUws());
  } catch {
    // No binary for this platform: the tests below say that they are skipped.
    return undefined;
  }
}

async function start(t: TestContext, factory: TransportFactory) {
  const replies = startReplies();
  const { port } = await startTransport(t, factory, { handle: (request) => replies.app.handle(request) });
  return { ...replies, port };
}

/** As it came: `fetch` would unpack it. */
function exchange(port: number, method: string, path: string, headers: Record<string, string>) {
  return within(
    new Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; bytes: number }>(
      (resolve, reject) => {
        const asked = ask({ port, host: '127.0.0.1', method, path, headers, agent: false }, (response) => {
          let bytes = 0;
          response.on('data', (chunk: Buffer) => {
            bytes += chunk.byteLength;
          });
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes }),
          );
        });
        asked.on('error', reject).end();
      },
    ),
  );
}

for (const [name, factory] of Object.entries(factories)) {
  const options = { skip: factory === undefined && 'uWebSockets.js does not load here' };
  describe(`over ${name}`, options, () => {
    const startHere = (t: TestContext) => start(t, factory as TransportFactory);

    test('a compressed answer is what was packed, and HEAD tells its length', async (t) => {
      const { port } = await startHere(t);
      const headers = { 'accept-encoding': 'br' };
      const [get, head] = [
        await exchange(port, 'GET', '/long', headers),
        await exchange(port, 'HEAD', '/long', headers),
      ];
      assert.deepEqual([get.headers['content-encoding'], head.headers['content-encoding']], ['br', 'br']);
      assert.ok(get.bytes > 0 && get.bytes < 1_000);
      assert.deepEqual(
        [get.headers['content-length'], head.headers['content-length'], head.bytes],
        [String(get.bytes), String(get.bytes), 0],
      );
      assert.equal(await (await fetch(`http://127.0.0.1:${port}/long`)).json(), LONG);
    });

    test('304 has a tag, no body and no length', async (t) => {
      const { port } = await startHere(t);
      const headers = { 'if-none-match': '"v1"' };
      const { status, bytes, headers: given } = await exchange(port, 'GET', '/versioned/9', headers);
      assert.deepEqual([status, bytes, given.etag, given['content-length']], [304, 0, '"v1"', undefined]);
    });

    test('an upload is streamed to its handler, and refused beyond the limit', async (t) => {
      const { port } = await startHere(t);
      const send = (bytes: number) => {
        const form = new FormData();
        form.set('file', new Blob([new Uint8Array(bytes)]), 'a.bin');
        return fetch(`http://127.0.0.1:${port}/upload`, { method: 'POST', body: form });
      };
      assert.equal((await send(5_000)).status, 200);
      const refused = await send(20_000);
      assert.equal(refused.status, 413);
      assert.match(await refused.text(), /body\.too_large/);
    });

    test('a stream is sent with its type and length; one that fails is cut and told', async (t) => {
      const { port, defects, released } = await startHere(t);
      const whole = await fetch(`http://127.0.0.1:${port}/stream/whole`);
      assert.deepEqual(
        [whole.headers.get('content-type'), whole.headers.get('content-length'), await whole.text()],
        ['text/plain', '10', '0123456789'],
      );
      await assert.rejects(fetch(`http://127.0.0.1:${port}/stream/broken`).then((each) => each.text()));
      await assert.rejects(fetch(`http://127.0.0.1:${port}/stream/short`).then((each) => each.text()));
      assert.deepEqual(
        defects.map(({ where }) => where),
        ['GET /stream/broken', 'GET /stream/short'],
      );
      assert.equal(released(), 3);
    });
  });
}
