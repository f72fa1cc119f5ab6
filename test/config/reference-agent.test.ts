import assert from 'node:assert/strict';
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadAgent } from '../../src/supervisor/config/load-agent.ts';
import { discover } from '../../src/supervisor/discovery.ts';
import { makeTempDir } from './agent-directory.ts';

const FIXTURE = fileURLToPath(new URL('../fixtures/reference-agent', import.meta.url));

test('a directory of the reference is found and loads without a warning', async (t) => {
  const root = await makeTempDir(t);
  const dir = join(root, 'casa');
  await cp(FIXTURE, dir, { recursive: true });
  const before = await readFile(join(dir, 'openagent.yaml'), 'utf8');

  const { agents, refused, created } = await discover([dir], root);
  assert.deepEqual({ agents, refused, created }, { agents: [{ id: 'casa', dir }], refused: [], created: [] });
  const { prepared, warnings } = await loadAgent(dir, {
    env: { REFERENCE_OPENAI_KEY: 'sk-reference' },
    homeDir: '/home/somebody',
    overrides: {},
  });

  assert.deepEqual(warnings, []);
  const { settings } = prepared;
  assert.equal(settings.name, 'casa');
  const { provider, modelId, permissionMode, monthlyBudget, providers } = settings.model;
  assert.deepEqual(
    { provider, modelId, permissionMode, monthlyBudget },
    { provider: 'claude-cli', modelId: 'claude-sonnet-4-6', permissionMode: 'bypass', monthlyBudget: 25 },
  );
  assert.deepEqual(providers.openai, {
    wire: 'openai',
    baseUrl: 'https://api.openai.com/v1',
    apiKey: 'sk-reference',
    needsKey: true,
    models: [
      { id: 'gpt-4o-mini', inputCostPerMillion: undefined, outputCostPerMillion: undefined },
      { id: 'gpt-4.1', inputCostPerMillion: 2, outputCostPerMillion: 8 },
    ],
    disabledModels: ['gpt-4.1'],
  });
  assert.equal(settings.gateway.host, '127.0.0.1');
  assert.equal(settings.gateway.token, 'reference-token');
  assert.equal(settings.vaultPath, '/home/somebody/vaults/casa');
  assert.deepEqual(
    settings.bridges.map(({ name, config }) => [name, config.allowed_users]),
    [
      ['telegram', ['123456789', '987654321']],
      ['discord', ['112233445566778899001']],
    ],
  );
  for (const secret of ['sk-reference', 'ghp_reference_fixture', 'hunter22', 'reference-bearer']) {
    assert.ok(settings.secrets.includes(secret), secret);
  }
  assert.equal(await readFile(join(dir, 'openagent.yaml'), 'utf8'), before);
});
