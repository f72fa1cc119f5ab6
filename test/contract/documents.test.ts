/** The documents are valid by others' rules, name everything, and hold for the examples of docs/protocol.md. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv, type AnySchema } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { z } from 'zod';
import { ERRORS } from '../../src/contract/errors.ts';
import { clientFrames, serverFrames } from '../../src/contract/frames.ts';
import { type AnyRouteSchema, toOpenApi } from '../../src/contract/openapi.ts';
import { defineRoutes, type Route } from '../../src/contract/route.ts';
import { ROUTES } from '../../src/contract/routes.ts';
import { makeDocuments } from '../../src/gateway/rest/docs-documents.ts';
import { PAGE_STYLE } from '../../src/gateway/rest/docs-style.ts';
import { readSource } from '../fixtures/source-tree.ts';

const { openApi, asyncApi, page, policy } = makeDocuments({ version: '1.2.3', port: 8765 });
const rows: Readonly<Record<string, Route>> = ROUTES;
const protocol = readSource('docs/protocol.md');

/** A copy: the validator works on what it is given. */
function specOf(document: object): Record<string, unknown> {
  return structuredClone(document) as Record<string, unknown>;
}

/** The lines of every fenced block of this kind. */
function examples(kind: string): readonly string[] {
  const blocks = [...protocol.matchAll(new RegExp(`^\`\`\`json ${kind}\\n([^\`]*)^\`\`\``, 'gm'))];
  return blocks.flatMap(([, body = '']) => body.trimEnd().split('\n'));
}

/** Every `$ref` of a document leads somewhere. */
function danglingRefs(document: object): readonly string[] {
  const refs = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref = '']) => ref);
  assert.ok(refs.length > 5);
  return refs.filter((ref) => {
    const keys = ref.replace(/^#\//, '').split('/');
    const target = keys.reduce<unknown>(
      (at, key) => (at as Record<string, unknown> | undefined)?.[key.replaceAll('~1', '/')],
      document,
    );
    return target === undefined;
  });
}

test('the OpenAPI document is valid by the rules of OpenAPI 3.1', async () => {
  const result = await new Validator().validate(specOf(openApi));
  assert.deepEqual(result.errors, undefined);
  assert.equal(result.valid, true);
  assert.deepEqual(danglingRefs(openApi), []);
});

test('the validator of OpenAPI documents would notice', async () => {
  const broken = { ...structuredClone(openApi), paths: { 'no-slash': { get: { responses: 'none' } } } };
  assert.equal((await new Validator().validate(broken)).valid, false);
});

test('the AsyncAPI document is valid by the official schema of AsyncAPI 3.0', () => {
  const require = createRequire(import.meta.url);
  const schema = require('@asyncapi/specs/schemas/3.0.0-without-$id.json') as AnySchema;
  const validate = new Ajv({ strict: false, validateFormats: false, allErrors: false }).compile(schema);
  assert.ok(validate(asyncApi), JSON.stringify(validate.errors?.slice(0, 3)));
  assert.ok(!validate({ ...asyncApi, channels: { socket: { address: 42 } } }), 'it would notice');
  assert.deepEqual(danglingRefs(asyncApi), []);
});

test('every route is an operation with its parameters, body, credential and codes', () => {
  const operations = Object.values(openApi.paths).flatMap((methods) => Object.values(methods));
  assert.deepEqual(operations.map(({ operationId }) => operationId).sort(), Object.keys(rows).sort());
  for (const [name, row] of Object.entries(rows)) {
    const operation = openApi.paths[row.path.replaceAll('*}', '}')]?.[row.method.toLowerCase()];
    assert.ok(operation, name);
    const inPath = (operation.parameters ?? []).filter((each) => each.in === 'path').map((each) => each.name);
    assert.deepEqual(
      inPath,
      [...row.path.matchAll(/\{(\w+)/g)].map(([, param]) => param),
      name,
    );
    assert.equal(operation.requestBody !== undefined, row.body === true || row.stream === true, name);
    assert.equal(operation.security.length > 0, row.auth === 'token', name);
    for (const code of [...row.errors, ...(row.auth === 'token' ? (['auth.required'] as const) : [])]) {
      const answer = operation.responses[String(ERRORS[code].status)];
      assert.ok(answer?.description.includes(`\`${code}\``), `${name} ${code}`);
    }
  }
});

test('every frame is a message of the channel', () => {
  const named = (side: string): readonly string[] =>
    Object.entries(asyncApi.components.messages)
      .filter(([name]) => name.startsWith(`${side}.`))
      .map(([, message]) => message.name);
  assert.deepEqual(named('client'), Object.keys(clientFrames));
  assert.deepEqual(named('server'), Object.keys(serverFrames));
});

test('the example answers of docs/protocol.md are what the OpenAPI document promises', () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: 'openapi', ...openApi } as AnySchema);
  for (const [name, row] of Object.entries(rows)) {
    if (row.bytes) continue;
    const schema = `${name.charAt(0).toUpperCase()}${name.slice(1)}Answer`;
    const validate = ajv.getSchema(`openapi#/components/schemas/${schema}`);
    assert.ok(validate, schema);
    // That there is one for each route is the matter of test/repo/protocol-doc.test.ts.
    const [example] = examples(name);
    if (example === undefined) continue;
    assert.ok(validate(JSON.parse(example)), `${name}: ${JSON.stringify(validate.errors)}`);
    // A configuration file may hold anything.
    if (openApi.components.schemas[schema]?.type !== undefined) assert.ok(!validate(42), name);
  }
});

test('the example frames of docs/protocol.md are what the AsyncAPI document promises', () => {
  const ajv = new Ajv({ strict: false, validateFormats: false });
  ajv.addSchema({ $id: 'asyncapi', ...asyncApi } as AnySchema);
  for (const side of ['client', 'server']) {
    const frames = examples(side).map((line) => JSON.parse(line) as { type: string });
    assert.ok(frames.length > 3);
    for (const frame of frames) {
      const validate = ajv.getSchema(`asyncapi#/components/schemas/${side}.${frame.type}`);
      assert.ok(validate, frame.type);
      assert.ok(validate(frame), `${JSON.stringify(frame)}: ${JSON.stringify(validate.errors)}`);
      assert.ok(!validate({ ...frame, type: 'another' }), `${frame.type} is not just anything`);
    }
  }
});

test('close codes are those of docs/protocol.md', () => {
  const [, section = ''] = protocol.split('### Closing\n');
  const documented = [...(section.split(/^#/m)[0] ?? '').matchAll(/^\| (\d+) \| (.+) \|$/gm)];
  assert.deepEqual(
    asyncApi['x-close-codes'],
    Object.fromEntries(documented.map(([, code, meaning]) => [code, meaning])),
  );
});

test('the page names every route, frame, close code and error, and is nothing but text', () => {
  for (const row of Object.values(rows)) {
    assert.ok(page.includes(`<code>${row.path.replaceAll('*}', '}')}</code>`), row.path);
  }
  for (const type of [...Object.keys(clientFrames), ...Object.keys(serverFrames)]) {
    assert.ok(page.includes(`<h4><code>${type}</code></h4>`), type);
  }
  for (const word of ['1012', 'auth.required', 'frame_bytes']) assert.ok(page.includes(word), word);
  assert.doesNotMatch(page, /<script|<img|<link|<iframe|javascript:|\son\w+=|style="|https?:\/\//);
  assert.doesNotMatch(page, /\[object|undefined|NaN/);
});

test('the policy of the page allows its style and nothing else', async () => {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(PAGE_STYLE));
  const hash = Buffer.from(bytes).toString('base64');
  assert.ok(page.includes(`<style>${PAGE_STYLE}</style>`));
  assert.match(policy, /^default-src 'none';/);
  assert.ok(policy.includes(`style-src 'sha256-${hash}'`));
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);
});

const ODD_ROUTES = defineRoutes({
  putNote: {
    method: 'PUT',
    path: '/odd/{kind}/{path*}',
    summary: 'Odd <b>&</b>',
    auth: 'token',
    query: true,
    body: true,
    headers: ['if-match', 'content-length'],
    errors: ['config.invalid'],
  },
  send: {
    method: 'POST',
    path: '/odd/files',
    summary: '',
    auth: 'none',
    stream: true,
    headers: ['content-type'],
    errors: [],
  },
  part: {
    method: 'GET',
    path: '/odd/files/{id}',
    summary: '',
    auth: 'none',
    bytes: true,
    headers: ['range'],
    errors: [],
  },
});

test('parameters, anything in JSON, streams, ranges and defaults are described', async () => {
  const same = z.object({ ok: z.literal(true) });
  const schemas: Record<string, AnyRouteSchema> = {
    putNote: {
      query: z.object({ n: z.coerce.number().int().min(1).default(20), q: z.string().optional() }),
      body: z.json(),
      response: same,
    },
    send: { response: same },
    part: { response: z.string().meta({ contentMediaType: 'application/octet-stream' }) },
  };
  const document = toOpenApi({ version: '1', routes: ODD_ROUTES, schemas });
  const result = await new Validator().validate(specOf(document));
  assert.deepEqual([result.valid, result.errors], [true, undefined]);
  assert.deepEqual(danglingRefs(document), []);
  const put = document.paths['/odd/{kind}/{path}']?.put;
  assert.deepEqual(
    put?.parameters?.map((each) => [each.in, each.name, each.required]),
    [
      ['path', 'kind', true],
      ['path', 'path', true],
      ['query', 'n', false],
      ['query', 'q', false],
      ['header', 'if-match', false],
    ],
  );
  assert.equal(put.parameters[2]?.schema.default, 20);
  assert.ok(put.responses['200']?.headers?.ETag && put.responses['422']);
  const files = document.paths['/odd/files'];
  assert.ok(files?.post?.requestBody?.content['multipart/form-data']);
  const part = document.paths['/odd/files/{id}']?.get?.responses;
  assert.ok(part?.['206'] && part['200']?.content?.['application/octet-stream']);

  const ajv = new Ajv2020({ strict: false });
  ajv.addSchema({ $id: 'odd', ...document } as AnySchema);
  const validate = ajv.getSchema('odd#/components/schemas/PutNoteBody');
  assert.ok(validate?.({ deep: [{ any: [1, null, 'x'] }] }), JSON.stringify(validate?.errors));
});
