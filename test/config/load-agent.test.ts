// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of openagent.yaml are what is tested
import assert from 'node:assert/strict';
import { symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { type LimitName, MODEL_PROVIDERS } from '../../src/contract/config.ts';
import { DEFAULT_LIMITS, limitKey } from '../../src/contract/limits.ts';
import { BUILT_IN_MCPS } from '../../src/contract/mcp-settings.ts';
import { ECHO_SETTINGS } from '../../src/contract/model-settings.ts';
import { NO_SCHEDULE } from '../../src/contract/schedule-settings.ts';
import { DEFAULT_TOOLS } from '../../src/contract/tool-settings.ts';
import { modelLabel } from '../../src/models/registry.ts';
import { DEFAULT_SPEC } from '../../src/supervisor/child-spec.ts';
import { loadAgent } from '../../src/supervisor/config/load-agent.ts';
import { isLoopbackHost } from '../../src/supervisor/config/loopback.ts';
import { load, makeAgent } from './agent-directory.ts';

test('an empty file means every default', async (t) => {
  const { prepared, warnings, dir } = await load(t, '');
  assert.deepEqual(warnings, []);
  assert.deepEqual(prepared, {
    spec: { id: 'someone', dir, ...DEFAULT_SPEC },
    settings: {
      name: 'someone',
      systemPrompt: 'You are a helpful assistant.',
      model: { ...ECHO_SETTINGS, providers: prepared.settings.model.providers },
      gateway: {
        host: '127.0.0.1',
        token: undefined,
        allowedHosts: [],
        allowedOrigins: [],
        legacyRest: 'off',
      },
      mcp: { servers: [], builtins: BUILT_IN_MCPS },
      bridges: [],
      dbPath: join(dir, 'openagent.db'),
      uploads: { retentionDays: undefined, roots: [] },
      tools: { ...DEFAULT_TOOLS, files: { ...DEFAULT_TOOLS.files, roots: [dir] } },
      transcription: undefined,
      schedule: NO_SCHEDULE,
      vaultPath: join(dir, 'memories'),
      trashDays: 30,
      limits: DEFAULT_LIMITS,
      logging: { level: 'info', rotateBytes: 10 * 1024 * 1024, keepFiles: 5 },
      secrets: [],
    },
    isolation: 'thread',
    transport: 'auto',
    preferredPort: 8765,
  });
});

test('an empty section means the same as an absent one', async (t) => {
  const sections = [
    'model',
    'channels',
    'memory',
    'limits',
    'logging',
    'supervisor',
    'mcp',
    'scheduler',
    'tools',
  ];
  const { prepared, warnings } = await load(t, `${sections.map((name) => `${name}:\n`).join('')}name:\n`);
  const bare = await load(t, '');
  assert.deepEqual(prepared.settings.limits, bare.settings.limits);
  assert.equal(prepared.settings.name, 'someone');
  assert.equal(prepared.preferredPort, 8765);
  assert.deepEqual(warnings, []);
});

test('settings that survive a structured clone', async (t) => {
  const { prepared } = await load(t, 'channels: { mine: { when: 2026-01-02, n: 1.5, list: [a] } }\n');
  assert.deepEqual(structuredClone(prepared), prepared);
});

test('every limit can be set under its snake_case name', async (t) => {
  const names = Object.keys(DEFAULT_LIMITS) as LimitName[];
  const yaml = names.map((name, index) => `  ${limitKey(name)}: ${index + 1}`).join('\n');
  const { settings } = await load(t, `limits:\n${yaml}\n`);
  assert.deepEqual(settings.limits, Object.fromEntries(names.map((name, index) => [name, index + 1])));
});

test('supervisor and logging sections are taken over', async (t) => {
  const { spec, settings, isolation, transport } = await load(
    t,
    `supervisor: { restart: transient, intensity: 0, period_ms: 2, backoff_ms_min: 3, backoff_ms_max: 4,
  stable_ms: 5, start_timeout_ms: 6, drain_ms: 7, close_ms: 8, hang_ms: 900, native_stall_ms: 1000, isolation: process, transport: node, config_versions: 3 }
logging: { level: debug, rotate_bytes: 1_000_000, keep_files: 2 }
`,
  );
  const { id, dir, ...numbers } = spec;
  assert.deepEqual(numbers, {
    restart: 'transient',
    intensity: 0,
    periodMs: 2,
    backoffMsMin: 3,
    backoffMsMax: 4,
    stableMs: 5,
    startTimeoutMs: 6,
    drainMs: 7,
    closeMs: 8,
    hangMs: 900,
    nativeStallMs: 1_000,
    memorySoftBytes: undefined,
    memoryHardBytes: undefined,
    configVersions: 3,
  });
  assert.deepEqual([id, isolation, transport], ['someone', 'process', 'node']);
  assert.match(dir, /\/someone$/);
  assert.deepEqual(settings.logging, { level: 'debug', rotateBytes: 1_000_000, keepFiles: 2 });
});

test('one backoff bound moves the default of the other', async (t) => {
  const low = await load(t, 'supervisor: { backoff_ms_max: 100 }\n');
  assert.deepEqual([low.spec.backoffMsMin, low.spec.backoffMsMax], [100, 100]);
  const high = await load(t, 'supervisor: { backoff_ms_min: 60000 }\n');
  assert.deepEqual([high.spec.backoffMsMin, high.spec.backoffMsMax], [60_000, 60_000]);
});

test('variables are put in, with the default where they are unset or empty, and not twice', async (t) => {
  const env = { PORT: '9001', EMPTY: '', NESTED: '${PORT}' };
  const { settings, preferredPort } = await load(
    t,
    `name: "\${EMPTY:-fallback} \${UNSET:-}\${PORT}"
system_prompt: |
  \${NESTED}
# \${NOT_A_PROBLEM_IN_A_COMMENT}
channels: { websocket: { port: "\${PORT:-1}" } }
`,
    { env },
  );
  assert.equal(settings.name, 'fallback 9001');
  assert.equal(settings.systemPrompt, '${PORT}\n');
  assert.equal(preferredPort, 9001);
});

test('a variable named like a property of every object is still unset', async (t) => {
  const { settings } = await load(t, 'name: ${constructor:-plain}\n');
  assert.equal(settings.name, 'plain');
});

test('~ and relative paths are resolved', async (t) => {
  const { settings, dir } = await load(t, 'memory: { db_path: data/x.db, vault_path: ~/vault }\n');
  assert.equal(settings.dbPath, join(dir, 'data/x.db'));
  assert.equal(settings.vaultPath, '/home/somebody/vault');
  const { settings: own } = await load(t, 'memory: { vault_path: "~" }\n', { homeDir: homedir() });
  assert.equal(own.vaultPath, homedir());
});

test('the id is the base name as given, the directory is the real one', async (t) => {
  const dir = await makeAgent(t, '', 'real');
  await symlink(dir, join(dirname(dir), 'alias'));
  const link = `${join(dirname(dir), 'alias')}/`;
  const { prepared } = await loadAgent(link, { env: {}, homeDir: '/', overrides: {} });
  assert.deepEqual([prepared.spec.id, prepared.spec.dir], ['alias', dir]);
  assert.equal(prepared.settings.dbPath, join(dir, 'openagent.db'));
});

test('the command line wins over the file', async (t) => {
  const yaml =
    'channels: { websocket: { host: 127.0.0.2, port: 1, token: from-file } }\nlogging: { level: warn }\n';
  const overrides = {
    host: '0.0.0.0',
    port: 0,
    token: 'from-outside',
    transport: 'node',
    isolation: 'process',
    logLevel: 'debug',
  } as const;
  const { settings, preferredPort, transport, isolation } = await load(t, yaml, { overrides });
  assert.equal(settings.gateway.host, '0.0.0.0');
  assert.equal(settings.gateway.token, 'from-outside');
  assert.deepEqual([preferredPort, transport, isolation], [0, 'node', 'process']);
  assert.equal(settings.logging.level, 'debug');
});

test('the token comes from the file, else from the environment; an empty one is none', async (t) => {
  const tokenOf = async (yaml: string, variable: string | undefined) =>
    (await load(t, yaml, { env: { OPENAGENT_WS_TOKEN: variable } })).settings.gateway.token;
  const inFile = 'channels: { websocket: { token: from-file } }\n';
  const emptyInFile = 'channels: { websocket: { token: "" } }\n';
  assert.equal(await tokenOf(inFile, 'from-env'), 'from-file');
  assert.equal(await tokenOf(emptyInFile, 'from-env'), 'from-env');
  assert.equal(await tokenOf('', 'from-env'), 'from-env');
  assert.equal(await tokenOf(emptyInFile, ''), undefined);
  assert.equal(await tokenOf('', undefined), undefined);
});

test('a public host is fine with a token, and so is every loopback one without', async (t) => {
  const env = { OPENAGENT_WS_TOKEN: 'from-env' };
  assert.equal((await load(t, 'channels: { websocket: { host: 0.0.0.0 } }\n', { env })).warnings.length, 0);
  for (const host of ['127.0.0.1', '127.8.9.1', '"::1"', '"[::1]"', 'LocalHost', '0:0:0:0:0:0:0:1']) {
    await load(t, `channels: { websocket: { host: ${host.replace(/^0:.*/, '"$&"')} } }\n`);
  }
  for (const host of [
    '0.0.0.0',
    '::',
    '127.example.org',
    '10.0.0.1',
    '::ffff:127.0.0.1',
    '1::1',
    '::2',
    '',
  ]) {
    assert.equal(isLoopbackHost(host), false, host);
  }
});

test('every provider of the reference is accepted, aliases under their real name', async (t) => {
  for (const provider of MODEL_PROVIDERS) await load(t, `model: { provider: ${provider} }\n`);
  const { settings } = await load(t, 'model: { provider: zhipu, model_id: glm-5 }\n');
  assert.deepEqual([settings.model.provider, settings.model.modelId], ['zai', 'glm-5']);
});

test('a model without provider is agno where it is named, as in the reference, and echo otherwise', async (t) => {
  const named = await load(t, 'model: { model_id: "openai:gpt-4o" }\n');
  assert.equal(modelLabel(named.settings.model), 'openai:gpt-4o');
  const echo = await load(t, 'model: { delay_ms: "20" }\n');
  assert.deepEqual([echo.settings.model.provider, echo.settings.model.delayMs], ['echo', 20]);
});

test('numbers and words arrive as what they were meant', async (t) => {
  const { settings } = await load(
    t,
    `name: 42
channels:
  websocket: { token: 0123456 }
  telegram: { allowed_users: 5 }
  discord: { allowed_users: [112233445566778899001, "6", +39123], dm_only: yes }
  mine: { phone: +39123, ratio: 1.50, big: 112233445566778899001, on: true }
`,
  );
  assert.equal(settings.name, '42');
  assert.equal(settings.gateway.token, '0123456');
  assert.deepEqual(settings.bridges, [
    { name: 'telegram', config: { allowed_users: ['5'] } },
    { name: 'discord', config: { allowed_users: ['112233445566778899001', '6', '+39123'], dm_only: true } },
    { name: 'mine', config: { phone: '+39123', ratio: 1.5, big: '112233445566778899001', on: true } },
  ]);
});

test('a bridge of the user needs no settings, a section of ours that was commented out is none', async (t) => {
  const { settings } = await load(t, 'channels:\n  websocket:\n  telegram:\n  mine:\n');
  assert.deepEqual(settings.bridges, [{ name: 'mine', config: {} }]);
});

test('speech goes to a program, or to a provider with its address and key; to nobody who is not known', async (t) => {
  const speech = async (text: string) => (await load(t, text)).prepared.settings.transcription;
  const env = 'providers: { mine: { api_key: k, base_url: "http://127.0.0.1:9/v1/" } }\n';
  assert.deepEqual(await speech(`${env}transcription: { provider: mine, timeout_ms: 5 }`), {
    ...{ baseUrl: 'http://127.0.0.1:9/v1', apiKey: 'k', modelId: 'whisper-1', timeoutMs: 5 },
  });
  assert.deepEqual(await speech('transcription: { provider: openai, command: [whisper, "{file}"] }'), {
    ...{ command: ['whisper', '{file}'], timeoutMs: 120_000 },
  });
  await assert.rejects(speech('transcription: { provider: nobody }'), /transcription\.provider/);
  for (const mine of ['', '{ api_key: k }', '{ base_url: " " }']) {
    await assert.rejects(
      speech(`transcription: { provider: mine }\nproviders:\n  mine: ${mine}\n`),
      /openagent\.yaml:1:28 transcription\.provider: expected .*providers\.mine a base_url, got "mine"/,
    );
  }
  assert.ok(await speech('transcription: { provider: mistral }\nproviders: { mistral: { api_key: k } }'));
});

test('merge keys work', async (t) => {
  const { settings } = await load(
    t,
    'services: &base { provider: echo, delay_ms: 7 }\nmodel: { <<: *base, delay_ms: 8 }\n',
  );
  assert.deepEqual([settings.model.provider, settings.model.delayMs], ['echo', 8]);
});

test('hosts and origins are brought into one form', async (t) => {
  const { settings } = await load(
    t,
    `channels:
  websocket:
    allowed_hosts: [Agents.Example.ORG, "[2001:DB8::1]"]
    allowed_origins: HTTPS://App.example.org:8443/
`,
  );
  assert.deepEqual(settings.gateway.allowedHosts, ['agents.example.org', '2001:db8::1']);
  assert.deepEqual(settings.gateway.allowedOrigins, ['https://app.example.org:8443']);
});
