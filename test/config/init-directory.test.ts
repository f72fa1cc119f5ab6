import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadAgent } from '../../src/supervisor/config/load-agent.ts';
import { initDirectory } from '../../src/supervisor/init-directory.ts';
import { makeTempDir } from './agent-directory.ts';

test('a new agent loads without a warning, speaks echo, and only its owner can read it', async (t) => {
  const dir = join(await makeTempDir(t), 'parent', 'it\'s: "new"');
  assert.equal(await initDirectory(dir), 'created');
  assert.deepEqual((await readdir(dir)).sort(), ['logs', 'memories', 'openagent.yaml']);
  assert.equal((await stat(dir)).mode & 0o777, 0o700);
  assert.equal((await stat(join(dir, 'openagent.yaml'))).mode & 0o777, 0o600);
  const { prepared, warnings } = await loadAgent(dir, { env: {}, homeDir: '/', overrides: {} });
  assert.deepEqual(warnings, []);
  assert.equal(prepared.settings.name, 'it\'s: "new"');
  assert.equal(prepared.settings.model.provider, 'echo');
});

test('an existing configuration is never overwritten', async (t) => {
  const dir = await makeTempDir(t);
  await writeFile(join(dir, 'openagent.yaml'), 'name: mine\n');
  assert.equal(await initDirectory(dir), 'exists');
  assert.equal(await readFile(join(dir, 'openagent.yaml'), 'utf8'), 'name: mine\n');
  assert.deepEqual((await readdir(dir)).sort(), ['logs', 'memories', 'openagent.yaml']);
});

test('a directory with files gets only what is missing', async (t) => {
  const dir = await makeTempDir(t);
  await mkdir(join(dir, 'memories'));
  await writeFile(join(dir, 'memories', 'Note.md'), 'kept');
  await writeFile(join(dir, 'other.txt'), 'kept');
  assert.equal(await initDirectory(dir), 'created');
  assert.deepEqual((await readdir(dir)).sort(), ['logs', 'memories', 'openagent.yaml', 'other.txt']);
  assert.equal(await readFile(join(dir, 'memories', 'Note.md'), 'utf8'), 'kept');
});

test('of many that create one directory at once exactly one does', async (t) => {
  const dir = join(await makeTempDir(t), 'agent');
  const outcomes = await Promise.all(Array.from({ length: 8 }, () => initDirectory(dir)));
  assert.equal(outcomes.filter((outcome) => outcome === 'created').length, 1);
  assert.deepEqual((await readdir(dir)).sort(), ['logs', 'memories', 'openagent.yaml']);
});

test('a file of that name is told as such', async (t) => {
  const file = join(await makeTempDir(t), 'file');
  await writeFile(file, '');
  await assert.rejects(initDirectory(file), { code: 'directory.unwritable', message: /not a directory/ });
});
