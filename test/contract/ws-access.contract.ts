/** Which requests and upgrades get in at all, in the bytes a client really sends. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { rawExchange } from '../fixtures/transport-bench.ts';
import { connectClient, refusedUpgrade, signIn } from '../fixtures/ws-client.ts';
import { startGateway } from '../fixtures/ws-gateway.ts';

const UPGRADE = [
  ...['Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'],
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
];

export function accessCases(factory: TransportFactory): void {
  for (const [what, headers, status] of [
    ['two Host headers', ['Host: localhost', 'Host: localhost'], 421],
    ['two Host headers, the second foreign', ['Host: localhost', 'host: evil.example'], 421],
    ['two Host headers, the first foreign', ['HOST: evil.example', 'Host: localhost'], 421],
    ['two Host headers, the first empty', ['Host:', 'Host: localhost'], 421],
    ['an empty Host header', ['Host:'], 421],
    ['two Origin headers', ['Host: localhost', 'Origin: http://localhost', 'Origin: http://localhost'], 403],
    [
      'two Origin headers, the second foreign',
      ['Host: localhost', 'Origin: http://localhost', 'origin: http://evil.example'],
      403,
    ],
    ['one of each', ['Host: localhost', 'Origin: http://localhost:8081'], 200],
  ] as const) {
    test(`${what}: ${status}, for requests and for upgrades`, async (t) => {
      const { port } = await startGateway(t, factory);
      const plain = ['GET /api/health HTTP/1.1', ...headers, '', ''].join('\r\n');
      assert.equal(statusOf(await rawExchange(port, plain, '}')), status);
      const upgrade = ['GET /ws HTTP/1.1', ...headers, ...UPGRADE, '', ''].join('\r\n');
      const answer = await rawExchange(port, upgrade, status === 200 ? '\r\n\r\n' : '}');
      assert.equal(statusOf(answer), status === 200 ? 101 : status);
    });
  }

  test('a request without Host: refused, by the library or with 421', async (t) => {
    const { port } = await startGateway(t, factory);
    const request = ['GET /api/health HTTP/1.1', 'Connection: close', '', ''].join('\r\n');
    const answer = await rawExchange(port, request, '').catch((error: Error) => error.message);
    assert.match(answer, /HTTP\/1\.1 (400|421) /);
  });

  test('more sockets than the limit: 503 with Retry-After, until one has gone', async (t) => {
    const gateway = await startGateway(t, factory, { limits: { sockets: 2 } });
    const first = await connectClient(t, gateway);
    await connectClient(t, gateway);
    const { status, headers, body } = await refusedUpgrade(gateway);
    assert.deepEqual([status, headers['retry-after'], body.code], [503, '1', 'sockets.full']);
    await first.close();
    await connectClient(t, gateway);
  });

  test('more sockets before auth than the limit: 503, while those who prove who they are still get in', async (t) => {
    const gateway = await startGateway(t, factory, { token: 'secret', limits: { socketsBeforeAuth: 1 } });
    await signIn(t, gateway, { token: 'secret' });
    await connectClient(t, gateway);
    const { status, body } = await refusedUpgrade(gateway);
    assert.deepEqual([status, body.code], [503, 'sockets.full']);
    await connectClient(t, gateway, { headers: { authorization: 'Bearer secret' } });
  });
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1]);
