/**
 * What an agent answers is what its own OpenAPI document promises: every route is asked for what it can do and for what it
 * must refuse, and each answer is held to the document it serves, to the last field. Clients are generated from it.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { OpenApiDocument } from '../../src/contract/openapi.ts';
import { ROUTES } from '../../src/contract/routes.ts';
import { eventually, openChat } from '../fixtures/chat.ts';
import { type DocumentedAnswers, documentedAnswers } from '../fixtures/documented-answers.ts';
import { startFleet } from '../fixtures/fleet-process.ts';
import { startDouble, stopDouble } from '../fixtures/model-double.ts';

const SERVER = fileURLToPath(new URL('../fixtures/mcp/rude-server.mjs', import.meta.url));

type Json = Record<string, unknown>;
type Ask = (
  method: string,
  target: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<Answer>;

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Json;
}

test('every answer of every route is what the OpenAPI document promises', async (t) => {
  const double = await startDouble();
  t.after(() => stopDouble(double));
  double.onMessage(/./, { content: 'Near.' });
  const fleet = await startFleet(t, { yaml: () => yamlOf(`${double.url}/v1`) });
  const { url, wsUrl } = fleet.agent('a1');
  const document = (await (await fetch(`${url}/api/openapi.json`)).json()) as OpenApiDocument;
  const documented = documentedAnswers(document);
  const ask = asker(url, documented);

  await t.test('what is refused', () => refused(ask));
  await t.test('notes, their folders and the trash', () => notes(ask));
  await t.test('uploads and files', () => files(ask));
  await t.test('conversations, also as the clients of OpenAI have them', () => conversations(ask, t, wsUrl));
  await t.test('tasks, usage, logs and documents', () => tasks(ask));
  await t.test('MCP servers', () => servers(ask));
  await t.test('models and the configuration', () => configuration(ask));
  await t.test('a restart', async () => void (await ask('POST', '/api/restart')));

  const succeeded = [...documented.compared].filter(([, statuses]) =>
    [...statuses].some((each) => each < 300),
  );
  const missing = Object.keys(ROUTES).filter((name) => !succeeded.some(([id]) => id === name));
  assert.deepEqual(missing, [], 'each has been seen to work');
  await fleet.stop();
});

function yamlOf(modelUrl: string): string {
  const provider = { api_key: 'sk-0123456789abcdef', base_url: modelUrl, models: ['gpt-4.1'] };
  const server = { name: 'rude', command: [process.execPath, SERVER], env: { KEY: 'canary-0123456789' } };
  return JSON.stringify({
    name: 'Probe',
    model: { provider: 'echo' },
    providers: { openai: provider },
    mcp: [server],
  });
}

function asker(url: string, documented: DocumentedAnswers): Ask {
  return async (method, target, body, headers = {}) => {
    const isForm = body instanceof FormData;
    const response = await answered(`${url}${target}`, {
      method,
      headers: {
        ...(body === undefined || isForm ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: isForm || typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const { status } = response;
    const contentType = response.headers.get('content-type') ?? '';
    const problem = documented.problem({ method, target, status, contentType, body: text });
    assert.equal(problem, undefined, `${method} ${target}\n${text.slice(0, 400)}`);
    const json = contentType.startsWith('application/json') && text !== '' ? (JSON.parse(text) as Json) : {};
    return { status, headers: response.headers, json };
  };
}

/** What changes models and servers restarts the agent in a moment; nobody listens then. */
async function answered(url: string, init: RequestInit): Promise<Response> {
  let response: Response | undefined;
  await eventually(async () => {
    response = await fetch(url, init).catch(() => undefined);
    return response !== undefined;
  }, `${url} is answered`);
  assert.ok(response);
  return response;
}

/** Nothing of this is done: what has no such parts is not there, and what is changed is named by a version nobody has. */
async function refused(ask: Ask): Promise<void> {
  const wrongQuery = 'limit=-1&lines=x&days=x&count=x&enabled_only=7&path=..&folder=..';
  for (const { method, path } of Object.values(ROUTES)) {
    if (path === '/api/restart') continue;
    const target = path.replaceAll(/\{\w+\*?\}/g, 'none');
    const none = { 'if-match': '"none"' };
    const asked: Parameters<Ask>[] = [
      [method, target, undefined, none],
      [method, target, undefined, { origin: 'https://evil.example' }],
      [method, path.replaceAll(/\{\w+\*?\}/g, '%ff'), undefined, none],
      [method, `${target}?${wrongQuery}`, undefined, none],
      [method, `${target}?q=1&q=2&limit=1&limit=2`, undefined, none],
    ];
    if (method === 'GET') asked.push(['HEAD', target]);
    else asked.push(...ODD_BODIES.map((body): Parameters<Ask> => [method, target, body, none]));
    if (method !== 'GET') asked.push([method, target, '{}', { 'content-type': 'text/plain' }]);
    await Promise.all(asked.map((each) => ask(...each)));
  }
}

const ODD_BODIES = [
  '{',
  '[]',
  '"text"',
  '{"name":7,"content":7,"from":7,"provider":7,"messages":7,"input":7}',
  `"${'x'.repeat(2 ** 20)}"`,
];

async function notes(ask: Ask): Promise<void> {
  const first = await ask('PUT', '/api/vault/notes/deep/a.md', {
    content: '---\ntags: [x]\n---\nhi [[b]] ![[c]] [[d]]',
  });
  await ask('PUT', '/api/vault/notes/b.md', { content: 'hi [[deep/a]]' });
  await ask('PUT', '/api/vault/notes/b.md', { content: 'other' }, { 'if-match': '"none"' });
  await ask('PUT', '/api/vault/notes/b.md', { content: 'other' }, { 'if-none-match': '*' });
  await ask('GET', '/api/vault/notes/deep/a.md', undefined, {
    'if-none-match': String(first.headers.get('etag')),
  });
  for (const target of ['notes', 'notes/deep/a.md', 'search?q=hi', 'graph', 'backlinks?path=b.md', 'folders'])
    await ask('GET', `/api/vault/${target}`);
  await ask('POST', '/api/vault/rename', { from: 'b.md', to: 'deep/a.md' });
  await ask('POST', '/api/vault/rename', { from: 'b.md', to: 'e.md' });
  await ask('POST', '/api/vault/folders', { path: 'empty' });
  await ask('POST', '/api/vault/folders', { path: 'e.md' });
  await ask('DELETE', '/api/vault/folders?path=deep');
  await ask('DELETE', '/api/vault/folders?path=empty');
  const { json } = await ask('DELETE', '/api/vault/notes/e.md');
  await ask('GET', '/api/vault/trash');
  await ask('POST', '/api/vault/trash/restore', { id: json.trash_id });
  await ask('POST', '/api/vault/trash/restore', { id: json.trash_id });
}

async function files(ask: Ask): Promise<void> {
  const form = new FormData();
  form.append('file', new Blob(['first']), 'first.txt');
  form.append('file', new Blob(['second']), 'second.html');
  const { json } = await ask('POST', '/api/upload', form);
  const [{ id }] = json.files as [{ id: string }];
  await ask('POST', '/api/upload', new FormData());
  await ask('GET', '/api/files');
  const { headers } = await ask('GET', `/api/files/${id}`);
  const parts = ['bytes=1-2', 'bytes=-1', 'bytes=9-', 'bytes=0-0,2-2', 'lines=1'];
  for (const range of parts) await ask('GET', `/api/files/${id}`, undefined, { range });
  await ask('GET', `/api/files/${id}`, undefined, { 'if-none-match': String(headers.get('etag')) });
}

async function conversations(ask: Ask, t: TestContext, wsUrl: string): Promise<void> {
  // Of the built-in model nothing is remembered.
  await ask('PUT', '/api/sessions/someone-1/model', { model: 'openai:gpt-4.1' });
  const chat = await openChat(t, wsUrl, { clientId: 'someone' });
  assert.equal((await chat.ask('what is near')).text, 'Near.');
  await ask('GET', '/api/sessions');
  await ask('GET', '/api/sessions/someone-1/history');
  await ask('DELETE', '/api/sessions/someone-1');
  const models = (await ask('GET', '/v1/models')).json.data as { id: string }[];
  await ask('GET', `/v1/models/${models[0]?.id}`);
  const asked = { chat: { messages: [{ role: 'user', content: 'hi' }] }, response: { input: 'hi' } };
  for (const stream of [false, true]) {
    await ask('POST', '/v1/chat/completions', { ...asked.chat, stream });
    await ask('POST', '/v1/responses', { ...asked.response, stream });
  }
  await ask('POST', '/v1/chat/completions', { ...asked.chat, model: 'none' });
  await ask('POST', '/v1/responses', { ...asked.response, previous_response_id: 'none' });
}

async function tasks(ask: Ask): Promise<void> {
  const task = { name: 'morning', cron_expression: '0 0 1 1 *', prompt: 'hi' };
  const { id } = (await ask('POST', '/api/scheduled-tasks', task)).json;
  await ask('POST', '/api/scheduled-tasks', { ...task, cron_expression: 'never' });
  await ask('PATCH', `/api/scheduled-tasks/${id}`, { name: 'evening' });
  await ask('PATCH', `/api/scheduled-tasks/${id}`, { cron_expression: 'never' });
  await ask('POST', `/api/scheduled-tasks/${id}/run`);
  await ask('POST', `/api/scheduled-tasks/${id}/run`);
  for (const part of ['', '/runs']) await ask('GET', `/api/scheduled-tasks/${id}${part}`);
  await ask('GET', '/api/scheduled-tasks');
  await ask('DELETE', `/api/scheduled-tasks/${id}`);
  await ask('GET', '/api/cron/describe?expression=0%200%20*%20*%20*&timezone=Europe/Berlin');
  await ask('GET', '/api/cron/describe?expression=never');
  for (const target of [
    'usage',
    'usage/daily',
    'usage/pricing',
    'logs',
    'docs',
    'asyncapi.json',
    'openapi.json',
  ]) {
    const { headers } = await ask('GET', `/api/${target}`);
    await ask('GET', `/api/${target}`, undefined, { 'if-none-match': String(headers.get('etag')) });
  }
  await ask('DELETE', '/api/logs');
}

async function servers(ask: Ask): Promise<void> {
  await eventually(async () => {
    const { mcp } = (await ask('GET', '/api/mcps/rude')).json as { mcp: { state: string } };
    return mcp.state === 'ready';
  }, 'the server is ready');
  await ask('GET', '/api/mcp-tools');
  await ask('POST', '/api/mcps/rude/approve');
  await ask('POST', '/api/mcps/rude/retry');
  await ask('POST', '/api/mcps', { name: 'rude', command: ['true'] });
  // The supervisor restarts the agent half a second after the last of these.
  await ask('POST', '/api/mcps', { name: 'second', command: ['true'], enabled: false });
  await ask('PUT', '/api/mcps/second', { env: { KEY: 'canary-0123456789' } });
  await ask('POST', '/api/mcps/second/enable');
  await ask('POST', '/api/mcps/second/disable');
  await ask('DELETE', '/api/mcps/second');
  await ask('GET', '/api/mcps');
}

async function configuration(ask: Ask): Promise<void> {
  for (const target of ['models', 'models/active', 'models/catalog', 'models/providers', 'providers'])
    await ask('GET', `/api/${target}`);
  await ask('POST', '/api/models', {
    name: 'groq',
    api_key: 'k',
    base_url: 'http://127.0.0.1:1',
    models: ['m'],
  });
  await ask('PUT', '/api/models/groq', { models: ['n'] });
  for (const name of ['openai', 'groq', 'none']) {
    await ask('POST', `/api/models/${name}/test`);
    await ask('POST', '/api/providers/test', { provider: name });
  }
  await ask('DELETE', '/api/models/groq');
  await ask('PUT', '/api/models/active', { provider: 'echo' });
  await ask('PUT', '/api/models/active', { provider: 7 });
  const { json, headers } = await ask('GET', '/api/config');
  await ask('PUT', '/api/config', json, { 'if-match': String(headers.get('etag')) });
  await ask('PUT', '/api/config', { ...json, channels: 7 });
  await ask('PATCH', '/api/config/name', '"Another"');
  await ask('PATCH', '/api/config/name', '"A third"', { 'if-match': '"none"' });
  const { versions } = (await ask('GET', '/api/config/versions')).json as { versions: { id: string }[] };
  await ask('GET', `/api/config/versions/${versions[0]?.id}`);
  await ask('POST', `/api/config/versions/${versions[0]?.id}/restore`);
}
