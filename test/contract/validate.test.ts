/** `validate` on gateways that are right by the reference, wrong in one thing, wrong in everything, or not there. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { WebSocketServer } from 'ws';
import type { Area, Result } from '../../src/validate/check.ts';
import { validate } from '../../src/validate/validate.ts';
import { type Fault, startReference } from '../fixtures/reference-gateway.ts';

interface Ran {
  readonly exitCode: number;
  readonly checks: readonly Result[];
  readonly failed: readonly string[];
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

interface RunOptions {
  readonly token?: string;
  readonly areas?: readonly Area[];
  readonly timeoutMs?: number;
  readonly all?: boolean;
  readonly signal?: AbortSignal;
  readonly onLine?: (text: string) => void;
}

async function run(url: URL, options: RunOptions = {}): Promise<Ran> {
  const written: string[] = [];
  const exitCode = await validate({
    ...{ url, token: options.token, areas: options.areas, json: true, all: options.all ?? false },
    ...{ messages: true, timeoutMs: options.timeoutMs ?? 10_000, ownVersion: '1.2.3', env: {} },
    out: {
      write(text) {
        written.push(text);
        options.onLine?.(text);
      },
    },
    signal: options.signal ?? new AbortController().signal,
  });
  const lines = written
    .join('')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const checks = lines.filter(({ type }) => type === 'check') as unknown as Result[];
  const failed = checks.filter(({ verdict }) => verdict === 'fail').map(({ name }) => name);
  return { exitCode, checks, failed, lines };
}

test('a gateway of the reference passes by its own rules, and is told apart', async (t) => {
  const { exitCode, failed, checks, lines } = await run(await startReference(t));
  assert.deepEqual([failed, exitCode], [[], 0]);
  assert.equal(lines[0]?.dialect, 'reference');
  assert.ok(checks.filter(({ verdict }) => verdict === 'pass').length > 40);
  const { passed, skipped, exit_code: told } = lines.at(-1) as Record<string, number>;
  assert.deepEqual([(passed ?? 0) + (skipped ?? 0), told], [checks.length, 0]);
});

test('a gateway of the reference with a token is asked with it, and with a wrong one', async (t) => {
  const url = await startReference(t, { token: 'right' });
  const { failed, checks } = await run(url, { token: 'right', areas: ['socket', 'frames'] });
  assert.deepEqual(failed, []);
  const wrong = checks.find(({ name }) => name === 'a wrong token ends the socket');
  assert.equal(wrong?.verdict, 'pass');
});

/** Fault → a check that must find it, and the part it belongs to. */
const FAULTS: Readonly<Record<Fault, readonly [Area, RegExp]>> = {
  'cors-missing': ['access', /^a page on this machine may ask/],
  'graph-without-edges': ['vault', /joined in the graph/],
  'health-without-version': ['http', /says that the agent lives/],
  'list-forgets': ['vault', /is listed/],
  'logs-in-an-object': ['logs', /what happened/],
  'method-forgotten': ['http', /a wrong method/],
  'note-changed': ['vault', /comes back as it was written/],
  'note-not-deleted': ['vault', /is gone/],
  'answers-twice': ['turns', /exactly one end/],
  'hangs-up-before-the-end': ['turns', /exactly one end/],
  'answers-another-session': ['turns', /exactly one end/],
  'closes-on-bad-json': ['frames', /not JSON/],
  'command-hangs-up': ['commands', /`queue`/],
  'end-is-not-last': ['turns', /exactly one end/],
  'first-frame-is-status': ['socket', /auth is answered first/],
  'ping-hangs-up': ['frames', /ping is answered/],
  'unknown-type-answered': ['frames', /unknown type/],
  'upload-in-one-place': ['files', /do not overwrite/],
  'wrong-token-welcome': ['socket', /a wrong token/],
};

for (const [fault, [area, name]] of Object.entries(FAULTS)) {
  test(`the fault "${fault}" is found`, async (t) => {
    const token = fault === 'wrong-token-welcome' ? { token: 'right' } : {};
    const url = await startReference(t, { faults: [fault as Fault], ...token });
    const { exitCode, failed } = await run(url, { areas: [area], ...token });
    assert.ok(
      failed.some((each) => name.test(each)),
      `found: ${failed.join(', ') || 'nothing'}`,
    );
    assert.equal(exitCode, 1);
  });
}

/** Says yes to everything, as if it were one of ours, and hangs up on every socket that speaks. */
async function startYes(t: TestContext): Promise<URL> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('{"id":"x","transport":"y","code":"z"}');
  });
  new WebSocketServer({ server }).on('connection', (ws) => ws.on('message', () => ws.close(4000)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

test('a server that says yes to everything fails every check but those of being there', async (t) => {
  const { exitCode, checks, lines } = await run(await startYes(t), { all: true });
  assert.deepEqual([exitCode, lines[0]?.dialect], [1, 'supervisor']);
  const others = checks.filter(({ verdict, area }) => verdict === 'pass' && area !== 'routes');
  assert.deepEqual(
    others.map(({ name }) => name),
    [
      'HEAD is answered as GET, without the body',
      'many requests at once are all answered',
      'a page of another site is told nothing it could read',
      'GET /api/config gives the configuration',
      'the configuration gives no secret away',
      'no key of a provider is given away',
      'what the checks made is removed',
    ],
  );
  assert.ok(checks.filter(({ verdict }) => verdict === 'fail').length > 80);
});

test('a server that takes connections and says nothing is not waited for', async (t) => {
  const server = createTcpServer(() => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => void server.close());
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const { exitCode, lines } = await run(url, { timeoutMs: 50 });
  assert.equal(exitCode, 2);
  assert.match(String(lines.at(-1)?.error), /no answer to GET \/api\/health/);
});

test('where nobody listens nothing is checked', async () => {
  const { exitCode, lines, checks } = await run(new URL('http://127.0.0.1:1'));
  assert.deepEqual([exitCode, checks.length], [2, 0]);
  assert.match(String(lines.at(-1)?.error), /ECONNREFUSED/);
});

test('an interrupted run removes the notes it has made', async (t) => {
  const url = await startReference(t);
  const stop = new AbortController();
  const areas = ['vault'] as const;
  const { checks } = await run(url, { areas, signal: stop.signal, onLine: stopAtFirstCheck });
  function stopAtFirstCheck(text: string): void {
    // The next check has begun by then, and its first note is on its way.
    if (text.includes('"type":"check"')) setImmediate(() => stop.abort());
  }
  assert.ok(checks.length < 5, `${checks.length} checks`);
  assert.equal(checks.at(-1)?.name, 'what the checks made is removed');
  assert.equal(checks.at(-1)?.verdict, 'pass');
  const left = (await (await fetch(new URL('/api/vault/notes', url))).json()) as { notes: unknown[] };
  assert.deepEqual(left.notes, []);
});
