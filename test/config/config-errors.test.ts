// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of openagent.yaml are what is tested
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { loadAgent } from '../../src/supervisor/config/load-agent.ts';
import { failToLoad, load, makeAgent, makeTempDir } from './agent-directory.ts';

const OPTIONS = { env: {}, homeDir: '/home/somebody', overrides: {} };

test('a wrong value names file, line, column, key and what was expected', async (t) => {
  const error = await failToLoad(t, 'name: a\nchannels:\n  websocket:\n    port: abc\n');
  assert.equal(error.code, 'config.invalid');
  assert.equal(
    error.message,
    'openagent.yaml:4:11 channels.websocket.port: expected a number from 0 to 65535, got "abc"',
  );
  assert.deepEqual(error.details, [
    {
      file: join(error.dir, 'openagent.yaml'),
      line: 4,
      column: 11,
      key: 'channels.websocket.port',
      expected: 'a number from 0 to 65535',
    },
  ]);
});

test('all wrong values of a file are told at once, from top to bottom', async (t) => {
  const error = await failToLoad(
    t,
    'supervisor: { restart: always }\nlimits:\n  sockets: 0\nchannels:\n  websocket: { port: 99999 }\n',
  );
  assert.equal(
    error.message,
    'openagent.yaml:1:24 supervisor.restart: expected one of permanent, transient, temporary, got "always"; ' +
      'line 3:12 limits.sockets: expected a whole number from 1 to 2147483647, got 0; ' +
      'line 5:22 channels.websocket.port: expected a number from 0 to 65535, got 99999',
  );
  assert.equal((error.details as unknown[]).length, 3);
});

test('text that is not YAML is told with its line and column', async (t) => {
  const error = await failToLoad(t, 'name: a\nmodel:\n\tprovider: echo\n');
  assert.equal(error.code, 'config.invalid');
  assert.match(error.message, /^openagent\.yaml:3:1 not valid YAML: Tabs/);
});

test('a variable in a flow mapping without quotes is explained', async (t) => {
  const error = await failToLoad(t, 'channels:\n  websocket: { token: ${TOKEN} }\n');
  assert.match(error.message, /^openagent\.yaml:2:24 not valid YAML: .*needs quotes: "\$\{NAME\}"/);
});

test('a variable that is not set is told where it stands', async (t) => {
  const error = await failToLoad(t, 'model:\n  api_key: "sk-${VENDOR_KEY}"\n');
  assert.equal(error.code, 'config.variable_missing');
  assert.equal(
    error.message,
    'openagent.yaml:2:16 model.api_key: the environment variable VENDOR_KEY is not set; ' +
      'set it, or give a default: ${VENDOR_KEY:-…}',
  );
});

test('an unknown model provider names the known ones and the one that was meant', async (t) => {
  const error = await failToLoad(t, 'model:\n  provider: antropic\n');
  assert.match(error.message, /^openagent\.yaml:2:13 model\.provider: expected one of echo, claude-cli, /);
  assert.match(error.message, /got "antropic"; did you mean "anthropic"\?$/);
});

test('a value missing in a list item is told at that item', async (t) => {
  const error = await failToLoad(t, 'scheduler:\n  tasks:\n    - name: x\n      prompt: y\n');
  assert.equal(
    error.message,
    'openagent.yaml:3:7 scheduler.tasks.0.cron: expected a cron expression, got nothing',
  );
});

test('a wrong value behind an alias is told where the anchor stands', async (t) => {
  const error = await failToLoad(t, 'services: &bad { port: x }\nchannels:\n  websocket: *bad\n');
  assert.match(error.message, /^openagent\.yaml:1:24 channels\.websocket\.port: /);
});

test('neither a secret nor the value of a variable gets into an error', async (t) => {
  const plain = await failToLoad(t, 'logging:\n  level: hidden-value\n');
  assert.match(plain.message, /got "hidden-value"/);
  const variable = await failToLoad(t, 'logging:\n  level: ${LEVEL}\n', { env: { LEVEL: 'hidden-value' } });
  assert.match(variable.message, /got the value of \$\{LEVEL\}$/);
  const nested = await failToLoad(t, 'model:\n  api_key: [hidden-value]\n');
  assert.match(nested.message, /^openagent\.yaml:2:12 model\.api_key: expected text, got a list$/);
});

test('of a key given twice the last one is told of, because it counts', async (t) => {
  const error = await failToLoad(t, 'logging:\n  level: info\n  level: loud\n');
  assert.match(error.message, /^openagent\.yaml:3:10 logging\.level: /);
});

test('a file that is no mapping is refused', async (t) => {
  const error = await failToLoad(t, '- name: a\n');
  assert.equal(error.message, 'openagent.yaml:1:1 expected a mapping, got a list');
});

test('aliases that multiply are refused', async (t) => {
  const levels = Array.from({ length: 9 }, (_, i) => {
    const inner =
      i === 0
        ? '[x, x, x, x, x, x, x, x, x]'
        : `[${Array(9)
            .fill(`*l${i - 1}`)
            .join(', ')}]`;
    return `l${i}: &l${i} ${inner}`;
  });
  const error = await failToLoad(t, levels.join('\n'));
  assert.equal(error.code, 'config.invalid');
  assert.match(error.message, /alias/);
});

test('an alias of itself and thousands of levels are refused, not a crash', async (t) => {
  const cyclic = await failToLoad(t, 'services: &a [*a]\n');
  assert.match(cyclic.message, /at most 64 levels/);
  const deep = await failToLoad(t, `services: ${'['.repeat(20_000)}${']'.repeat(20_000)}\n`);
  assert.equal(deep.code, 'config.invalid');
});

test('a file of more than 256 KiB is refused, one of exactly that is read', async (t) => {
  const line = 'name: a\n#';
  const ofSize = (size: number) => line + '#'.repeat(size - line.length);
  assert.equal((await load(t, ofSize(256 * 1024))).settings.name, 'a');
  const error = await failToLoad(t, ofSize(256 * 1024 + 1));
  assert.equal(error.code, 'config.unreadable');
  assert.match(error.message, /larger than 256 KiB/);
});

test('a configuration that is missing or a directory is unreadable, by its full path', async (t) => {
  const dir = await makeTempDir(t);
  const missing = { code: 'config.unreadable', message: new RegExp(`^${dir}/openagent.yaml cannot be read`) };
  await assert.rejects(loadAgent(dir, OPTIONS), missing);
  await mkdir(join(dir, 'openagent.yaml'));
  await assert.rejects(loadAgent(dir, OPTIONS), { code: 'config.unreadable', message: /not a regular file/ });
});

test('a pipe in place of the configuration does not make the start wait', async (t) => {
  const dir = await makeTempDir(t);
  await promisify(execFile)('mkfifo', [join(dir, 'openagent.yaml')]);
  await assert.rejects(loadAgent(dir, OPTIONS), { code: 'config.unreadable', message: /not a regular file/ });
});

test('a file this user may not read is unreadable', async (t) => {
  if (process.getuid?.() === 0) return t.skip('root may read everything');
  const dir = await makeAgent(t, 'name: a\n');
  await chmod(join(dir, 'openagent.yaml'), 0);
  await assert.rejects(loadAgent(dir, OPTIONS), { code: 'config.unreadable' });
});

test('what is wrong with one agent does not touch another', async (t) => {
  const good = await makeAgent(t, 'name: good\n', 'good');
  const bad = await makeAgent(t, 'name: [\n', 'bad');
  const [first, second] = await Promise.allSettled([loadAgent(bad, OPTIONS), loadAgent(good, OPTIONS)]);
  assert.equal(first.status, 'rejected');
  assert.equal(second.status, 'fulfilled');
});

test('a public host without token fails with the mend, and where the host was set', async (t) => {
  const error = await failToLoad(t, 'channels:\n  websocket:\n    host: 0.0.0.0\n');
  assert.equal(error.code, 'bind.public_without_token');
  assert.equal(
    error.message,
    'openagent.yaml:3:11 channels.websocket.host: host 0.0.0.0 can be reached from other machines and no ' +
      'token is set; set channels.websocket.token (or OPENAGENT_WS_TOKEN), or bind host 127.0.0.1',
  );
});

test('a public host from the command line needs a token as well', async (t) => {
  const error = await failToLoad(t, '', { overrides: { host: '::' } });
  assert.equal(error.code, 'bind.public_without_token');
  assert.match(error.message, /^--host: host :: can be reached/);
});

test('a port from the command line outside the range is refused', async (t) => {
  assert.equal((await failToLoad(t, '', { overrides: { port: 65_536 } })).code, 'bind.port_invalid');
});

test('the longest backoff may not be below the shortest', async (t) => {
  const error = await failToLoad(t, 'supervisor:\n  backoff_ms_min: 500\n  backoff_ms_max: 100\n');
  assert.equal(
    error.message,
    'openagent.yaml:3:19 supervisor.backoff_ms_max: expected at least backoff_ms_min, which is 500',
  );
});

test('the soft limit of memory may not be above the hard one', async (t) => {
  const error = await failToLoad(t, 'supervisor:\n  memory_soft_mb: 300\n  memory_hard_mb: 200\n');
  assert.equal(
    error.message,
    'openagent.yaml:2:19 supervisor.memory_soft_mb: expected at most memory_hard_mb',
  );
});

test('a byte order mark and Windows line ends do not shift places', async (t) => {
  const dir = await makeAgent(t, '');
  await writeFile(join(dir, 'openagent.yaml'), '\uFEFFname: a\r\nlogging:\r\n  level: loud\r\n');
  await assert.rejects(loadAgent(dir, OPTIONS), { message: /openagent\.yaml:3:10 logging\.level: / });
});
