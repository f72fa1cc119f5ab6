import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { prepareAgent } from '../../src/supervisor/config/load-agent.ts';

const DIR = '/agents/alpha';

function toolsOf(yaml: string) {
  const agent = { id: 'alpha', dir: DIR };
  const options = { env: {}, homeDir: '/home/someone', overrides: {} };
  return prepareAgent(agent, join(DIR, 'openagent.yaml'), yaml, options);
}

test('tools: is resolved with absolute directories and its own defaults', () => {
  const { prepared, warnings } = toolsOf(`tools:
  policy: { files_write: allow, "github_*": ask, shell_run: deny }
  approval_ms: 5000
  files: { roots: [work, ~/shared, /srv/x] }
  shell: { enabled: yes, commands: git }
  web: { allow_hosts: [API.example.org, "127.0.0.1:8080", "[::1]:81"], deny_hosts: "*", ports: 8443 }
`);
  const { tools } = prepared.settings;
  assert.deepEqual(warnings, []);
  assert.deepEqual(tools.policy, { files_write: 'allow', 'github_*': 'ask', shell_run: 'deny' });
  assert.equal(tools.approvalMs, 5_000);
  assert.deepEqual(tools.files.roots, [join(DIR, 'work'), '/home/someone/shared', '/srv/x']);
  assert.equal(tools.shell.enabled, true);
  assert.deepEqual(tools.shell.commands, ['git']);
  assert.deepEqual(tools.web.allowHosts, ['api.example.org', '127.0.0.1:8080', '[::1]:81']);
  assert.deepEqual(tools.web.denyHosts, ['*']);
  assert.deepEqual(tools.web.ports, [8443]);
});

test('a wrong value in tools: refuses the agent with its key, an unknown key warns', () => {
  for (const [yaml, key] of [
    ['tools: { policy: { files_write: maybe } }', 'tools.policy.files_write'],
    ['tools: { approval_ms: 1 }', 'tools.approval_ms'],
    ['tools: { web: { ports: [0] } }', 'tools.web.ports'],
    ['tools: { web: { allow_hosts: ["http://example.org/"] } }', 'tools.web.allow_hosts'],
    ['tools: { shell: { enabled: perhaps } }', 'tools.shell.enabled'],
  ] as const) {
    assert.throws(() => toolsOf(yaml), {
      code: 'config.invalid',
      message: new RegExp(key.replaceAll('.', '\\.')),
    });
  }
  const { warnings } = toolsOf('tools: { shel: { enabled: true } }');
  assert.match(warnings[0]?.message ?? '', /tools\.shel|did you mean "shell"/);
});
