import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { createFileTools } from '../../src/tools/file-tools.ts';
import type { ToolResult } from '../../src/tools/tool.ts';
import { tempDir } from '../fixtures/turns.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 150);
const MAX_BYTES = 10_000;

/** An agent's directory as it stands on the disk, and one beside it. */
async function setUp(t: TestContext, roots?: (base: string) => readonly string[]) {
  const base = await tempDir(t);
  const dir = join(base, 'agent');
  const outside = join(base, 'outside');
  for (const each of ['agent/bridges', 'agent/logs', 'agent/.config-versions', 'agent/memories', 'outside']) {
    await mkdir(join(base, each), { recursive: true });
  }
  const files = [
    'openagent.yaml',
    'openagent.db',
    'openagent.db-wal',
    'vault-index.db',
    'custom.store',
    'custom.store-wal',
  ];
  const hidden = ['.lock', '.writer', '.port', '.crumb', '.children.json', '.env', '.config-versions/1.yaml'];
  for (const name of [...files, ...hidden, 'bridges/mine.ts', 'logs/events.jsonl']) {
    await writeFile(join(dir, name), 'canary');
  }
  await writeFile(join(outside, 'secret.txt'), 'canary');
  await writeFile(join(dir, 'notes.txt'), 'first\nSecond line\nthird');
  const settings = { roots: roots?.(base) ?? [dir], maxBytes: MAX_BYTES };
  const privateFiles = [join(dir, 'custom.store'), join(dir, 'openagent.yaml')];
  const tools = createFileTools({ settings, privateFiles }).tools();
  const call = async (name: string, input: Record<string, unknown>): Promise<ToolResult> => {
    const tool = tools.find((each) => each.name === name);
    assert.ok(tool, name);
    const signal = new AbortController().signal;
    return tool.run(input, { signal, turnId: '1', sessionId: 'S', report: () => {} });
  };
  return { base, dir, outside, call };
}

const isRefused = { code: 'file.refused' };
const OWN = [
  ...[
    'openagent.yaml',
    'openagent.yml',
    'openagent.yaml.bak',
    'openagent.db',
    'openagent.db-wal',
    'openagent.db-shm',
  ],
  ...[
    'vault-index.db',
    'custom.store',
    'custom.store-wal',
    '.lock',
    '.lock.tmp',
    '.writer',
    '.port',
    '.crumb',
    '.env',
  ],
  ...[
    '.env.local',
    '.children.json',
    '.config-versions/1.yaml',
    'OpenAgent.YAML',
    'sub/openagent.yaml',
    'other.sqlite',
  ],
];

test('what makes the agent what it is, is neither read nor written', async (t) => {
  const { call, dir } = await setUp(t);
  for (const path of OWN) {
    await assert.rejects(call('files_read', { path }), isRefused, `read ${path}`);
    const write = { path, content: 'x', if_exists: 'overwrite' };
    await assert.rejects(call('files_write', write), isRefused, `write ${path}`);
    await assert.rejects(
      call('files_write', { ...write, path: join(dir, path) }),
      isRefused,
      `write ${path}`,
    );
  }
  for (const path of ['bridges/mine.ts', 'bridges/new.ts', 'logs/events.jsonl']) {
    await assert.rejects(
      call('files_write', { path, content: 'x', if_exists: 'overwrite' }),
      isRefused,
      path,
    );
  }
});

test('it is neither listed nor found', async (t) => {
  const { call } = await setUp(t);
  const listed = (await call('files_list', { depth: 3 })).text.split('\n');
  assert.deepEqual(listed, [
    ...['bridges/', 'logs/', 'memories/', 'notes.txt (23 bytes)'],
    ...['bridges/mine.ts (6 bytes)', 'logs/events.jsonl (6 bytes)'],
  ]);
  const found = (await call('files_search', { text: 'CANARY' })).text.split('\n');
  assert.deepEqual(found, ['bridges/mine.ts:1: canary', 'logs/events.jsonl:1: canary']);
});

test('the configuration of another agent is out of reach too, whatever name it really has', async (t) => {
  const { call, base, dir } = await setUp(t, (at) => [at]);
  const other = join(base, 'other');
  await mkdir(join(other, 'conf'), { recursive: true });
  await writeFile(join(other, 'conf/real.yaml'), 'canary: other');
  await symlink('conf/real.yaml', join(other, 'openagent.yaml'));
  for (const path of [
    'other/openagent.yaml',
    'other/conf/real.yaml',
    'agent/openagent.yaml',
    'other/bridges/x.ts',
  ]) {
    await assert.rejects(
      call('files_write', { path, content: 'x', if_exists: 'overwrite' }),
      isRefused,
      path,
    );
  }
  await assert.rejects(call('files_read', { path: 'other/conf/real.yaml' }), isRefused);
  assert.doesNotMatch((await call('files_search', { text: 'canary: other' })).text, /canary/);
  assert.equal(await readFile(join(dir, 'openagent.yaml'), 'utf8'), 'canary');
});

test('no path and no link leads out of the roots', async (t) => {
  const { call, dir, outside } = await setUp(t);
  await symlink(outside, join(dir, 'way-out'));
  await symlink(join(outside, 'secret.txt'), join(dir, 'link.txt'));
  await symlink(join(outside, 'new.txt'), join(dir, 'dangling.txt'));
  await symlink('.env', join(dir, 'inside.txt'));
  const ways = [
    '../outside/secret.txt',
    '/etc/passwd',
    join(outside, 'secret.txt'),
    'way-out/secret.txt',
    'link.txt',
  ];
  for (const path of [...ways, 'dangling.txt', 'inside.txt', 'x\0y', 'memories/../../outside/secret.txt']) {
    await assert.rejects(call('files_read', { path }), isRefused, `read ${path}`);
    const write = { path, content: 'x', if_exists: 'overwrite' };
    await assert.rejects(call('files_write', write), isRefused, `write ${path}`);
  }
  await assert.rejects(call('files_list', { path: 'way-out' }), isRefused);
  assert.deepEqual(await readdir(outside), ['secret.txt']);
  assert.doesNotMatch((await call('files_search', { text: 'canary', path: 'memories' })).text, /canary/);
});

test('a link that stays within the roots is followed', async (t) => {
  const { call, dir } = await setUp(t);
  await symlink('notes.txt', join(dir, 'alias.txt'));
  assert.equal((await call('files_read', { path: 'alias.txt' })).text, 'first\nSecond line\nthird');
});

test('files are written whole, for their owner, and replaced only when told so', async (t) => {
  const { call, dir } = await setUp(t);
  const path = 'new/deep/list.txt';
  assert.match((await call('files_write', { path, content: 'Milk' })).text, /created/);
  assert.match((await call('files_write', { path, content: 'Milk' })).text, /already/);
  await assert.rejects(call('files_write', { path, content: 'Bread' }), { code: 'tool.failed' });
  assert.match(
    (await call('files_write', { path, content: 'Bread', if_exists: 'overwrite' })).text,
    /replaced/,
  );
  assert.equal(await readFile(join(dir, path), 'utf8'), 'Bread');
  assert.equal((await stat(join(dir, path))).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(join(dir, 'new/deep')), ['list.txt']);
});

test('some lines of a file are read', async (t) => {
  const { call } = await setUp(t);
  assert.equal(
    (await call('files_read', { path: 'notes.txt', first_line: 2, lines: 1 })).text,
    'Second line',
  );
  assert.match((await call('files_read', { path: 'notes.txt', first_line: 9 })).text, /3 lines/);
});

test('binary files, large ones, directories and what is not there are told apart', async (t) => {
  const { call, dir } = await setUp(t);
  await writeFile(join(dir, 'a.bin'), Buffer.from([1, 0, 2]));
  await writeFile(join(dir, 'latin.txt'), Buffer.from([0xe9, 0x20]));
  await writeFile(join(dir, 'big.txt'), 'x'.repeat(MAX_BYTES + 1));
  await assert.rejects(call('files_read', { path: 'a.bin' }), /binary/);
  await assert.rejects(call('files_read', { path: 'latin.txt' }), /binary/);
  await assert.rejects(call('files_read', { path: 'big.txt' }), /10001 bytes/);
  await assert.rejects(call('files_read', { path: 'memories' }), /directory/);
  await assert.rejects(call('files_read', { path: 'gone.txt' }), { code: 'file.not_found' });
  await assert.rejects(
    call('files_write', { path: 'w.txt', content: 'x'.repeat(MAX_BYTES + 1) }),
    /10001 bytes/,
  );
});

test('a search is literal, within its limit, and by name where that is wanted', async (t) => {
  const { call } = await setUp(t);
  assert.equal((await call('files_search', { text: 'second LINE' })).text, 'notes.txt:2: Second line');
  assert.equal((await call('files_search', { text: 'second', ignore_case: false })).text, 'Nothing found.');
  assert.equal((await call('files_search', { text: 'S.*d' })).text, 'Nothing found.');
  assert.match(
    (await call('files_search', { text: 'r', limit: 1 })).text,
    /^\S+: .*\n\(There may be more\.\)$/,
  );
  assert.equal((await call('files_search', { name: '*.txt' })).text, 'notes.txt');
  assert.equal((await call('files_search', { text: 'third', path: 'notes.txt' })).text, 'notes.txt:3: third');
});

test('property: whatever path is written, nothing outside and nothing of the agent changes', async (t) => {
  const { call, dir, outside } = await setUp(t);
  await symlink(outside, join(dir, 'way-out'));
  const part = fc.constantFrom(
    '..',
    '.',
    '',
    'memories',
    'way-out',
    'openagent.yaml',
    '.lock',
    'a',
    'bridges',
    'secret.txt',
    '/',
  );
  const before = await readdir(dir);
  await fc.assert(
    fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 6 }), async (parts) => {
      await call('files_write', { path: parts.join('/') || '.', content: 'x', if_exists: 'overwrite' }).catch(
        () => {},
      );
    }),
    { numRuns: RUNS },
  );
  assert.deepEqual(await readdir(outside), ['secret.txt']);
  assert.equal(await readFile(join(outside, 'secret.txt'), 'utf8'), 'canary');
  for (const name of ['openagent.yaml', '.lock', 'bridges/mine.ts']) {
    assert.equal(await readFile(join(dir, name), 'utf8'), 'canary', name);
  }
  const added = (await readdir(dir)).filter((name) => !before.includes(name));
  assert.deepEqual(
    added.filter((name) => name !== 'a' && name !== 'secret.txt'),
    [],
  );
});
