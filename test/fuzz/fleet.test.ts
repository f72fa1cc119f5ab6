/** Whatever is sent to any route or frame of the fleet gateway: no answer of 500 or above but its probes', no defect. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { FLEET_ROUTES } from '../../src/contract/fleet/routes.ts';
import { agentStatus } from '../fixtures/agent-status.ts';
import { agentWithDir, startFleetGateway } from '../fixtures/fleet-gateway.ts';
import { exchange } from '../fixtures/raw-http.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 1) * 20;
const SEED = process.env.OPENAGENT_TEST_SEED;
/** Requests under way at once. */
const BATCH = 20;

const HOSTILE = [
  ...['..', '%2e%2e%2f%2e%2e', '..%2fsecret', '%00', '%zz', '%ff', 'a%0d%0ab', '__proto__', 'constructor'],
  ...['x'.repeat(3_000), '%F0%9F%92%A9', '*', '.', 'a1', 'a2', 'bad', 'here'],
];
const part = fc.oneof(fc.constantFrom(...HOSTILE), fc.string({ maxLength: 20 }).map(safely));
const path = fc.oneof(
  { weight: 8, arbitrary: fc.tuple(fc.constantFrom(...Object.values(FLEET_ROUTES)), part, part).map(filled) },
  fc.array(part, { maxLength: 4 }).map((parts) => `/${parts.join('/')}`),
);
const query = fc
  .array(
    fc.tuple(
      fc.constantFrom('agents', 'event', 'lines', 'limit', 'dir', '__proto__'),
      fc.oneof(part, fc.constantFrom('-1', '0', '1e9', 'NaN', 'a1,a2', ',,,', '1')),
    ),
    { maxLength: 4 },
  )
  .map((pairs) => (pairs.length === 0 ? '' : `?${pairs.map((pair) => pair.join('=')).join('&')}`));
const anyJson = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.dictionary(
    fc.constantFrom('dir', 'type', 'logs', 'events', '__proto__', 'length'),
    fc.jsonValue({ maxDepth: 2 }),
  ),
);
const body = fc.oneof(
  anyJson.map((value) => JSON.stringify(value)),
  fc.constantFrom('', '{', '[['.repeat(2_000), '\u0000', '{"dir":"/x\\u0000y"}', 'x'.repeat(70_000)),
);
const anyRequest = fc.record({
  method: fc.constantFrom('GET', 'POST', 'DELETE', 'PUT', 'HEAD', 'OPTIONS', 'PATCH', 'TRACE'),
  target: fc.tuple(path, query).map((parts) => parts.join('')),
  body,
  type: fc.constantFrom('application/json', 'text/plain', '', 'x'),
});
const anyFrame = fc.oneof(
  fc.string({ maxLength: 50 }),
  anyJson.map((value) => JSON.stringify(value)),
  fc
    .record(
      {
        type: fc.constantFrom('follow', 'ping', 'x'),
        events: fc.oneof(fc.constant({}), fc.record({ since_seq: fc.jsonValue() }), fc.jsonValue()),
        logs: fc.oneof(
          fc.constant({}),
          fc.record({ agents: fc.jsonValue(), event: fc.jsonValue() }),
          fc.jsonValue(),
        ),
      },
      { requiredKeys: ['type'] },
    )
    .map((value) => JSON.stringify(value)),
);
const parameters = { ...(SEED === undefined ? {} : { seed: Number(SEED) }), endOnFailure: true };

function safely(text: string): string {
  return encodeURIComponent(text.replaceAll(/\p{Cs}/gu, '?'));
}

function filled([route, ...values]: [{ readonly path: string }, string, string]): string {
  let at = 0;
  return route.path.replaceAll(/\{\w+\}/g, () => values[at++] ?? '');
}

test('no request of any shape breaks the fleet gateway', async (t) => {
  const [a1, a2] = [await agentWithDir(t, 'a1'), await agentWithDir(t, 'a2')];
  await writeFile(join(a1.dir, 'logs', 'events.jsonl'), '{"ts":1,"event":"x"}\nnull\n{"ts":"1"}\n');
  await writeFile(join(a1.dir, 'logs', 'incidents', 'here.json'), '{"ts":1,"event":"agent.hung","text":7}');
  await mkdir(join(a2.dir, 'logs', 'events.jsonl'));
  const { gateway, token, ask, defects } = await startFleetGateway(t, {
    port: 0,
    agents: [a1, a2, agentStatus('bad', { state: 'refused' })],
  });
  const port = Number(new URL(gateway.url ?? '').port);
  const bearer = await token();
  await fc.assert(
    fc.asyncProperty(fc.array(anyRequest, { minLength: BATCH, maxLength: BATCH }), async (requests) => {
      await Promise.all(
        requests.map(async ({ method, target, body: content, type }) => {
          const bytes = Buffer.from(content);
          const head = [
            `${method} ${target} HTTP/1.1`,
            'host: 127.0.0.1',
            `authorization: Bearer ${bearer}`,
            ...(type === '' ? [] : [`content-type: ${type}`]),
            `content-length: ${bytes.length}`,
            'connection: close',
          ];
          const { status, text } = await exchange(
            port,
            Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`, 'latin1'), bytes]),
          );
          const isProbe = status === 503 && /^\/(readyz|startupz)(\?|$)/.test(target);
          assert.ok(status < 500 || isProbe, `${method} ${target} ${content}: ${text.slice(0, 600)}`);
        }),
      );
    }),
    { ...parameters, numRuns: RUNS },
  );
  assert.deepEqual(defects, []);
  assert.equal((await ask('/livez')).status, 200);
});

test('no frame of any shape breaks a socket of the fleet gateway', async (t) => {
  const a1 = await agentWithDir(t, 'a1');
  const limits = { framesPerSecond: 1e9, frameBytesPerSecond: 1e9, tailMs: 1 };
  const { follow, defects } = await startFleetGateway(t, { agents: [a1], limits });
  const client = await follow();
  await fc.assert(
    fc.asyncProperty(fc.array(anyFrame, { minLength: BATCH, maxLength: BATCH }), async (frames) => {
      for (const frame of frames) client.send(frame);
      await client.settled();
      client.frames.length = 0;
    }),
    { ...parameters, numRuns: RUNS },
  );
  assert.deepEqual(defects, []);
});
