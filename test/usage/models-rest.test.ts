import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { startRest } from './rest-fixture.ts';

const SOURCE = `# mine
name: alpha
model: {provider: openai, model_id: gpt-4o-mini, api_key: sk-model-0123456789abcd} # kept
providers:
  openai: # the team's
    api_key: sk-openai-0123456789WXYZ
    base_url: https://llm.example/v1
    models:
      - gpt-4o
      - {id: gpt-4o-mini, input_cost_per_million: "2.5", output_cost_per_million: 10}
      - {model_id: gpt-off}
      - {model: "meta-llama/x:free"}
      - gpt-4o
      - 4
      - null
      - {nothing: here}
    disabled_models: [gpt-off]
    extra: {kept: true}
  groq: {api_key: "\${GROQ_KEY}"}
  short: {api_key: abc}
  empty:
`;

const get = async (rest: Awaited<ReturnType<typeof startRest>>, path: string) => {
  const { status, body } = await rest.ask('GET', path);
  assert.equal(status, 200, JSON.stringify(body));
  return body;
};

describe('what is configured', () => {
  test('is shown with displays instead of keys, and everything else as it stands', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    const { models, active } = await get(rest, '/api/models');
    assert.deepEqual(active, {
      provider: 'openai',
      model_id: 'gpt-4o-mini',
      api_key_display: '****abcd',
    });
    assert.equal(models.openai.api_key, undefined);
    assert.equal(models.openai.api_key_display, '****WXYZ');
    assert.deepEqual(models.openai.extra, { kept: true });
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in the file
    assert.deepEqual(models.groq, { api_key_display: '${GROQ_KEY}' });
    assert.deepEqual(models.short, { api_key_display: '****' });
    assert.deepEqual(models.empty, {});
    assert.deepEqual(await get(rest, '/api/providers'), { providers: models });
    assert.deepEqual(await get(rest, '/api/models/active'), { active });
  });

  test('has a catalog: each enabled model once, by provider, price and name', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    const { models } = await get(rest, '/api/models/catalog?provider=openai');
    assert.deepEqual(models, [
      {
        provider: 'openai',
        model_id: 'meta-llama/x:free',
        runtime_id: 'openai:meta-llama/x:free',
        history_mode: 'platform',
        input_cost_per_million: 0,
        output_cost_per_million: 0,
        price_source: 'unknown',
      },
      {
        provider: 'openai',
        model_id: 'gpt-4o',
        runtime_id: 'openai:gpt-4o',
        history_mode: 'platform',
        input_cost_per_million: 2.5,
        output_cost_per_million: 10,
        price_source: 'list',
      },
      {
        provider: 'openai',
        model_id: 'gpt-4o-mini',
        runtime_id: 'openai:gpt-4o-mini',
        history_mode: 'platform',
        input_cost_per_million: 2.5,
        output_cost_per_million: 10,
        price_source: 'config',
      },
    ]);
    assert.deepEqual(await get(rest, '/api/models/catalog?provider=nobody'), { models: [] });
    assert.equal((await get(rest, '/api/models/catalog')).models.length, 3);
  });

  test('has a catalog with the Claude command line under its own kind of name', async (t) => {
    const rest = await startRest(t, { source: 'providers: {claude-cli: {models: [claude-sonnet-4-6]}}' });
    const [model] = (await get(rest, '/api/models/catalog')).models;
    assert.deepEqual(
      [model.runtime_id, model.history_mode, model.price_source],
      ['claude-cli/claude-sonnet-4-6', 'provider', 'list'],
    );
  });

  test('adds its names to those that are known', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    const { providers } = await get(rest, '/api/models/providers');
    const known = 'anthropic cerebras deepseek google groq mistral openai openrouter xai zai'.split(' ');
    assert.deepEqual(providers, [...known, 'empty', 'short'].sort());
  });
});

describe('odd files', () => {
  const ODD = {
    nothing: null,
    empty: '',
    'a list': '- a\n- b\n',
    'a text': 'just words\n',
    'providers as a list': 'providers: [a, b]\n',
    'providers as a text, a model as a list': 'providers: openai\nmodel: [a]\n',
    nulls: 'providers:\nmodel:\n',
    'entries of all kinds':
      'providers: {a: null, b: [1], c: text, d: 5, e: {models: x, disabled_models: 3}}\n',
    'models of all kinds':
      'providers: {a: {models: [null, 1, [x], {id: null}, {id: [y]}, ""], api_key: [z]}}\n',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: as it stands in the file
    'a variable that is not set': 'providers: {openai: {api_key: "${NOT_SET}", models: [m]}}\n',
    'names of objects': 'providers: {constructor: {models: [m]}, __proto__: {models: [n]}}\n',
  };
  const PATHS = ['', '/active', '/catalog', '/providers'].map((path) => `/api/models${path}`);

  for (const [what, source] of Object.entries(ODD)) {
    test(`weak points 37 and 38: with ${what}: every GET answers, and a test says what is wrong`, async (t) => {
      const rest = await startRest(t, { source });
      for (const path of [...PATHS, '/api/providers']) await get(rest, path);
      const { status, body } = await rest.ask('POST', '/api/models/constructor/test');
      assert.deepEqual([status, body.ok, typeof body.error], [400, false, 'string']);
      assert.deepEqual([rest.appDefects, rest.defects], [[], []]);
    });
  }

  test('that are no YAML are 422, and a list of providers is not replaced by an added one', async (t) => {
    const rest = await startRest(t, { source: 'providers: [a]\n' });
    const added = await rest.ask('POST', '/api/models', { name: 'x' });
    assert.deepEqual([added.status, added.body.code], [422, 'config.invalid']);
    assert.equal(rest.file.text(), 'providers: [a]\n');
    writeFileSync(rest.file.path, 'a: [');
    for (const path of PATHS) {
      const { status, body } = await rest.ask('GET', path);
      assert.deepEqual([status, body.code], [422, 'config.invalid']);
    }
  });
});

describe('changes', () => {
  test('add a provider, without what is empty, and replace one of the same name', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    const body = { name: ' mistral ', api_key: 'new-key-0123456789', base_url: '', models: [], other: 1 };
    assert.deepEqual(await rest.ask('POST', '/api/models', body), {
      status: 200,
      body: { ok: true, name: 'mistral' },
    });
    assert.deepEqual((await get(rest, '/api/providers')).providers.mistral, {
      api_key_display: '****6789',
      models: [],
    });
    await rest.ask('POST', '/api/models', { name: 'openai', disabled_models: [] });
    assert.deepEqual((await get(rest, '/api/providers')).providers.openai, {});
    assert.match(rest.file.text(), /^# mine\n/);
  });

  test('refuse a name that is empty, none, or a word of the routes', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    for (const name of ['', '  ', undefined, 5, null, 'active', 'catalog', 'providers']) {
      const { status, body } = await rest.ask('POST', '/api/models', { name });
      assert.deepEqual([status, body.code], [400, 'request.invalid'], String(name));
    }
    assert.match((await rest.ask('POST', '/api/models', { name: '' })).body.error, /name is required/);
    assert.equal(rest.file.text(), SOURCE);
  });

  test('set some fields of a provider, remove empty ones, and keep the rest with its comments', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    const put = await rest.ask('PUT', '/api/models/openai', { base_url: '', models: ['m'], other: 1 });
    assert.deepEqual(put, { status: 200, body: { ok: true } });
    const { openai } = (await get(rest, '/api/providers')).providers;
    assert.deepEqual(openai, {
      api_key_display: '****WXYZ',
      models: ['m'],
      disabled_models: ['gpt-off'],
      extra: { kept: true },
    });
    assert.match(rest.file.text(), /sk-openai-0123456789WXYZ/);
    assert.match(rest.file.text(), /# the team's/);
    await rest.ask('PUT', '/api/models/openai', { api_key: 'other-key-9876543210' });
    assert.match(rest.file.text(), /other-key-9876543210/);
  });

  test('keep the stored key where its mask or its display comes back', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    for (const key of ['api_key', 'api_key_display']) {
      const put = await rest.ask('PUT', '/api/models/openai', { [key]: '****WXYZ', models: [key] });
      assert.equal(put.status, 200, JSON.stringify(put.body));
      const post = await rest.ask('POST', '/api/models', { name: 'openai', [key]: '****WXYZ' });
      assert.equal(post.status, 200, JSON.stringify(post.body));
      assert.match(rest.file.text(), /sk-openai-0123456789WXYZ/);
    }
    const { active } = await get(rest, '/api/models/active');
    const set = await rest.ask('PUT', '/api/models/active', { ...active, model_id: 'gpt-4.1' });
    assert.deepEqual(set, { status: 200, body: { ok: true, restart_required: false } });
    assert.match(rest.file.text(), /sk-model-0123456789abcd/);
    assert.match(rest.file.text(), /gpt-4\.1/);
    assert.doesNotMatch(rest.file.text(), /display/);
  });

  test('refuse a mask that stands for nothing', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    const { status, body } = await rest.ask('PUT', '/api/models/groq', { api_key: '****WXYZ' });
    assert.deepEqual([status, body.code], [422, 'config.invalid']);
    assert.equal(rest.file.text(), SOURCE);
  });

  test('replace the whole section of the model, and refuse what is none', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    await rest.ask('PUT', '/api/models/active', { provider: 'smart', monthly_budget: 5 });
    assert.deepEqual(await get(rest, '/api/models/active'), {
      active: { provider: 'smart', monthly_budget: 5 },
    });
    for (const section of ['openai', [1], 5]) {
      const { status, body } = await rest.ask('PUT', '/api/models/active', section);
      assert.deepEqual([status, body.code], [422, 'config.invalid']);
    }
    assert.equal((await rest.ask('PUT', '/api/models/active', null)).status, 200);
    assert.deepEqual(await get(rest, '/api/models/active'), { active: {} });
  });

  test('remove a provider; one that is not there is 404', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    assert.deepEqual(await rest.ask('DELETE', '/api/models/groq'), { status: 200, body: { ok: true } });
    for (const [method, name, body] of [
      ['DELETE', 'groq', undefined],
      ['PUT', 'groq', {}],
      ['DELETE', 'toString', undefined],
      ['PUT', '__proto__', {}],
    ] as const) {
      const answer = await rest.ask(method, `/api/models/${name}`, body);
      assert.deepEqual(
        [answer.status, answer.body.code, answer.body.error],
        [404, 'provider.not_found', `Provider '${name}' not found`],
      );
    }
    assert.deepEqual(Object.keys((await get(rest, '/api/providers')).providers), [
      'openai',
      'short',
      'empty',
    ]);
  });

  test('of two clients in one moment both stand', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    const answers = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        rest.ask('POST', '/api/models', { name, base_url: `http://${name}.example` }),
      ),
    );
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200],
    );
    const { providers } = await get(rest, '/api/providers');
    assert.deepEqual(Object.keys(providers).sort(), ['a', 'b', 'c', 'empty', 'groq', 'openai', 'short']);
  });

  test('are told to be of other methods where a path has a fixed name', async (t) => {
    const rest = await startRest(t, { source: SOURCE });
    assert.equal((await rest.ask('GET', '/api/models/openai')).status, 405);
    assert.equal((await rest.ask('DELETE', '/api/models/active')).status, 405);
  });
});
