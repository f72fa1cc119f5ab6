/** Servers over HTTP that send too much, lead elsewhere, or refuse. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createBoundedFetch } from '../../src/mcp/bounded-fetch.ts';
import { server, startMcp } from './mcp-fixture.ts';

async function listen(t: TestContext, answer: RequestListener): Promise<string> {
  const http = createServer(answer);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    http.closeAllConnections();
    http.close();
  });
  return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

const drained = async (response: Response) => {
  for await (const _ of response.body ?? []);
};

test('an answer and an event are bounded, a stream of small events is not', async (t) => {
  const origin = await listen(t, (request, response) => {
    const isEvents = request.url === '/events';
    response.setHeader('content-type', isEvents ? 'text/event-stream' : 'application/json');
    const piece = isEvents ? 'data: 1234\n\n' : '1234567890';
    for (let at = 0; at < 500; at += 1) response.write(piece);
    response.end();
  });
  const fetchBounded = createBoundedFetch(origin, 2_000);
  await drained((await fetchBounded(`${origin}/events`)) as Response);
  await assert.rejects(
    async () => drained((await fetchBounded(`${origin}/json`)) as Response),
    /more than 2000 bytes/,
  );
});

test('only the host that is configured may be on this machine', async (t) => {
  const origin = await listen(t, (_request, response) => response.end('here'));
  const other = await listen(t, (_request, response) => response.end('not here'));
  const fetchBounded = createBoundedFetch(origin, 2_000);
  assert.equal(await ((await fetchBounded(origin)) as Response).text(), 'here');
  await assert.rejects(async () => fetchBounded(other), { code: 'egress.blocked' });
});

test('a server that refuses, leads elsewhere or talks nonsense is shown with what it says', async (t) => {
  const elsewhere = await listen(t, (_request, response) => response.end('{}'));
  const answers: Readonly<Record<string, RequestListener>> = {
    '/refuses': (_request, response) => void response.writeHead(401).end('a token is needed'),
    '/leads': (_request, response) => void response.writeHead(307, { location: elsewhere }).end(),
    '/nonsense': (_request, response) => {
      response.setHeader('content-type', 'text/html');
      response.end('<html>');
    },
  };
  const origin = await listen(t, (request, response) => answers[request.url ?? '']?.(request, response));
  const { mcp } = startMcp(
    t,
    Object.keys(answers).map((path) =>
      server(path.slice(1), { transport: 'auto', url: origin + path, headers: {} }),
    ),
  );
  await mcp.settled(20_000);
  const [refuses, leads, nonsense] = mcp.states();
  for (const status of mcp.states()) assert.equal(status.state, 'backoff');
  assert.match(refuses?.lastError ?? '', /401|token|unauthorized/i);
  assert.match(leads?.lastError ?? '', /Redirect to .* not followed/);
  assert.match(nonsense?.lastError ?? '', /content.type/i);
});
