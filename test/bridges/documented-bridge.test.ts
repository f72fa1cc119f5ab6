import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type WebSocket, WebSocketServer } from 'ws';
import { startFixture } from './bridge-fixture.ts';

test('the bridge in docs/bridges.md carries lines to the gateway and answers back, and ends when asked', async (t) => {
  const root = fileURLToPath(new URL('../../', import.meta.url));
  const page = readFileSync(join(root, 'docs/bridges.md'), 'utf8');
  const example = /```ts\n(import[\s\S]*?)```/.exec(page)?.[1];
  assert.ok(example, 'the page holds an example');
  const agentDir = mkdtempSync(join(tmpdir(), 'bridge-page-'));
  t.after(() => rmSync(agentDir, { recursive: true, force: true }));
  // Stands for `npm install ws` in the agent's directory.
  symlinkSync(join(root, 'node_modules'), join(agentDir, 'node_modules'));

  const gateway = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  t.after(() => gateway.close());
  await once(gateway, 'listening');
  const authenticated = new Promise((resolve) =>
    gateway.on('connection', (socket) => answer(socket, resolve)),
  );

  const { entry, runner } = startFixture(t, {
    agentDir,
    gatewayUrl: `ws://127.0.0.1:${(gateway.address() as AddressInfo).port}/ws`,
    texts: { 'lines.ts': example },
    bridges: [{ name: 'lines', config: { port: 0 } }],
  });
  const [, { address }] = await entry('lines.listening');
  assert.deepEqual(await authenticated, { type: 'auth', token: 'gateway-token', client_id: 'lines' });
  const chat = connect((address as AddressInfo).port, '127.0.0.1');
  chat.write('hello\n');
  const [data] = await once(chat, 'data');
  assert.equal(String(data), 'echo: hello\n');
  const closed = once(chat, 'close');
  await runner.stop(5_000);
  assert.deepEqual((await entry('bridge.stop'))[1], { name: 'lines', reason: 'asked' });
  await closed;
});

function answer(socket: WebSocket, onAuth: (frame: unknown) => void): void {
  socket.on('message', (data) => {
    const frame = JSON.parse(String(data)) as { type: string; text?: string; session_id?: string };
    if (frame.type === 'auth') onAuth(frame);
    else socket.send(JSON.stringify({ ...frame, type: 'response', text: `echo: ${frame.text}` }));
  });
}
