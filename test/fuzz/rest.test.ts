/**
 * Whatever is sent to any route: no answer of 500 or above, none that the agent's OpenAPI document does not know, no hang,
 * no file outside the agent's directory, no descriptor that stays. Over both transports; the agent is a real one in a
 * fleet.
 */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { OpenApiDocument } from '../../src/contract/openapi.ts';
import type { Route } from '../../src/contract/route.ts';
import { ROUTES } from '../../src/contract/routes.ts';
import { eventually } from '../fixtures/chat.ts';
import { type AnsweredRequest, documentedAnswers } from '../fixtures/documented-answers.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { exchange, type RawAnswer } from '../fixtures/raw-http.ts';

/** For each transport: 2,000 in all in the suite, 200,000 and more at the 200 runs of torture. */
const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 2) * 500;
const SEED = process.env.OPENAGENT_TEST_SEED;
/** Requests under way at once. */
const BATCH = 20;
/** Beside what idle connections of earlier tests, the log and the database may come to hold. */
const DESCRIPTORS_SLACK = 20;

/** A restart or another configuration is right to do, and would only end the connections of the others. */
const LEFT_OUT: readonly (keyof typeof ROUTES)[] = [
  'restartAgent',
  'replaceConfig',
  'restoreConfigVersion',
  'addProvider',
  'setActiveModel',
];
const rows = (Object.entries(ROUTES) as [string, Route][]).filter(
  ([name]) => !(LEFT_OUT as readonly string[]).includes(name),
);

const HOSTILE = [
  ...[
    '..',
    '../..',
    '..%2f..%2fetc%2fpasswd',
    '%2e%2e/%2e%2e/x',
    '/etc/passwd',
    '%2fetc%2fpasswd',
    'a/../../b',
  ],
  ...['..\\..\\x', 'C:\\x', '%00', 'a%00.md', '%', '%zz', '%ff%fe', '%c0%ae%c0%ae/', '%ed%a0%80', 'a%0d%0ab'],
  ...[
    '.obsidian/x.md',
    '.git/config',
    '.trash/x',
    'CON',
    'a/./b',
    '//',
    '/',
    '.',
    '~',
    '~root',
    '$HOME',
    '*',
    '?',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'ｅ\u0301.md',
    'a'.repeat(300),
    `${'d/'.repeat(200)}x.md`,
    '\u202egpj.md',
  ],
  ...[
    'openagent.yaml',
    '../openagent.yaml',
    '.lock',
    '.port',
    'null',
    'undefined',
    'NaN',
    '-1',
    '1e309',
    '[]',
  ],
];
const anyText = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...HOSTILE) },
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ maxLength: 40 }),
  fc.webPath({ size: 'small' }),
);
const encoded = anyText.chain((text) =>
  fc.constantFrom(
    encodeSafely(text),
    encodeSafely(encodeSafely(text)),
    text.replaceAll(/[^\x21-\x7e]/g, '~'),
  ),
);

const pathOf = ({ path }: Route) =>
  fc
    .array(encoded, { minLength: 1, maxLength: 3 })
    .map((words) => path.replace(/\{\w+\*\}/, words.join('/')).replaceAll(/\{\w+\}/g, words[0] ?? 'x'));
const anyPath = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...rows).chain(([, row]) => pathOf(row)) },
  encoded.map((text) => `/${text}`),
  encoded.map((text) => `/api/${text}`),
);
const anyQuery = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        'q',
        'limit',
        'lines',
        'days',
        'event',
        'path',
        'folder',
        'tag',
        'offset',
        'level',
        'x',
        '__proto__',
      ),
      encoded,
    ),
    { maxLength: 4 },
  )
  .map((pairs) => (pairs.length === 0 ? '' : `?${pairs.map((pair) => pair.join('=')).join('&')}`));

const HEADERS = [
  ...[
    'if-match',
    'if-none-match',
    'range',
    'if-range',
    'content-type',
    'accept-encoding',
    'accept',
    'authorization',
  ],
  ...[
    'origin',
    'host',
    'x-forwarded-for',
    'sec-fetch-site',
    'expect',
    'cookie',
    'connection',
    'upgrade',
    'te',
    'x',
  ],
];
const headerValue = fc.oneof(
  fc.constantFrom(
    '*',
    '"x"',
    'W/"x"',
    'bytes=0-',
    'bytes=-1',
    'bytes=5-2',
    'bytes=0-1,3-4',
    'bytes=99999999999999999999-',
  ),
  fc.constantFrom(
    'application/json',
    'multipart/form-data; boundary=b',
    'multipart/form-data',
    'text/plain',
    'gzip;q=0, *;q=1',
  ),
  fc.constantFrom(
    'http://localhost',
    'null',
    'https://evil.example',
    'Bearer x',
    'localhost',
    '100-continue',
    'x'.repeat(5_000),
  ),
  fc.string({ maxLength: 30 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, '')),
);
const anyHeaders = fc.dictionary(fc.constantFrom(...HEADERS), headerValue, {
  maxKeys: 4,
  noNullPrototype: true,
});

const oddJson = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }).map((value) => JSON.stringify(value)),
  fc
    .dictionary(
      fc.constantFrom('content', 'from', 'to', 'path', 'id', 'name', '__proto__', 'length'),
      fc.oneof(anyText, fc.jsonValue()),
    )
    .map((value) => JSON.stringify(value)),
  fc.constantFrom(
    '',
    '{',
    '[[[[',
    '"\\ud800"',
    '{"content":"\\ud800"}',
    '1e999',
    '['.repeat(5_000),
    '\u0000',
    '{"__proto__":{"x":1}}',
  ),
);
const PART = '--b\r\nContent-Disposition: form-data; name="file"; filename=';
const oddMultipart = fc
  .tuple(
    anyText,
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.constantFrom('--b--\r\n', '', '--b', '--b\r\n'),
  )
  .map(([name, content, end]) => `${PART}"${name.replaceAll(/["\r\n]/g, '')}"\r\n\r\n${content}\r\n${end}`);
const anyBody = fc.oneof(oddJson, oddMultipart, fc.string({ unit: 'binary', maxLength: 300 }));
const anyMethod = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'PATCH') },
  fc.constantFrom('HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'get', 'CONNECT'),
);

interface Asked {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Announced: right, none, or wrong. */
  readonly length: 'right' | 'none' | 'short' | 'chunked';
}

const anyRequest: fc.Arbitrary<Asked> = fc.record({
  method: anyMethod,
  target: fc.tuple(anyPath, anyQuery).map((parts) => parts.join('')),
  headers: anyHeaders,
  body: anyBody,
  length: fc.oneof(
    { weight: 8, arbitrary: fc.constant('right' as const) },
    fc.constantFrom('none' as const, 'short' as const, 'chunked' as const),
  ),
});

function encodeSafely(text: string): string {
  return encodeURIComponent(text.replaceAll(/\p{Cs}/gu, '?'));
}

function toBytes({ method, target, headers, body, length }: Asked): Buffer {
  const content = Buffer.from(body);
  const lines = [`${method} ${target} HTTP/1.1`];
  if (headers.host === undefined) lines.push('host: 127.0.0.1');
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (headers.connection === undefined) lines.push('connection: close');
  if (length === 'right') lines.push(`content-length: ${content.length}`);
  if (length === 'short') lines.push(`content-length: ${Math.max(0, content.length - 3)}`);
  if (length === 'chunked') lines.push('transfer-encoding: chunked');
  const framed =
    length === 'chunked'
      ? Buffer.concat([
          Buffer.from(`${content.length.toString(16)}\r\n`),
          content,
          Buffer.from('\r\n0\r\n\r\n'),
        ])
      : content;
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), framed]);
}

/**
 * What the application answered, as far as it can be compared: a transport refuses what is no HTTP in its own words, and
 * some answers came packed, in chunks or cut.
 */
function answered({ method, target }: Asked, { status, text }: RawAnswer): AnsweredRequest | undefined {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const headers = new Map(
    head.split('\r\n').map((line) => [line.split(':', 1)[0]?.toLowerCase(), line.replace(/^[^:]*: ?/, '')]),
  );
  const isOurs = headers.has('x-content-type-options') && headers.has('content-length');
  const body = rest.join('\r\n\r\n');
  const isWhole = method === 'HEAD' || body.length === Number(headers.get('content-length'));
  if (!isOurs || !isWhole || headers.has('content-encoding')) return undefined;
  const contentType = headers.get('content-type') ?? '';
  return { method, target, status, contentType, body: Buffer.from(body, 'latin1').toString() };
}

/** Names below the fleet's place that are not inside an agent's directory, and descriptors of the host. */
function outside(fleet: FleetProcess): readonly string[] {
  return readdirSync(fleet.place).filter((name) => !fleet.ids.includes(name));
}
const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;

async function settleDescriptors(fleet: FleetProcess, most: number): Promise<void> {
  await eventually(() => descriptors(fleet.hostPid) <= most, `at most ${most} descriptors`);
}

for (const transport of ['uws', 'node'] as const) {
  const isSkipped = process.env.OPENAGENT_TEST_TRANSPORT === 'node' && transport === 'uws';
  test(`no request of any shape breaks an agent (${transport})`, { skip: isSkipped }, async (t) => {
    const fleet = await startFleet(t, {
      agents: ['fuzzed', 'calm'],
      yaml: () => 'model: { provider: echo }\nlimits: { auth_failures_per_minute: 1000000 }\n',
      args: ['--transport', transport],
    });
    const { port, url } = fleet.agent('fuzzed');
    const document = (await (await fetch(`${url}/api/openapi.json`)).json()) as OpenApiDocument;
    const documented = documentedAnswers(document);
    const before = { outside: outside(fleet), agent: readdirSync(fleet.agent('calm').dir) };
    const most = descriptors(fleet.hostPid) + DESCRIPTORS_SLACK;
    await fc.assert(
      fc.asyncProperty(fc.array(anyRequest, { minLength: BATCH, maxLength: BATCH }), async (requests) => {
        const answers = await Promise.all(
          requests.map(
            async (request): Promise<[Asked, RawAnswer]> => [request, await exchange(port, toBytes(request))],
          ),
        );
        for (const [request, { status, text }] of answers) {
          // Bytes beyond the announced body are no HTTP: uWebSockets itself says 505 to those.
          assert.ok(
            status < 500 || (status === 505 && request.length !== 'right'),
            `${JSON.stringify(request)} was answered ${text.slice(0, 600)}`,
          );
          const answer = answered(request, { status, text });
          const problem = answer && documented.problem(answer);
          assert.equal(problem, undefined, `${JSON.stringify(request)} was answered ${text.slice(0, 600)}`);
        }
      }),
      {
        numRuns: Math.ceil(RUNS / BATCH),
        ...(SEED === undefined ? {} : { seed: Number(SEED) }),
        endOnFailure: true,
        includeErrorInReport: true,
      },
    );
    assert.ok(documented.compared.size > 20, `${documented.compared.size} operations compared`);
    const health = await fetch(`${url}/api/health`);
    assert.equal(health.status, 200);
    assert.deepEqual(outside(fleet), before.outside, 'nothing was written beside the agents');
    assert.deepEqual(readdirSync(join(fleet.place, 'calm')), before.agent, 'nor into its neighbour');
    assert.deepEqual(
      fleet.events.filter(({ state }) => state === 'backoff'),
      [],
    );
    await settleDescriptors(fleet, most);
    await fleet.stop();
  });
}
