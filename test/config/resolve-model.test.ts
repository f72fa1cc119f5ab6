// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of openagent.yaml are what is tested
import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { configSchema } from '../../src/contract/config.ts';
import type { ModelSettings } from '../../src/contract/model-settings.ts';
import { formatRuntimeId, parseRuntimeId } from '../../src/contract/runtime-id.ts';
import { modelLabel, modelWarnings } from '../../src/models/registry.ts';
import { modelSecrets, resolveModel } from '../../src/supervisor/config/resolve-model.ts';

type Env = Readonly<Record<string, string>>;

const resolved = (config: unknown, env: Env = {}): ModelSettings =>
  resolveModel(configSchema.parse(config), env);
const idOf = (config: unknown, env: Env = {}) => modelLabel(resolved(config, env));

describe('runtime ids', () => {
  test('what is formatted is parsed to the same, whatever the names hold', () => {
    const name = fc.oneof(
      fc.string(),
      fc.constantFrom('a:b', 'a/b', '%3A', 'claude-cli', 'claude-cli/x', 'echo', ''),
    );
    fc.assert(
      fc.property(name, fc.option(name, { nil: undefined }), (provider, model) => {
        assert.deepEqual(parseRuntimeId(formatRuntimeId({ provider, model })), { provider, model });
      }),
      {
        examples: [
          ['openrouter', 'anthropic/claude-3.5:beta'],
          ['claude-cli', undefined],
        ],
      },
    );
  });

  test('are what people would write', () => {
    assert.equal(
      formatRuntimeId({ provider: 'openrouter', model: 'anthropic/claude-3.5:beta' }),
      'openrouter:anthropic/claude-3.5:beta',
    );
    assert.deepEqual(parseRuntimeId('ollama:llama3:8b'), { provider: 'ollama', model: 'llama3:8b' });
    assert.deepEqual(parseRuntimeId('claude-cli/opus'), { provider: 'claude-cli', model: 'opus' });
    assert.deepEqual(parseRuntimeId('echo'), { provider: 'echo', model: undefined });
  });
});

describe('the model of a configuration', () => {
  const providers = {
    openrouter: { models: ['meta-llama/llama-3:free', 'openai/gpt-4o'] },
    mine: { base_url: 'http://127.0.0.1:9/v1', models: ['llama3:8b', 'mistral:7b'] },
  };

  for (const [what, model, id] of [
    ['the default of a vendor', { provider: 'anthropic' }, 'anthropic:claude-sonnet-4-6'],
    ['an alias', { provider: 'claude-api', model_id: 'x' }, 'anthropic:x'],
    ['zhipu', { provider: 'zhipu' }, 'zai:glm-5'],
    ['agno alone', { provider: 'agno' }, 'anthropic:claude-sonnet-4-20250514'],
    ['litellm with a runtime id', { provider: 'litellm', model_id: 'groq:llama-3' }, 'groq:llama-3'],
    [
      'a model without provider',
      { model_id: 'openrouter:anthropic/claude-3.5:beta' },
      'openrouter:anthropic/claude-3.5:beta',
    ],
    ['one that is listed', { model_id: 'meta-llama/llama-3:free' }, 'openrouter:meta-llama/llama-3:free'],
    ["a listed one that looks like a vendor's", { model_id: 'mistral:7b' }, 'mine:mistral:7b'],
    ['a listed one with a slash', { model_id: 'openai/gpt-4o' }, 'openrouter:openai/gpt-4o'],
    ['one with a slash', { model_id: 'groq/llama-3' }, 'groq:llama-3'],
    ["a provider of one's own", { provider: 'mine', model_id: 'llama3:8b' }, 'mine:llama3:8b'],
    ['the first one listed', { provider: 'mine' }, 'mine:llama3:8b'],
    [
      'a model with the provider before it',
      { provider: 'mine', model_id: 'mine:llama3:8b' },
      'mine:llama3:8b',
    ],
    ['claude-cli', { provider: 'claude-cli', model_id: 'opus' }, 'claude-cli/opus'],
    ['smart', { provider: 'smart' }, 'smart'],
    ['nothing', {}, 'echo'],
  ] as const) {
    test(`${what} is ${id}`, () => assert.equal(idOf({ model, providers }), id));
  }

  test('a bare model nobody knows is told, unless there is an address for it', () => {
    const unknown = resolved({ model: { model_id: 'some-model' } }, { OPENAI_API_KEY: 'k' });
    assert.match(
      unknown.doubts.join(),
      /model\.model_id: no provider is known for "some-model".*openai:some-model/,
    );
    assert.equal(modelWarnings(unknown, tmpdir()).length, 1);
    const local = resolved({ model: { model_id: 'some-model', base_url: 'http://127.0.0.1:1234/v1/' } });
    assert.deepEqual([local.doubts, modelWarnings(local, tmpdir())], [[], []]);
    const { wire, baseUrl, needsKey } = local.providers.openai ?? assert.fail();
    assert.deepEqual(
      { wire, baseUrl, needsKey },
      { wire: 'openai-chat', baseUrl: 'http://127.0.0.1:1234/v1', needsKey: false },
    );
  });
});

describe('keys', () => {
  const env = { OPENAI_API_KEY: 'sk-env', GEMINI_API_KEY: 'gk-env' };
  const keyOf = (config: unknown, provider = 'openai') => resolved(config, env).providers[provider]?.apiKey;

  test('come from model, then the provider, then the environment, and are secrets', () => {
    const model = { provider: 'openai', model_id: 'gpt-4.1' };
    assert.equal(
      keyOf({ model: { ...model, api_key: 'sk-model' }, providers: { openai: { api_key: 'sk-p' } } }),
      'sk-model',
    );
    assert.equal(keyOf({ model, providers: { openai: { api_key: 'sk-p' } } }), 'sk-p');
    assert.equal(keyOf({ model }), 'sk-env');
    assert.equal(keyOf({}, 'google'), 'gk-env');
    assert.deepEqual([...modelSecrets(resolved({ model }, env))].sort(), ['gk-env', 'sk-env']);
  });

  test('of the environment go to nobody but the vendor', () => {
    const base_url = 'https://elsewhere.example/v1';
    assert.equal(keyOf({ model: { provider: 'openai', model_id: 'x', base_url } }), undefined);
    assert.equal(keyOf({ providers: { openai: { base_url } } }), undefined);
    assert.equal(keyOf({ providers: { openai: { base_url, api_key: 'mine' } } }), 'mine');
  });

  test('that are missing are told with the key to set, and nothing else is', () => {
    const say = (model: object) =>
      modelWarnings(resolved({ model }), tmpdir()).map(({ code, message }) => `${code} ${message}`);
    assert.match(
      say({ provider: 'groq', model_id: 'x' }).join(),
      /^model\.unconfigured Groq needs an API key\. Set providers\.groq\.api_key in openagent\.yaml, or the environment variable GROQ_API_KEY/,
    );
    assert.match(
      say({ provider: 'openai', api_key: 'k' }).join(),
      /No model of OpenAI is named\. Set model\.model_id/,
    );
    assert.deepEqual(say({ provider: 'ollama', model_id: 'llama3:8b' }), []);
    assert.deepEqual(say({ provider: 'echo' }), []);
    assert.equal(say({ provider: 'smart' }).length, 1);
    const nowhere = resolved({ model: { provider: 'mine', model_id: 'x' }, providers: { mine: {} } });
    assert.match(String(modelWarnings(nowhere, tmpdir())[0]?.message), /providers\.mine\.base_url/);
  });
});

describe('routing', () => {
  const priced = (id: string, output?: number) =>
    output === undefined ? id : { id, output_cost_per_million: output };
  const routingOf = (routing: unknown, models: readonly unknown[] = [], more = {}) =>
    resolved({ model: { provider: 'smart', routing }, providers: { openai: { models, ...more } } }).routing ??
    assert.fail();

  test('nothing said: the models there are, by price, an unknown price last', () => {
    const models = [priced('unknown'), priced('dear', 10), priced('cheap', 1), priced('off', 0.1)];
    const routing = routingOf(undefined, models, { disabled_models: ['off'] });
    assert.deepEqual(
      [routing.simple, routing.medium, routing.hard, routing.fallback, routing.classifier],
      ['openai:cheap', 'openai:dear', 'openai:unknown', 'openai:cheap', 'openai:cheap'],
    );
    assert.equal(routingOf(undefined).hard, 'openai:gpt-4.1');
  });

  test('a model may be listed as a runtime id; at an address of one’s own its name is as written', () => {
    const models = ['openai:gpt-4.1', { id: 'openai:gpt-4o', vision: false }, 'openai:off'];
    const disabled_models = ['openai:off'];
    const mine = { base_url: 'http://127.0.0.1:11434/v1', models: ['mistral:7b'] };
    const { routing, providers } = resolved({
      model: { provider: 'smart' },
      providers: { openai: { models, disabled_models }, mistral: mine },
    });
    assert.deepEqual(routing?.others, ['mistral:mistral:7b', 'openai:gpt-4.1', 'openai:gpt-4o']);
    assert.equal(providers.openai?.models.find(({ id }) => id === 'gpt-4o')?.vision, false);
  });

  test('a tier that is not said is the nearest one that is', () => {
    const tiers = ({ simple, medium, hard, fallback }: ReturnType<typeof routingOf>) =>
      [simple, medium, hard, fallback].map((id) => id.replace('openai:', ''));
    assert.deepEqual(tiers(routingOf({ simple: 'openai:a', hard: 'openai:c' }, ['z'])), ['a', 'a', 'c', 'a']);
    assert.deepEqual(tiers(routingOf({ hard: 'openai:c' })), ['c', 'c', 'c', 'c']);
    assert.deepEqual(tiers(routingOf({ fallback: 'openai:f' })), ['f', 'f', 'f', 'f']);
  });

  test('claude-cli cannot be a tier, which is told', () => {
    const { routing, doubts } = resolved({
      model: { provider: 'smart', routing: { simple: 'openai:a', hard: 'claude-cli/opus' } },
    });
    assert.equal(routing?.hard, 'openai:a');
    assert.match(doubts.join(), /model\.routing\.hard: claude-cli cannot be routed to/);
  });

  test('fallbacks and channels are runtime ids, and a fallback is one for any provider', () => {
    const settings = resolved({
      model: { provider: 'anthropic', fallbacks: ['groq:a', 'zhipu:b'], routing: { fallback: 'openai/c' } },
      channels: {
        websocket: { model: 'openai:gpt-4.1' },
        telegram: { model: 'litellm' },
        discord: { model: null },
      },
    });
    assert.deepEqual(settings.fallbacks, ['groq:a', 'zai:b', 'openai:c']);
    assert.deepEqual(settings.channels, { websocket: 'openai:gpt-4.1' });
    assert.match(settings.doubts.join(), /channels\.telegram\.model: no provider is known for "litellm"/);
  });
});

test('odd entries of providers are read for what they say, and harm nothing', () => {
  const { providers } = resolved({
    providers: {
      openai: null,
      zhipu: {
        models: [
          7,
          null,
          {},
          { model_id: 'm', output_cost_per_million: '1.5' },
          { id: 'n', input_cost_per_million: -1 },
        ],
      },
      'claude-cli': { permission_mode: 'auto' },
    },
  });
  assert.equal(providers.openai?.baseUrl, 'https://api.openai.com/v1');
  assert.deepEqual(providers.zai?.models, [
    { id: 'm', inputCostPerMillion: undefined, outputCostPerMillion: 1.5 },
    { id: 'n', inputCostPerMillion: undefined, outputCostPerMillion: undefined },
  ]);
  assert.equal(Object.hasOwn(providers, 'claude-cli'), false);
});

test('a call waits for any byte and for a piece of its answer as long as is said, or four and ten minutes', () => {
  const timesOf = ({ stallMs, progressMs }: ModelSettings) => [stallMs, progressMs];
  assert.deepEqual(timesOf(resolved({})), [240_000, 600_000]);
  const model = { timeout_ms: 5_000, progress_timeout_ms: 3_600_000 };
  assert.deepEqual(timesOf(resolved({ model })), [5_000, 3_600_000]);
});
