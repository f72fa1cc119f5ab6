import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BUILT_IN_MCPS } from '../../src/contract/mcp-settings.ts';
import { splitWords } from '../../src/supervisor/config/resolve-mcp.ts';
import { load } from './agent-directory.ts';

const plain = { enabled: true, trustAnnotations: undefined, pinTools: false };

test('each shape of an entry becomes a server', async (t) => {
  const { prepared, warnings } = await load(
    t,
    `mcp:
  - {name: files, command: [npx, -y], args: [server, /tmp], env: {KEY: a-secret, N: 7}}
  - {name: text, command: npx -y 'my server' --root="/a b"}
  - {name: remote, url: "https://mcp.example.org/mcp", headers: {Authorization: Bearer other-secret}, enabled: false}
  - {name: old, url: "http://127.0.0.1:1/sse", transport: sse, trust_annotations: true, pin_tools: yes}
`,
  );
  assert.deepEqual(warnings, []);
  assert.deepEqual(prepared.settings.mcp.servers, [
    {
      name: 'files',
      ...plain,
      target: {
        transport: 'stdio',
        command: ['npx', '-y', 'server', '/tmp'],
        env: { KEY: 'a-secret', N: '7' },
      },
    },
    {
      name: 'text',
      ...plain,
      target: { transport: 'stdio', command: ['npx', '-y', 'my server', '--root=/a b'], env: {} },
    },
    {
      name: 'remote',
      ...plain,
      enabled: false,
      target: {
        transport: 'auto',
        url: 'https://mcp.example.org/mcp',
        headers: { Authorization: 'Bearer other-secret' },
      },
    },
    {
      name: 'old',
      ...plain,
      trustAnnotations: true,
      pinTools: true,
      target: { transport: 'sse', url: 'http://127.0.0.1:1/sse', headers: {} },
    },
  ]);
  for (const secret of ['a-secret', 'other-secret']) {
    assert.ok(prepared.settings.secrets.includes(secret), secret);
  }
});

test('an entry that cannot be a server is left out and told, with its place', async (t) => {
  const { prepared, warnings } = await load(
    t,
    `mcp:
  - {command: [npx]}
  - {name: nothing}
  - {name: scheme, url: "ftp://example.org"}
  - {name: both, command: [one], url: "https://example.org"}
  - {name: both, command: [two]}
  - {builtin: computer-control}
  - {builtin: vualt}
mcp_disable: [nobody]
`,
  );
  assert.deepEqual(
    prepared.settings.mcp.servers.map(({ name, target }) => [name, target.transport]),
    [['both', 'stdio']],
  );
  const told = warnings.map(({ code, message }) => [code, message.replace(/^.*openagent\.yaml:/, '')]);
  assert.deepEqual(
    told.map(([, message]) => message?.replace(/^(\d+):\d+ /, '$1 ').slice(0, 60)),
    [
      '9 mcp_disable.0: there is no default "nobody"; set enabled: ',
      '2 mcp.0.name: a server needs a name; ignored',
      '3 mcp.1: a server needs a command or a url; ignored',
      '4 mcp.2.url: is no http or https URL; the server is ignored',
      '5 mcp.3.url: has no effect beside command',
      '6 mcp.4.name: "both" stands here twice; the first one counts',
      '7 mcp.5.builtin: "computer-control" is not built in here, an',
      '8 mcp.6.builtin: "vualt" is not built in here, and is ignore',
    ],
  );
  assert.match(String(told[7]), /did you mean "vault"/);
  assert.ok(told.every(([code]) => code === 'config.doubtful'));
});

test('built-in tools are those of the defaults that are not disabled, and those asked for', async (t) => {
  const builtins = async (text: string) => (await load(t, text)).prepared.settings.mcp.builtins;
  assert.deepEqual(await builtins(''), BUILT_IN_MCPS);
  assert.deepEqual(await builtins('mcp_disable: [shell, web-search, messaging]'), [
    'vault',
    'filesystem',
    'editor',
    'scheduler',
  ]);
  assert.deepEqual(
    await builtins('mcp_defaults: false\nmcp: [{builtin: vault}, {builtin: shell, enabled: no}]'),
    ['vault'],
  );
  const replaced = await builtins('mcp: [{name: filesystem, command: [mine]}]');
  assert.ok(!replaced.includes('filesystem'), 'a server of its name takes its place');
});

test('a command in one text is split as a person would read it', () => {
  assert.deepEqual(splitWords(`  a  "b c" d'e f'g "" 'half`), ['a', 'b c', 'de fg', '', 'half']);
  assert.deepEqual(splitWords('C:\\\\node.exe --x'), ['C:\\\\node.exe', '--x']);
});
