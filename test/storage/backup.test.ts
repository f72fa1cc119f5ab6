import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { runBackup } from '../../src/supervisor/backup/run-backup.ts';
import { backup, makeBackupPlace, makeFullAgent, restore, YAML } from '../fixtures/backed-up-agent.ts';
import { commandRun } from '../fixtures/command-context.ts';
import { mountTmpfs, whyNoMount } from '../fixtures/mounts.ts';

async function treeOf(dir: string): Promise<readonly string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .map(
      (entry) =>
        `${join(entry.parentPath, entry.name).slice(dir.length + 1)}${entry.isDirectory() ? '/' : ''}`,
    )
    .sort();
}

const read = (db: string, sql: string): unknown[] => {
  const opened = new Database(db, { readonly: true });
  try {
    return opened.prepare(sql).raw().all();
  } finally {
    opened.close();
  }
};

test('what is the agent’s comes back, what belongs to a run or can be made anew does not', async (t) => {
  const place = await makeBackupPlace(t);
  const dir = await makeFullAgent(place);
  const made = await backup(place, dir, 'a.tar.gz');
  assert.equal(made.exitCode, 0, made.err);
  assert.deepEqual(made.out?.skipped, ['memories/link.md']);
  assert.equal((await stat(join(place, 'a.tar.gz'))).mode & 0o777, 0o600);
  const restored = await restore(place, 'a.tar.gz', 'copy');
  assert.equal(restored.exitCode, 0, restored.err);
  assert.deepEqual(await treeOf(join(place, 'copy')), [
    ...['bridges/', 'bridges/weather.ts', 'manifest.json', 'memories/', 'memories/.trash/'],
    'memories/.trash/20260101T000000000Z-01234567/',
    'memories/.trash/20260101T000000000Z-01234567/b.md',
    ...['memories/a.md', 'memories/kept.tmp', 'memories/sub/', 'memories/sub/empty/'],
    `memories/sub/${'long-name-'.repeat(14)}ü.md`,
    ...['openagent.db', 'openagent.yaml', 'run.sh', 'uploads/', 'uploads/0123/', 'uploads/0123/file.bin'],
  ]);
  assert.equal(await readFile(join(place, 'copy/memories/a.md'), 'utf8'), 'first note');
  assert.equal((await stat(join(place, 'copy'))).mode & 0o777, 0o700);
  assert.equal((await stat(join(place, 'copy/openagent.yaml'))).mode & 0o777, 0o600);
  assert.equal((await stat(join(place, 'copy/run.sh'))).mode & 0o777, 0o700);
  assert.deepEqual((await readdir(place)).sort(), ['a.tar.gz', 'coder', 'copy'], 'nothing else is left');
});

test('secrets stay behind unless they are asked for, and are named', async (t) => {
  const place = await makeBackupPlace(t);
  const dir = await makeFullAgent(place);
  await backup(place, dir, 'bare.tar.gz');
  const archive = gunzipSync(await readFile(join(place, 'bare.tar.gz'))).toString('latin1');
  for (const secret of ['sk-secret-1234567890', 'fallback-secret', 'abc123def', 'SECRET=1']) {
    assert.ok(!archive.includes(secret), secret);
  }
  const { out } = await restore(place, 'bare.tar.gz', 'bare');
  assert.deepEqual(out?.variables, [
    { variable: 'CODER_PROVIDERS_OPENAI_API_KEY', key: 'providers.openai.api_key', is_set: false },
    { variable: 'TOKEN', key: 'channels.websocket.token', is_set: false },
  ]);
  const yaml = await readFile(join(place, 'bare/openagent.yaml'), 'utf8');
  assert.match(yaml, /^# our agent; old token: \*\*\*\*\nname: coder\n/);
  assert.match(yaml, /api_key: "\$\{CODER_PROVIDERS_OPENAI_API_KEY\}"/);
  await backup(place, dir, 'full.tar.gz', { includeSecrets: true, logs: true });
  assert.equal((await restore(place, 'full.tar.gz', 'full')).exitCode, 0);
  assert.equal(await readFile(join(place, 'full/openagent.yaml'), 'utf8'), YAML);
  const tree = await treeOf(join(place, 'full'));
  for (const path of ['.env', '.config-versions/1700000000000-01234567.yaml', 'logs/events.jsonl']) {
    assert.ok(tree.includes(path), path);
  }
});

test('a copy repeats nothing that the original may do; --resume goes on with it', async (t) => {
  const place = await makeBackupPlace(t);
  const dir = await makeFullAgent(place);
  await backup(place, dir, 'a.tar.gz');
  const { out } = await restore(place, 'a.tar.gz', 'copy');
  assert.deepEqual([out?.unfinished_turns, out?.unfinished_task_runs, out?.tasks_moved], [2, 1, 2]);
  const db = join(place, 'copy/openagent.db');
  assert.deepEqual(read(db, 'SELECT id, effects FROM turns ORDER BY id'), [
    [1, 0],
    [2, 2],
    [3, 2],
  ]);
  assert.deepEqual(read(db, 'SELECT state, code, prompt FROM task_runs'), [
    ['failed', 'turn.interrupted', null],
  ]);
  const tasks = read(
    db,
    'SELECT id, enabled, next_run > unixepoch(), last_run FROM scheduled_tasks ORDER BY id',
  );
  assert.deepEqual(tasks, [
    ['daily', 1, 1, null],
    ['later', 1, 1, null],
    ['once', 0, null, 1000],
  ]);
  assert.deepEqual(read(db, 'SELECT path FROM files ORDER BY id'), [
    [`${place}/copy/uploads/0123/file.bin`],
    ['/elsewhere/out.txt'],
  ]);
  assert.deepEqual(read(db, 'PRAGMA integrity_check'), [['ok']]);
  await restore(place, 'a.tar.gz', 'heir', { resume: true });
  const heir = join(place, 'heir/openagent.db');
  assert.deepEqual(read(heir, 'SELECT sum(effects) FROM turns'), [[0]]);
  assert.deepEqual(read(heir, 'SELECT state FROM task_runs'), [['running']]);
  assert.deepEqual(read(heir, `SELECT next_run FROM scheduled_tasks WHERE id = 'once'`), [[1000]]);
});

test('database and vault outside of the directory become the copy’s own', async (t) => {
  const place = await makeBackupPlace(t);
  const dir = await makeFullAgent(place);
  await mkdir(join(place, 'notes'));
  await writeFile(join(place, 'notes/real.md'), 'real');
  const memory = `memory: { vault_path: ${place}/notes, db_path: ${place}/data.db }\n`;
  await writeFile(join(dir, 'openagent.yaml'), memory);
  new Database(join(place, 'data.db')).exec('CREATE TABLE mine (a)').close();
  assert.equal((await backup(place, dir, 'a.tar.gz')).exitCode, 0);
  assert.equal((await restore(place, 'a.tar.gz', 'copy')).exitCode, 0);
  const yaml = await readFile(join(place, 'copy/openagent.yaml'), 'utf8');
  assert.equal(yaml, 'memory: { vault_path: "memories", db_path: "openagent.db" }\n');
  assert.equal(await readFile(join(place, 'copy/memories/real.md'), 'utf8'), 'real');
  assert.deepEqual(read(join(place, 'copy/openagent.db'), `SELECT count(*) FROM mine`), [[0]]);
});

test('what cannot be backed up, and where nothing can be restored, is said', async (t) => {
  const place = await makeBackupPlace(t);
  const dir = await makeFullAgent(place);
  assert.match((await backup(place, dir, join(dir, 'a.tar.gz'))).err, /own directory/);
  assert.match((await backup(place, dir, 'nowhere/a.tar.gz')).err, /does not exist/);
  assert.match((await backup(place, 'nobody', 'a.tar.gz')).err, /no fleet that runs has an agent/);
  await backup(place, dir, 'a.tar.gz');
  assert.match((await restore(place, 'a.tar.gz', 'coder')).err, /not empty/);
  assert.match((await restore(place, 'b.tar.gz', 'copy')).err, /cannot be read/);
  await mkdir(join(place, 'empty'));
  assert.equal((await restore(place, 'a.tar.gz', 'empty')).exitCode, 0);
  await writeFile(join(dir, 'openagent.db'), 'damage '.repeat(1000));
  const damaged = await backup(place, dir, 'c.tar.gz');
  assert.match(damaged.err, /storage\.corrupt/);
  const aborted = await backup(place, dir, 'd.tar.gz', {}, AbortSignal.abort());
  assert.equal(aborted.exitCode, 1);
  assert.deepEqual((await readdir(place)).sort(), ['a.tar.gz', 'coder', 'empty']);
});

const mounts = whyNoMount();

test('a disk that is full is told, and nothing is left on it', { skip: mounts }, async (t) => {
  const place = await makeBackupPlace(t);
  const dir = await makeFullAgent(place);
  // Nothing that could be packed smaller.
  const noise = Buffer.alloc(3_000_000, createHash('sha512').update('noise').digest());
  for (let at = 0; at < noise.length; at += 64) {
    createHash('sha512').update(String(at)).digest().copy(noise, at);
  }
  await writeFile(join(dir, 'uploads/0123/noise.bin'), noise);
  const small = mountTmpfs(t, '1m');
  const full = await backup(place, dir, join(small, 'a.tar.gz'));
  assert.equal(full.exitCode, 1);
  assert.match(full.err, /no room left.*storage\.full/);
  assert.deepEqual(await readdir(small), []);
  await backup(place, dir, 'a.tar.gz');
  const { exitCode, err } = await restore(place, 'a.tar.gz', join(small, 'copy'));
  assert.equal(exitCode, 1);
  assert.match(err, /storage\.full/);
  assert.deepEqual(await readdir(small), []);
});

test('a terminal is shown how far it is, on one line that is gone at the end', async (t) => {
  const place = await makeBackupPlace(t);
  const dir = await makeFullAgent(place);
  const shown: string[] = [];
  const err = { isTTY: true, columns: 40, write: (text: string) => shown.push(text) };
  const { context } = commandRun(place, { err });
  const wanted = {
    agent: dir,
    file: 'a.tar.gz',
    includeSecrets: false,
    uploads: true,
    logs: false,
    json: false,
  };
  assert.equal(await runBackup(wanted, context), 0);
  assert.equal(shown[0], '\r\u001b[2K0 %  openagent.db');
  assert.equal(shown.at(-1), '\r\u001b[2K');
});
