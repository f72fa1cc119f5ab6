import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { systemClock } from '../../src/contract/clock.ts';
import { DEFAULT_TOOLS, type WebToolSettings } from '../../src/contract/tool-settings.ts';
import { createEgressGuard, type Resolve } from '../../src/tools/egress-guard.ts';
import { createGuardedFetch, getGuarded } from '../../src/tools/guarded-request.ts';
import type { Tool, ToolResult } from '../../src/tools/tool.ts';
import { createWebTools } from '../../src/tools/web-tools.ts';

async function serve(t: TestContext, listener: RequestListener): Promise<number> {
  const server: Server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** `page.test` is this machine, and may be asked on that port alone. */
function guardOf(port: number, resolve: Resolve = async () => [{ address: '127.0.0.1', family: 4 }]) {
  return createEgressGuard({ allowHosts: [`page.test:${port}`], denyHosts: [], ports: [80, 443], resolve });
}

const context = {
  ...{ signal: new AbortController().signal, turnId: 't', sessionId: 's' },
  report: () => {},
};

async function fetchWith(
  port: number,
  input: Record<string, unknown>,
  settings: Partial<WebToolSettings> = {},
  resolve?: Resolve,
): Promise<ToolResult> {
  const web = { ...DEFAULT_TOOLS.web, ...settings };
  const source = createWebTools({
    settings: web,
    guard: guardOf(port, resolve),
    version: '1',
    clock: systemClock,
  });
  return (source.tools()[0] as Tool).run(input, context);
}

test('a page is read as text: no scripts, no styles, links kept', async (t) => {
  const html = `<!doctype html><title>T</title><style>b{}</style><h1>Head</h1><p>Some <b>text</b>
    <a href="/more">more</a></p><script>alert(1)</script><table><tr><td>a</td><td>b</td></tr></table>`;
  const port = await serve(t, (_, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(html);
  });
  const { text, isError } = await fetchWith(port, { url: `http://page.test:${port}/` });
  assert.equal(isError, false);
  assert.match(text, /Head/);
  assert.match(text, /Some text\s+more \[\/more\]/);
  assert.match(text, /written by others/);
  assert.doesNotMatch(text, /alert|b\{\}/);
  const raw = await fetchWith(port, { url: `http://page.test:${port}/`, raw: true });
  assert.ok(raw.text.endsWith(html));
});

test('compressed answers are read, and none beyond the limit, however small it was on its way', async (t) => {
  const port = await serve(t, (request, response) => {
    response.setHeader('content-type', 'text/plain');
    const isBrotli = request.url === '/br';
    response.setHeader('content-encoding', isBrotli ? 'br' : 'gzip');
    response.end(isBrotli ? brotliCompressSync('brotli') : gzipSync(Buffer.alloc(20_000_000, 'x')));
  });
  assert.match((await fetchWith(port, { url: `http://page.test:${port}/br` })).text, /brotli$/);
  const { text } = await fetchWith(port, { url: `http://page.test:${port}/` }, { maxBytes: 1_000 });
  assert.match(text, /Only the first 1000 bytes/);
  assert.ok(text.endsWith('x'.repeat(1_000)));
  assert.ok(text.length < 1_400);
});

test('redirects are followed, each past the guard', async (t) => {
  const hops: string[] = [];
  const port = await serve(t, (request, response) => {
    hops.push(request.url ?? '');
    const to = {
      '/a': '/b',
      '/local': 'http://127.0.0.1/',
      '/odd': 'http://2130706433/',
      '/file': 'file:///etc/passwd',
    };
    const location = request.url === '/same' ? `//page.test:${port}/b` : to[request.url as keyof typeof to];
    response.writeHead(location === undefined ? 200 : 302, {
      'content-type': 'text/plain',
      ...(location && { location }),
    });
    response.end('arrived');
  });
  const url = `http://page.test:${port}`;
  assert.match((await fetchWith(port, { url: `${url}/a` })).text, /\/b\n.*arrived/s);
  assert.match((await fetchWith(port, { url: `${url}/same` })).text, /arrived/);
  for (const path of ['/local', '/odd', '/file']) {
    await assert.rejects(fetchWith(port, { url: url + path }), { code: 'egress.blocked' }, path);
  }
  assert.deepEqual(hops, ['/a', '/b', '/same', '/b', '/local', '/odd', '/file']);
});

test('redirects that never end, do', async (t) => {
  const port = await serve(t, (_, response) => response.writeHead(302, { location: '/again' }).end());
  await assert.rejects(fetchWith(port, { url: `http://page.test:${port}/` }), { code: 'egress.failed' });
});

test('what is meant for one host does not reach another one by a redirect', async (t) => {
  const seen: (string | undefined)[] = [];
  const other = await serve(t, (request, response) => {
    seen.push(request.headers.authorization);
    response.end();
  });
  const port = await serve(t, (request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(302, { location: `http://page.test:${other}/` }).end();
  });
  const guard = createEgressGuard({
    ...{ allowHosts: ['page.test'], denyHosts: [], ports: 'any' },
    resolve: async () => [{ address: '127.0.0.1', family: 4 }],
  });
  const { body } = await getGuarded(guard, `http://page.test:${port}/`, {
    headers: { Authorization: 'Bearer x' },
  });
  body.destroy();
  assert.deepEqual(seen, ['Bearer x', undefined]);
});

test('DNS rebinding: the connection goes where the name pointed when it was judged', async (t) => {
  let isReached = false;
  const port = await serve(t, (_, response) => {
    isReached = true;
    response.end();
  });
  let asked = 0;
  const resolve: Resolve = async () => {
    asked += 1;
    // Nobody listens there. Were the name asked again, the server would be found.
    return [{ address: asked === 1 ? '127.0.0.2' : '127.0.0.1', family: 4 }];
  };
  const guard = createEgressGuard({ allowHosts: ['rebind.test'], denyHosts: [], ports: 'any', resolve });
  await assert.rejects(getGuarded(guard, `http://rebind.test:${port}/`), { code: 'egress.failed' });
  assert.equal(asked, 1);
  assert.equal(isReached, false);
});

test('what is no text, is refused with its type; an error page is read as an error', async (t) => {
  const port = await serve(t, (request, response) => {
    const isImage = request.url === '/image';
    response.writeHead(isImage ? 200 : 404, { 'content-type': isImage ? 'image/png' : 'application/json' });
    response.end('{"no":1}');
  });
  await assert.rejects(fetchWith(port, { url: `http://page.test:${port}/image` }), /image\/png/);
  const { text, isError } = await fetchWith(port, { url: `http://page.test:${port}/x` });
  assert.equal(isError, true);
  assert.match(text, /Status: 404.*\{"no":1\}/s);
});

test('a page in another encoding is read by what it says of itself', async (t) => {
  const port = await serve(t, (_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(Buffer.from('<meta charset="iso-8859-1"><p>Gr\u00fc\u00dfe</p>', 'latin1'));
  });
  assert.match((await fetchWith(port, { url: `http://page.test:${port}/` })).text, /Grüße/);
});

test('an answer that stalls ends at its time, one that breaks off is a failure', async (t) => {
  const port = await serve(t, (request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': '100' });
    response.write('some');
    if (request.url === '/cut') response.destroy();
  });
  const failed = { code: 'egress.failed' };
  await assert.rejects(fetchWith(port, { url: `http://page.test:${port}/` }, { timeoutMs: 100 }), failed);
  await assert.rejects(fetchWith(port, { url: `http://page.test:${port}/cut` }), failed);
});

test('a guarded fetch is one for libraries: method, headers and body go out, the answer streams back', async (t) => {
  const port = await serve(t, (request, response) => {
    response.writeHead(201, { 'x-method': request.method, 'x-mine': request.headers['x-mine'] });
    request.pipe(response);
  });
  const guarded = createGuardedFetch(guardOf(port));
  const url = `http://page.test:${port}/`;
  const response = await guarded(url, { method: 'POST', headers: { 'x-mine': '1' }, body: 'hello' });
  assert.equal(response.status, 201);
  assert.equal(response.headers.get('x-method'), 'POST');
  assert.equal(response.headers.get('x-mine'), '1');
  assert.equal(await response.text(), 'hello');
  await assert.rejects(guarded('http://127.0.0.1:1/'), { code: 'egress.blocked' });
  await assert.rejects(guarded(url, { signal: AbortSignal.abort() }), { name: 'AbortError' });
});
