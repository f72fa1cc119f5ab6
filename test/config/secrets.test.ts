// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of openagent.yaml are what is tested
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { load } from './agent-directory.ts';

test('every secret of a configuration is collected, the longest first', async (t) => {
  const env = { GATEWAY: 'gateway-secret', MY_API_KEY: 'in-the-prompt', OPENAGENT_WS_TOKEN: 'unused-token' };
  const { settings } = await load(
    t,
    `system_prompt: "call it with \${MY_API_KEY}"
model: { provider: openai, api_key: sk-model }
providers:
  openai: { api_key: sk-provider, base_url: "https://user:p%40ss@proxy.example.org/v1?token=in-query" }
channels:
  websocket: { token: "\${GATEWAY}" }
  whatsapp: { green_api_id: 1101, green_api_token: green-secret }
  mine: { accessToken: 87654321, privateKey: key-of-mine, max_tokens: 123456, keyboard: italian, pin_secret: abc }
mcp:
  - name: x
    command: [run, --api-key, after-flag, --password=behind-equals, --verbose, visible-word]
    env: { REGION: eu-south-1, DEBUG: "true", LEVEL: info, PORT: 8080 }
    headers: { Authorization: Bearer bearer-secret }
`,
    { env },
  );
  const expected = [
    'in-the-prompt',
    'sk-model',
    'sk-provider',
    'user:p%40ss',
    'p%40ss',
    'p@ss',
    'in-query',
    'gateway-secret',
    'green-secret',
    '87654321',
    'key-of-mine',
    'after-flag',
    'behind-equals',
    'eu-south-1',
    'Bearer bearer-secret',
    'bearer-secret',
  ];
  assert.deepEqual([...settings.secrets].sort(), [...expected].sort());
  const lengths = settings.secrets.map(({ length }) => length);
  assert.deepEqual(
    lengths,
    [...lengths].sort((a, b) => b - a),
  );
});

test('a token from the environment or the command line is a secret too', async (t) => {
  const env = { OPENAGENT_WS_TOKEN: 'from-env' };
  assert.deepEqual((await load(t, '', { env })).settings.secrets, ['from-env']);
  const overrides = { token: 'from-outside' };
  assert.deepEqual((await load(t, '', { env, overrides })).settings.secrets, ['from-outside']);
});
