/** The SDK's REST methods against a real gateway, and against servers that misbehave. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { AgentError, createAgentClient } from '../../clients/sdk/src/node.ts';
import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { startGateway, TOKEN } from '../fixtures/ws-gateway.ts';

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const fails = (code: string, status?: number) => (error: unknown) =>
  error instanceof AgentError && error.code === code && error.status === status;

test('there is a method for each route, with the answer typed and the token sent', async (t) => {
  const { port } = await startGateway(t, createNodeTransport, { token: TOKEN });
  const agent = createAgentClient({ url: `http://127.0.0.1:${port}/`, token: TOKEN });
  const { status, connected_clients } = await agent.rest.getHealth();
  assert.deepEqual([status, connected_clients], ['ok', 0]);
  assert.equal((await agent.rest.getAgentInfo()).isolation, 'thread');
  const answer = await agent.request('getHealth');
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get('content-type') ?? '', /json/);
});

test('a refusal rejects with code, status and words of the agent', async (t) => {
  const { port } = await startGateway(t, createNodeTransport, { token: TOKEN });
  const agent = createAgentClient({ url: `http://127.0.0.1:${port}`, token: 'wrong' });
  await assert.rejects(agent.rest.getAgentInfo(), fails('auth.invalid', 401));
});

test('a read is tried again while the agent restarts, a change is not', async (t) => {
  const asked: Record<string, number> = {};
  const url = await serve(t, (request, response) => {
    const method = request.method ?? '';
    asked[method] = (asked[method] ?? 0) + 1;
    const isBack = (asked[method] ?? 0) > 2;
    response.writeHead(isBack ? 200 : 503, { 'content-type': 'application/json', 'retry-after': '0' });
    response.end(isBack ? '{"status":"ok"}' : '{"error":"starting","code":"agent.starting"}');
  });
  const agent = createAgentClient({ url });
  assert.equal((await agent.rest.getHealth()).status, 'ok');
  assert.equal(asked.GET, 3);
  await assert.rejects(agent.rest.restartAgent(), fails('agent.starting', 503));
  assert.equal(asked.POST, 1);
});

test('an answer that is no JSON, a cut answer and nobody there are told as such', async (t) => {
  const proxy = await serve(t, (_request, response) => {
    response.writeHead(502, { 'content-type': 'text/html' });
    response.end('<h1>Bad gateway</h1>');
  });
  await assert.rejects(createAgentClient({ url: proxy }).rest.getHealth(), fails('internal', 502));
  const cut = await serve(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
    response.write('{"sta', () => response.destroy());
  });
  await assert.rejects(
    createAgentClient({ url: cut }).rest.getHealth({ retries: 0 }),
    fails('connection.lost'),
  );
  const nobody = createAgentClient({ url: 'http://127.0.0.1:1' });
  await assert.rejects(nobody.rest.getHealth({ retries: 0 }), fails('connection.lost'));
});

test('a call can be given up', async (t) => {
  const url = await serve(t, () => {});
  const agent = createAgentClient({ url });
  await assert.rejects(agent.rest.getHealth({ signal: AbortSignal.abort(new Error('enough')) }), /enough/);
  await assert.rejects(agent.rest.getHealth({ timeoutMs: 20, retries: 0 }), fails('connection.lost'));
});
