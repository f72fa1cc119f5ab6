import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_LIMITS } from '../../src/contract/limits.ts';
import { toBounds } from '../../src/mcp/bounds.ts';
import { readToolList } from '../../src/mcp/tool-list.ts';

const text = { type: 'string' };
const number = { type: 'number' };

async function offered(inputSchema: unknown): Promise<unknown> {
  const page = { tools: [{ name: 'one', inputSchema }] };
  const { tools } = await readToolList(async () => page, toBounds(DEFAULT_LIMITS));
  return tools[0]?.inputSchema;
}

// Vendors refuse every request that brings along a schema with one of these words at its top.
test('alternatives at the top of a schema are told as properties side by side', async () => {
  const alternatives = [
    { type: 'object', properties: { path: text, size: number }, required: ['path'] },
    { properties: { url: text, size: text }, required: ['url'] },
    true,
  ];
  const $defs = { own: text };
  for (const word of ['oneOf', 'anyOf']) {
    assert.deepEqual(await offered({ [word]: alternatives, $defs, properties: { id: number } }), {
      type: 'object',
      $defs,
      properties: { path: text, size: number, url: text, id: number },
    });
  }
  assert.deepEqual(await offered({ allOf: alternatives, type: 'object', required: ['id'] }), {
    type: 'object',
    properties: { path: text, size: number, url: text },
    required: ['id', 'path', 'url'],
  });
  assert.deepEqual(await offered({ type: 'object', not: { required: ['a'] }, enum: [{}] }), {
    type: 'object',
  });
});

test('a schema without them is offered as it is', async () => {
  const schema = { type: 'object', properties: { deep: { anyOf: [text, number] } }, required: ['deep'] };
  assert.deepEqual(await offered(schema), schema);
  assert.deepEqual(await offered({ properties: {} }), { properties: {}, type: 'object' });
});
