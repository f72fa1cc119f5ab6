import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { ERRORS } from '../../src/contract/errors.ts';
import { CAPABILITIES, clientFrames, createFrameParser, serverFrames } from '../../src/contract/frames.ts';
import { DEFAULT_LIMITS, limitKey } from '../../src/contract/limits.ts';
import { ROUTE_SCHEMAS } from '../../src/contract/route-schemas.ts';
import { ROUTES } from '../../src/contract/routes.ts';
import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { COMMANDS } from '../../src/gateway/ws/commands.ts';
import { docPage, unquoted } from '../fixtures/doc-page.ts';
import { readSource, sourceFiles } from '../fixtures/source-tree.ts';
import { connectClient } from '../fixtures/ws-client.ts';
import { startGateway } from '../fixtures/ws-gateway.ts';

const { document, tableUnder, blocksOf } = docPage('docs/protocol.md');
type Schemas = Readonly<
  Record<string, { shape: Readonly<Record<string, { safeParse(value: unknown): { success: boolean } }>> }>
>;

/** `frame field`, a `?` behind fields that may be absent. */
function fieldsOf(frames: Schemas): readonly string[] {
  return Object.entries(frames).flatMap(([frame, { shape }]) =>
    Object.entries(shape)
      .filter(([field]) => field !== 'type')
      .map(([field, schema]) => `${frame} ${field}${schema.safeParse(undefined).success ? '?' : ''}`),
  );
}

test('the routes of the document are the routes of the table, with access, summary and errors', () => {
  assert.deepEqual(
    tableUnder('REST').map((row) => row.map(unquoted)),
    Object.values(ROUTES).map(({ method, path, auth, summary, errors }) => [
      ...[`${method} ${path}`, auth, unquoted(summary), (errors as readonly string[]).join(', ') || '–'],
    ]),
  );
});

test('each route has an example with exactly the fields of its schema', () => {
  for (const [name, { response }] of Object.entries<{ response: z.ZodType }>(ROUTE_SCHEMAS)) {
    // Bytes have no fields.
    if (response instanceof z.ZodString) continue;
    const [example = ''] = blocksOf('json', name);
    const schema = response instanceof z.ZodObject ? response.strict() : response;
    const result = schema.safeParse(JSON.parse(example));
    assert.ok(result.success, `${name}: ${result.error?.message}`);
    if (response instanceof z.ZodObject) {
      assert.deepEqual(Object.keys(result.data as object), Object.keys(response.shape), name);
    }
  }
});

for (const [heading, frames] of [
  ['Frames from the client', clientFrames],
  ['Frames from the agent', serverFrames],
] as const) {
  test(`${heading}: every frame and field of the table, and no other, optional ones marked`, () => {
    const documented = tableUnder(heading).map(([frame, field]) => `${unquoted(frame)} ${unquoted(field)}`);
    assert.deepEqual(documented, fieldsOf(frames));
  });
}

test('the commands of the document are those there are', () => {
  const documented = tableUnder('Commands').map(([name]) => unquoted(name));
  assert.deepEqual(documented, Object.keys(COMMANDS));
});

test('the limits of the document are those there are, with their defaults', () => {
  const documented = tableUnder('Limits').map(([name, value]) => [
    unquoted(name),
    Number(value?.replaceAll(',', '')),
  ]);
  const actual = Object.entries(DEFAULT_LIMITS).map(([name, value]) => [limitKey(name), value]);
  assert.deepEqual(documented, actual);
});

test('the close codes of the document are those that the code sends or reports', () => {
  const files = [...sourceFiles('src/gateway/ws', 'src/gateway/transports'), 'src/actors/open-agent.ts'];
  const used = files.flatMap((file) => readSource(file).match(/\b10(?:0[1-9]|1\d)\b/g) ?? []);
  assert.deepEqual(
    tableUnder('Closing').map(([code]) => code),
    [...new Set(used)].sort(),
  );
});

test('every error code and capability that the document names exists', () => {
  const named = [...document.matchAll(/`([a-z_]+\.[a-z_]+)`/g)].map(([, code = '']) => code);
  const families = new Set(Object.keys(ERRORS).map((code) => code.split('.')[0]));
  const codes = named.filter((code) => families.has(code.split('.')[0]) && !code.endsWith('.yaml'));
  assert.ok(codes.length > 15);
  assert.deepEqual(
    codes.filter((code) => !Object.hasOwn(ERRORS, code)),
    [],
  );
  for (const capability of CAPABILITIES) assert.match(document, new RegExp(`Known:.*\`${capability}\``));
});

test('the example frames of the client are understood', () => {
  const parse = createFrameParser(DEFAULT_LIMITS);
  const examples = blocksOf('json', 'client');
  assert.equal(examples.length, Object.keys(clientFrames).length);
  for (const example of examples) {
    const result = parse(example);
    assert.ok('frame' in result, `${example}: ${JSON.stringify(result)}`);
    assert.deepEqual(
      Object.keys(JSON.parse(example)).filter((key) => !(key in result.frame)),
      [],
      example,
    );
  }
});

test('the example frames of the agent match their schemas', () => {
  const examples = blocksOf('json', 'server');
  assert.ok(examples.length > 3);
  for (const example of examples) {
    const frame = JSON.parse(example) as { type: keyof typeof serverFrames };
    const result = serverFrames[frame.type].strict().safeParse(frame);
    assert.ok(result.success, `${example}: ${result.error?.message}`);
  }
});

test('the conversation of the document goes as it says', async (t) => {
  const gateway = await startGateway(t, createNodeTransport, { model: 'echo' });
  const client = await connectClient(t, gateway);
  const lines = blocksOf('text', 'conversation');
  assert.ok(lines.length > 5);
  for (const line of lines) {
    const frame = JSON.parse(line.slice(2));
    if (line.startsWith('→')) client.send(frame);
    else assert.deepEqual(anyAgent(await client.next()), anyAgent(frame));
  }
});

/** The name and version of the agent in the test are not those in the example. */
function anyAgent(frame: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return frame.type === 'auth_ok' ? { ...frame, agent_name: '', version: '' } : frame;
}
