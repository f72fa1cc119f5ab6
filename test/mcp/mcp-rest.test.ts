/** The routes of MCP servers over a real configuration file. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createConfigService } from '../../src/actors/config-service.ts';
import { AppError } from '../../src/contract/errors.ts';
import type { HostQuestion } from '../../src/contract/host-link.ts';
import { createAgentHttp } from '../../src/gateway/rest/agent-http.ts';
import type { McpStatus } from '../../src/gateway/services/mcp-service.ts';
import { openStore } from '../fixtures/config-store.ts';
import { appOptions, request } from '../fixtures/http-app.ts';

const SOURCE = `# kept
mcp_disable: [shell] # not here
mcp:
  # the team's
  - name: files
    command: [npx, -y, server]
    env: {KEY: secret-0123456789wxyz}
  - {name: web, url: "https://mcp.example.org/mcp", enabled: false}
  - {builtin: vault, enabled: false}
`;
const READY: McpStatus = {
  name: 'files',
  state: 'ready',
  transport: 'stdio',
  tools: [{}, {}],
  changedTools: ['read'],
  problems: [],
  restarts: 1,
  lastError: undefined,
};

type Answer = { readonly status: number; readonly body: Record<string, unknown> };

function start(t: TestContext, source = SOURCE) {
  const opened = openStore(t, { source });
  const { store, agent, told, text } = opened;
  const events: string[] = [];
  const asked: string[] = [];
  const resources = {
    changed: (resource: string, action: string, id?: string) =>
      events.push(`${resource} ${action} ${id ?? ''}`),
    budgetReached: () => {},
  };
  const ask = async (question: HostQuestion): Promise<unknown> => {
    if (question.type === 'config.read') return store.read(agent);
    assert.equal(question.type, 'config.patch');
    return store.patch(agent, question.section, question.value, question.ifMatch ?? '');
  };
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, isEnabled: () => true };
  const options = appOptions({});
  const app = createAgentHttp({
    ...options,
    bodyBytesMax: 100_000,
    jsonDepthMax: 20,
    services: {
      ...options.services,
      resources,
      config: createConfigService({ host: { ask }, log, resources }),
      mcp: {
        states: () => [READY],
        offered: () => [
          {
            server: 'files',
            tools: [{ name: 'files_read', description: 'Reads', inputSchema: { type: 'object' } }],
          },
        ],
        retry: (name) => void asked.push(`retry ${name}`),
        approve: async (name) => {
          if (name !== 'files') throw new AppError('mcp.not_found', 'no');
          asked.push(`approve ${name}`);
        },
      },
    },
  });
  const call = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const sent = body === undefined ? {} : { body: JSON.stringify(body), contentType: 'application/json' };
    const response = await app.handle(request({ method, path, ...sent }));
    return { status: response.status, body: JSON.parse(String(response.body)) as Record<string, unknown> };
  };
  return { call, events, asked, told, text, clock: opened.clock };
}

test('lists servers and what is built in, with their state and without secrets', async (t) => {
  const { call } = start(t);
  const { body } = await call('GET', '/api/mcps');
  const rows = body.mcps as Record<string, unknown>[];
  assert.deepEqual(
    rows.map(({ name, kind, enabled, state }) => [name, kind, enabled, state]),
    [
      ['vault', 'builtin', false, 'disabled'],
      ['filesystem', 'default', true, 'built_in'],
      ['editor', 'default', true, 'built_in'],
      ['web-search', 'default', true, 'built_in'],
      ['shell', 'default', false, 'disabled'],
      ['scheduler', 'default', true, 'built_in'],
      ['files', 'custom', true, 'ready'],
      ['web', 'custom', false, 'disabled'],
    ],
  );
  const { body: one } = await call('GET', '/api/mcps/files');
  const { command, env, tools, changed_tools: changed, restarts } = one.mcp as Record<string, unknown>;
  assert.deepEqual(
    { command, env, tools, changed, restarts },
    {
      command: ['npx', '-y', 'server'],
      env: { KEY: '****wxyz' },
      tools: 2,
      changed: ['read'],
      restarts: 1,
    },
  );
  assert.equal((await call('GET', '/api/mcps/nobody')).body.code, 'mcp.not_found');
  const { body: offered } = await call('GET', '/api/mcp-tools');
  assert.deepEqual(offered, {
    mcps: [
      {
        mcp_name: 'files',
        tools: [{ name: 'files_read', description: 'Reads', parameters_schema: { type: 'object' } }],
      },
    ],
  });
});

test('a server is added, changed and removed, in a file that keeps all else; the agent is restarted once', async (t) => {
  const { call, text, events, told, clock } = start(t);
  const made = await call('POST', '/api/mcps', {
    name: 'new',
    command: ['node', 'x.js'],
    env: { A: 'b-secret-value' },
  });
  assert.equal(made.status, 201);
  assert.deepEqual([made.body.ok, made.body.applied, made.body.restart_required], [true, 'restart', false]);
  assert.equal((made.body.mcp as Record<string, unknown>).state, 'pending');
  const changed = await call('PUT', '/api/mcps/files', {
    env: { KEY: '****wxyz', MORE: 'x' },
    args: ['/srv'],
  });
  assert.equal(changed.status, 200);
  const turned = await call('PUT', '/api/mcps/new', { url: 'http://127.0.0.1:1/mcp', env: null });
  assert.equal(turned.status, 200);
  assert.match(text(), /^# kept\n/);
  assert.match(text(), /KEY: secret-0123456789wxyz/);
  assert.match(text(), /MORE: x/);
  assert.match(text(), /name: new\n +url: http:\/\/127\.0\.0\.1:1\/mcp\n?$/);
  assert.equal((await call('DELETE', '/api/mcps/new')).body.ok, true);
  assert.ok(!text().includes('name: new'));
  assert.equal((await call('DELETE', '/api/mcps/new')).body.code, 'mcp.not_found');
  const mcpEvents = events.filter((event) => event.startsWith('mcp '));
  assert.deepEqual(mcpEvents, ['mcp created new', 'mcp updated files', 'mcp updated new', 'mcp deleted new']);
  clock.advance(1_000);
  assert.deepEqual(told, ['alpha restart']);
});

test('servers and what is built in are enabled and disabled where the file says so', async (t) => {
  const { call, text } = start(t);
  const row = async (path: string) => {
    const { body } = await call('POST', path);
    const { enabled, state } = body.mcp as Record<string, unknown>;
    return [enabled, state];
  };
  assert.deepEqual(await row('/api/mcps/web/enable'), [true, 'pending']);
  assert.ok(!/name: web.*enabled/.test(text()));
  assert.deepEqual(await row('/api/mcps/files/disable'), [false, 'pending']);
  assert.deepEqual(await row('/api/mcps/shell/enable'), [true, 'built_in']);
  assert.deepEqual(await row('/api/mcps/editor/disable'), [false, 'disabled']);
  assert.match(text(), /mcp_disable: \[ ?editor ?\]/);
  assert.deepEqual(await row('/api/mcps/vault/enable'), [true, 'built_in']);
  assert.equal((await call('POST', '/api/mcps/nobody/enable')).status, 404);
  assert.equal((await call('POST', '/api/mcps/messaging/enable')).status, 404);
});

test('what is built in is asked for by name where the defaults are off', async (t) => {
  const { call, text } = start(t, 'mcp_defaults: off\n');
  assert.equal((await call('POST', '/api/mcps/vault/enable')).status, 200);
  assert.match(text(), /builtin: vault/);
});

test('what cannot be done is refused with the reason', async (t) => {
  const { call } = start(t);
  const refusals: [string, string, unknown, number, string][] = [
    ['POST', '/api/mcps', { name: 'files', command: 'x' }, 409, 'mcp.exists'],
    ['POST', '/api/mcps', { name: 'vault', command: 'x' }, 400, 'mcp.built_in'],
    ['POST', '/api/mcps', { name: 'other' }, 400, 'request.invalid'],
    ['POST', '/api/mcps', { name: 'other', url: 'ftp://x' }, 400, 'request.invalid'],
    ['POST', '/api/mcps', { name: 'other', command: [] }, 400, 'request.invalid'],
    ['POST', '/api/mcps', { name: 'other', command: ['x'], env: { A: '****' } }, 422, 'config.invalid'],
    ['PUT', '/api/mcps/nobody', {}, 404, 'mcp.not_found'],
    ['PUT', '/api/mcps/shell', {}, 400, 'mcp.built_in'],
    ['DELETE', '/api/mcps/shell', undefined, 400, 'mcp.built_in'],
    ['POST', '/api/mcps/other/approve', undefined, 404, 'mcp.not_found'],
  ];
  for (const [method, path, body, status, code] of refusals) {
    const answer = await call(method, path, body);
    assert.deepEqual([answer.status, answer.body.code], [status, code], `${method} ${path}`);
  }
});

test('an operator can have a server tried again and approved', async (t) => {
  const { call, asked } = start(t);
  assert.deepEqual((await call('POST', '/api/mcps/files/retry')).body, { ok: true });
  assert.deepEqual((await call('POST', '/api/mcps/files/approve')).body, { ok: true });
  assert.deepEqual(asked, ['retry files', 'approve files']);
});
