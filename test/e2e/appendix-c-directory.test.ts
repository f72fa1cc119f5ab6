/**
 * The rows of the reference's appendix C (numbered as in docs/conformance.md) that need a directory the reference has
 * filled, a token, tools, or 98 neighbours; beside it an agent that begins with nothing.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import SqliteDatabase from 'better-sqlite3';
import { WebSocket } from 'ws';
import type { Route } from '../../src/contract/route.ts';
import { ROUTES } from '../../src/contract/routes.ts';
import { eventually, isTerminal, openChat } from '../fixtures/chat.ts';
import { startFleet } from '../fixtures/fleet-process.ts';
import { freeRange, LOW_PORTS, range, takePorts } from '../fixtures/taken-ports.ts';

const REFERENCE_SQL = readFileSync(
  fileURLToPath(new URL('../fixtures/reference-agent/schema.sql', import.meta.url)),
  'utf8',
);
const TABLES = ['scheduled_tasks', 'usage_log', 'sdk_sessions'];
const FAR_AWAY_S = 4_102_444_800;
const KNOWN = 'anthropic cerebras deepseek google groq mistral openai openrouter xai zai'.split(' ');
const SECRETS = ['casa-token-1234', 'sk-openai-0123456789WXYZ', 'abc', 'from-the-environment-99'];
const [TOKEN = '', OPENAI_KEY] = SECRETS;

const CASA = `name: "$\{C_NAME}"
model: { provider: echo }
channels: { websocket: { token: ${TOKEN} } }
providers:
  openai:
    api_key: ${OPENAI_KEY}
    base_url: https://llm.example/v1
    models: [{ id: gpt-4o-mini, input_cost_per_million: 0.15, output_cost_per_million: 0.6 }, gpt-off]
    disabled_models: [gpt-off]
  groq: { api_key: "$\{C_GROQ_KEY}" }
  short: { api_key: abc }
  empty:
scheduler:
  tasks:
    - { name: morning, cron: "0 7 * * *", prompt: Say good morning. }
    - { name: once, cron: "@once:${FAR_AWAY_S}", prompt: Say it. }
`;

// biome-ignore lint/suspicious/noExplicitAny: any answer, whose fields the assertions name
type Json = any;

test('appendix C: a directory of the reference, and an empty one', async (t) => {
  const first = await freeRange(100, LOW_PORTS);
  await takePorts(t, range(first, 98), '127.0.0.1');
  const fleet = await startFleet(t, {
    agents: ['casa', 'fresh'],
    port: first,
    env: { C_NAME: 'Casa', C_GROQ_KEY: SECRETS[3] ?? '' },
    yaml: (id) => (id === 'casa' ? CASA : 'model: { provider: echo }\n'),
    prepare: (place) => {
      mkdirSync(join(place, 'casa'));
      const db = new SqliteDatabase(join(place, 'casa/openagent.db'));
      db.exec(REFERENCE_SQL);
      db.prepare(
        `INSERT INTO usage_log VALUES ('now', ?, 'openai:gpt-4o-mini', 1000, 500, 0.00045, NULL, ?)`,
      ).run(Date.now() / 1000, new Date().toISOString().slice(0, 7));
      db.close();
    },
  });
  const { url, wsUrl, dir } = fleet.agent('casa');
  const fresh = fleet.agent('fresh');
  const authorization = `Bearer ${TOKEN}`;

  async function ask(method: string, path: string, body?: unknown): Promise<{ status: number; json: Json }> {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, json: await response.json() };
  }
  const get = async (path: string): Promise<Json> => {
    const { status, json } = await ask('GET', path);
    assert.equal(status, 200, `${path}: ${JSON.stringify(json)}`);
    return json;
  };

  await t.test(
    'appendix C 9: usage has its keys, remaining is null without a budget, days count their requests',
    async () => {
      const usage = await get('/api/usage');
      assert.deepEqual(
        [usage.monthly_spend, usage.monthly_budget, usage.remaining, usage.by_model],
        [0.00045, 0, null, { 'openai:gpt-4o-mini': 0.00045 }],
      );
      const { entries } = await get('/api/usage/daily?days=7');
      const { date, model, cost, input_tokens, output_tokens, request_count } = entries[0];
      assert.match(date, /^\d{4}-\d\d-\d\d$/);
      assert.deepEqual(
        [entries.length, model, cost, input_tokens, output_tokens, request_count],
        [1, 'openai:gpt-4o-mini', 0.00045, 1000, 500, 1],
      );
      const { input_cost_per_million, output_cost_per_million } = (await get('/api/usage/pricing')).pricing[
        'openai:gpt-4o-mini'
      ];
      assert.deepEqual([input_cost_per_million, output_cost_per_million], [0.15, 0.6]);
    },
  );

  await t.test(
    'appendix C 10: models and providers show displays instead of keys, all else as it stands',
    async () => {
      const { models, active } = await get('/api/models');
      assert.deepEqual(models, {
        openai: {
          api_key_display: '****WXYZ',
          base_url: 'https://llm.example/v1',
          models: [
            { id: 'gpt-4o-mini', input_cost_per_million: 0.15, output_cost_per_million: 0.6 },
            'gpt-off',
          ],
          disabled_models: ['gpt-off'],
        },
        // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in the file
        groq: { api_key_display: '${C_GROQ_KEY}' },
        short: { api_key_display: '****' },
        empty: {},
      });
      assert.deepEqual(active, { provider: 'echo' });
      assert.deepEqual(await get('/api/providers'), { providers: models });
      assert.deepEqual(await get('/api/models/active'), { active });
      assert.deepEqual((await get('/api/models/providers')).providers, [...KNOWN, 'empty', 'short'].sort());
      const catalog = (await get('/api/models/catalog?provider=openai')).models;
      assert.equal(catalog.length, 1);
      const { provider, model_id, runtime_id, history_mode, input_cost_per_million } = catalog[0];
      assert.deepEqual(
        [provider, model_id, runtime_id, history_mode, input_cost_per_million],
        ['openai', 'gpt-4o-mini', 'openai:gpt-4o-mini', 'platform', 0.15],
      );
    },
  );

  await t.test(
    'appendix C 10: what is written to models and cannot be, is answered in the shapes of old',
    async () => {
      const nameless = await ask('POST', '/api/models', { name: ' ' });
      assert.deepEqual([nameless.status, typeof nameless.json.error], [400, 'string']);
      for (const method of ['PUT', 'DELETE']) {
        const { status, json } = await ask(method, '/api/models/nobody', method === 'PUT' ? {} : undefined);
        assert.deepEqual([method, status, typeof json.error], [method, 404, 'string']);
        assert.match(json.error, /nobody/);
      }
      const same = await ask('PUT', '/api/models/active', { provider: 'echo' });
      assert.deepEqual([same.status, same.json.ok, same.json.restart_required], [200, true, false]);
      for (const [path, body] of [
        ['/api/models/nobody/test', undefined],
        ['/api/providers/test', { provider: 'nobody' }],
      ] as const) {
        const { status, json } = await ask('POST', path, body);
        assert.deepEqual([path, status, json.ok, typeof json.error], [path, 400, false, 'string']);
      }
    },
  );

  await t.test(
    'appendix C 13: update answers {"error"} while this version cannot update itself',
    async () => {
      const { status, json } = await ask('POST', '/api/update');
      assert.ok(status >= 400, String(status));
      assert.equal(typeof json.error, 'string');
    },
  );

  await t.test(
    'appendix C 14: a wrong token is auth_error with its reason, then the socket is closed',
    async (t) => {
      const socket = new WebSocket(wsUrl);
      t.after(() => socket.terminate());
      const frames: Json[] = [];
      const closed = new Promise<number>((resolve) => socket.once('close', resolve));
      socket.on('message', (data) => frames.push(JSON.parse(String(data))));
      socket.once('open', () => {
        socket.send(JSON.stringify({ type: 'ping' }));
        socket.send(JSON.stringify({ type: 'auth', token: 'wrong', client_id: 'x' }));
      });
      assert.equal(await closed, 1008);
      assert.deepEqual(
        frames.map(({ type, reason }) => [type, typeof reason]),
        [
          ['auth_error', 'string'],
          ['auth_error', 'string'],
        ],
      );
      const chat = await openChat(t, wsUrl, { clientId: 'right', token: TOKEN });
      const ok = await chat.frame(({ type }) => type === 'auth_ok');
      assert.deepEqual([ok.agent_name, typeof ok.version], ['Casa', 'string']);
    },
  );

  await t.test(
    'appendix C 19: every kind of marker becomes an attachment, in order; without any it is null',
    async (t) => {
      const chat = await openChat(t, wsUrl, { clientId: 'markers', token: TOKEN });
      const { text, attachments } = await chat.ask(
        'see [IMAGE: /tmp/a b.png ][FILE:/x/y.txt][VOICE:v.ogg][VIDEO:https://h/c.mp4] [image:/x] [FILE:]',
      );
      assert.equal(text, 'echo: see  [image:/x] [FILE:]');
      assert.deepEqual(
        (attachments as Json[]).map(({ type, path, filename }) => [type, path, filename]),
        [
          ['image', '/tmp/a b.png', 'a b.png'],
          ['file', '/x/y.txt', 'y.txt'],
          ['voice', 'v.ogg', 'v.ogg'],
          ['video', 'https://h/c.mp4', 'c.mp4'],
        ],
      );
      assert.equal((await chat.ask('nothing [FILE:]')).attachments, null);
    },
  );

  await t.test(
    'appendix C 20: status.text is JSON in a string for tools: running, then done or error',
    async (t) => {
      const chat = await openChat(t, wsUrl, { clientId: 'tools', token: TOKEN });
      const params = { path: 'a.md', content: 'hello' };
      const answer = await chat.ask(
        `/tool vault_write ${JSON.stringify(params)}\n/tool vault_read {"path":"none.md"}\nwritten`,
      );
      assert.equal(answer.type, 'response', JSON.stringify(answer));
      const told = chat.frames
        .filter(({ type, text }) => type === 'status' && String(text).startsWith('{'))
        .map(({ text, session_id }) => ({ ...JSON.parse(String(text)), session_id }) as Json);
      assert.ok(told.every(({ session_id }) => session_id === answer.session_id));
      assert.deepEqual(
        told.map(({ tool, status }) => `${tool} ${status}`),
        ['vault_write running', 'vault_write done', 'vault_read running', 'vault_read error'],
      );
      assert.deepEqual(told[0].params, params);
      assert.deepEqual([typeof told[1].result, typeof told[3].error], ['string', 'string']);
      const end = chat.frames.findIndex(isTerminal);
      assert.ok(!chat.frames.slice(end + 1).some(({ type }) => type === 'status'));
    },
  );

  await t.test(
    'appendix C 23: of 100 ports the last ones are found, and told in .port and agent-info',
    async () => {
      assert.deepEqual([fleet.agent('casa').port, fresh.port].sort(), [first + 98, first + 99]);
      for (const agent of [fleet.agent('casa'), fresh])
        assert.equal(readFileSync(join(agent.dir, '.port'), 'utf8'), String(agent.port));
      assert.equal((await get('/api/agent-info')).port, fleet.agent('casa').port);
    },
  );

  await t.test(
    'appendix C 23: the skeleton of the directory is there, and variables are put in',
    async () => {
      for (const name of ['openagent.yaml', 'openagent.db', 'memories', 'logs/events.jsonl', '.port'])
        await eventually(() => existsSync(join(fresh.dir, name)), name);
      assert.equal((await get('/api/health')).agent, 'Casa');
      // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in the file
      assert.equal((await get('/api/config')).name, '${C_NAME}');
    },
  );

  await t.test(
    'appendix C 23: the scheduler takes cron and @once:<epoch>, also of rows of the reference',
    async () => {
      const { tasks } = await get('/api/scheduled-tasks');
      const [morning, once] = ['morning', 'once'].map((name) =>
        tasks.find((task: Json) => task.name === name),
      );
      assert.equal(tasks.length, 2);
      assert.deepEqual(
        [morning.id, morning.cron_expression, typeof morning.next_run, morning.enabled],
        ['4f1c1f0e-0000-4000-8000-000000000001', '0 7 * * *', 'number', true],
      );
      assert.deepEqual([once.cron_expression, once.next_run], [`@once:${FAR_AWAY_S}`, FAR_AWAY_S]);
    },
  );

  await t.test('weak point 2: no answer to a read has a secret in it, and the log has none', async () => {
    const rows = (Object.values(ROUTES) as readonly Route[]).filter(({ method }) => method === 'GET');
    const hidden = SECRETS.filter((secret) => secret.length > 3);
    for (const { path } of rows) {
      const target = path.replace('{section}', 'providers').replaceAll(/\{\w+\*?\}/g, 'x');
      const response = await fetch(`${url}${target}?q=x&path=x`, { headers: { authorization } });
      const text = await response.text();
      for (const secret of hidden) assert.ok(!text.includes(secret), `${target}: ${secret}`);
    }
    const config = await get('/api/config');
    assert.deepEqual(
      [config.channels.websocket.token, config.providers.openai.api_key, config.providers.short.api_key],
      ['****1234', '****WXYZ', '****'],
    );
    const log = readFileSync(join(dir, 'logs/events.jsonl'), 'utf8');
    for (const secret of hidden) assert.ok(!log.includes(secret), secret);
  });

  await fleet.stop();

  await t.test('appendix C 23: the tables are those of the reference, made here or there', () => {
    const columnsOf = (path: string, sql = '') => {
      const db = new SqliteDatabase(path);
      db.exec(sql);
      const columns = TABLES.map((table) => db.pragma(`table_info(${table})`));
      const [usage, sessions] = ['usage_log', 'sdk_sessions'].map((table) =>
        db.prepare(`SELECT count(*) FROM ${table}`).pluck().get(),
      );
      db.close();
      return { columns, usage, sessions };
    };
    const reference = columnsOf(':memory:', REFERENCE_SQL);
    const [casa, made] = [dir, fresh.dir].map((place) => columnsOf(join(place, 'openagent.db')));
    assert.deepEqual(casa?.columns, reference.columns);
    assert.deepEqual(made?.columns, reference.columns);
    assert.deepEqual([casa?.usage, casa?.sessions], [2, 1]);
  });
});
