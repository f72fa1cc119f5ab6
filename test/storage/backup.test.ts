import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmod,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  realpath,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { Header } from 'tar';
import { systemClock } from '../../src/contract/clock.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { createArchiveWriter } from '../../src/supervisor/backup/archive-writer.ts';
import { FORMAT, MANIFEST_NAME, type Manifest } from '../../src/supervisor/backup/manifest.ts';
import { runBackup } from '../../src/supervisor/backup/run-backup.ts';
import { runRestore } from '../../src/supervisor/backup/run-restore.ts';
import { commandRun } from '../fixtures/command-context.ts';
import { mountTmpfs, whyNoMount } from '../fixtures/mounts.ts';

async function makePlace(t: TestContext): Promise<string> {
  const place = await realpath(await mkdtemp(join(tmpdir(), 'openagent-backup-')));
  t.after(() => rm(place, { recursive: true, force: true }));
  return place;
}

const YAML = `# our agent; old token: abc123def
name: coder
providers: { openai: { api_key: sk-secret-1234567890 } }
channels:
  websocket: { port: 0, token: "\${TOKEN:-fallback-secret}" }
`;

async function makeAgent(place: string): Promise<string> {
  const dir = join(place, 'coder');
  await mkdir(join(dir, 'memories/sub/empty'), { recursive: true, mode: 0o700 });
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(join(dir, path, '..'), { recursive: true });
    await writeFile(join(dir, path), text, { mode: 0o600 });
  };
  await write('openagent.yaml', YAML);
  await write('memories/a.md', 'first note');
  await write(`memories/sub/${'long-name-'.repeat(14)}ü.md`, 'a note with a long name');
  await write('memories/.trash/20260101T000000000Z-01234567/b.md', 'deleted note');
  await write('uploads/0123/file.bin', 'x'.repeat(100_000));
  await write('bridges/weather.ts', 'export default class {}');
  await write('bridges/node_modules/dep/index.js', 'made anew');
  await write('manifest.json', '{"mine": true}');
  await write('logs/events.jsonl', '{"event":"x"}\n');
  await write('.config-versions/1700000000000-01234567.yaml', YAML);
  await write('.env', 'SECRET=1');
  for (const name of [
    '.lock',
    '.lock.json',
    '.port',
    '.crumb',
    '.children.json',
    'vault-index.db',
    'x.tmp',
  ]) {
    await write(name, 'of a run');
  }
  await write('run.sh', '#!/bin/sh\n');
  await chmod(join(dir, 'run.sh'), 0o700);
  await symlink('/etc/hostname', join(dir, 'memories/link.md'));
  await makeTurns(dir);
  return dir;
}

/** One turn that has ended, one that is running, one that waits; a task that runs, and one that was due. */
async function makeTurns(dir: string): Promise<void> {
  const db = await openDatabase(join(dir, 'openagent.db'), systemClock);
  db.exec(`
    INSERT INTO turns (id, session_id, client_key, message_id, text, begun, accepted_at) VALUES
      (1, 's', 'n:x:me', 'm1', 'one', 1, 1), (2, 's', 'n:x:me', 'm2', 'two', 1, 2), (3, 's', 'n:x:me', 'm3', 'three', 0, 3);
    INSERT INTO turn_outcomes (id, state, ended_at, model, outcome) VALUES (1, 'done', 2, 'echo', 'one');
    INSERT INTO scheduled_tasks (id, name, cron_expression, prompt, enabled, next_run, created_at, updated_at) VALUES
      ('daily', 'daily', '0 7 * * *', 'p', 1, 1000, 1, 1), ('once', 'once', '@once:1000', 'p', 1, 1000, 1, 1),
      ('later', 'later', '@once:4000000000', 'p', 1, 4000000000, 1, 1);
    INSERT INTO task_settings (task_id, source) VALUES ('daily', 'rest'), ('once', 'rest'), ('later', 'rest');
    INSERT INTO task_runs (id, task_id, cause, prompt, due_at, started_at, state) VALUES ('r', 'daily', 'schedule', 'p', 1, 1, 'running');
    INSERT INTO files (id, origin, type, path, filename, created_at)
      VALUES ('f1', 'received', 'file', '${dir}/uploads/0123/file.bin', 'file.bin', 1),
             ('f2', 'produced', 'file', '/elsewhere/out.txt', 'out.txt', 1);`);
  db.close();
}

interface Tried {
  readonly exitCode: number;
  readonly out: Readonly<Record<string, unknown>> | undefined;
  readonly err: string;
}

async function backup(
  place: string,
  agent: string,
  file: string,
  options = {},
  aborted?: AbortSignal,
): Promise<Tried> {
  const run = commandRun(place, aborted ? { signal: aborted } : {});
  const wanted = { agent, file, includeSecrets: false, uploads: true, logs: false, json: true, ...options };
  const exitCode = await runBackup(wanted, run.context);
  return { exitCode, out: run.lines()[0], err: run.err() };
}

async function restore(place: string, file: string, dir: string, options = {}): Promise<Tried> {
  const run = commandRun(place);
  const exitCode = await runRestore({ file, dir, resume: false, json: true, ...options }, run.context);
  return { exitCode, out: run.lines()[0], err: run.err() };
}

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
  const place = await makePlace(t);
  const dir = await makeAgent(place);
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
    ...['memories/a.md', 'memories/sub/', 'memories/sub/empty/'],
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
  const place = await makePlace(t);
  const dir = await makeAgent(place);
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
  const place = await makePlace(t);
  const dir = await makeAgent(place);
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
  const place = await makePlace(t);
  const dir = await makeAgent(place);
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
  const place = await makePlace(t);
  const dir = await makeAgent(place);
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

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

function manifestOf(files: Readonly<Record<string, string>>, change: Partial<Manifest> = {}): string {
  const listed = Object.entries(files).map(([path, text]) => ({
    path,
    size: text.length,
    sha256: sha256(text),
  }));
  return JSON.stringify({
    ...{ format: FORMAT, version: '1', agent: 'x', created: '2026-01-01T00:00:00Z', dir: '/x', schema: null },
    ...{ database: null, includes: { secrets: false, uploads: true, logs: false }, left_out: [] },
    ...{ directories: [], files: listed },
    ...change,
  });
}

function entry(path: string, text: string, change: object = {}): Buffer {
  const block = Buffer.alloc(512);
  new Header({ path, size: text.length, type: 'File', mode: 0o600, mtime: new Date(0), ...change }).encode(
    block,
  );
  return Buffer.concat([block, Buffer.from(text), Buffer.alloc((512 - (text.length % 512)) % 512)]);
}

const END = Buffer.alloc(1024);
const ONE = { 'openagent.yaml': 'name: x\n' };

const HARMFUL: Readonly<Record<string, readonly [parts: readonly Buffer[], said: RegExp]>> = {
  'an absolute path': [[entry('/etc/evil', 'x'), entry(MANIFEST_NAME, manifestOf(ONE))], /leads elsewhere/],
  'a path with ..': [[entry('a/../../evil', 'x'), entry(MANIFEST_NAME, manifestOf(ONE))], /leads elsewhere/],
  'a symbolic link': [
    [entry('memories', '', { type: 'SymbolicLink', linkpath: '/etc' })],
    /kind SymbolicLink/,
  ],
  'a hard link': [[entry('x', '', { type: 'Link', linkpath: 'openagent.yaml' })], /kind Link/],
  'a device': [[entry('x', '', { type: 'CharacterDevice' })], /kind CharacterDevice/],
  'a file twice': [[entry('a', 'x'), entry('a', 'y')], /twice/],
  'a file that is not in the manifest': [
    [entry('openagent.yaml', 'name: x\n'), entry('more', 'x'), entry(MANIFEST_NAME, manifestOf(ONE))],
    /does not know \\"more\\"/,
  ],
  'a file that is missing': [[entry(MANIFEST_NAME, manifestOf(ONE))], /missing in it/],
  'a file that was changed': [
    [entry('openagent.yaml', 'name: y\n'), entry(MANIFEST_NAME, manifestOf(ONE))],
    /not what it was/,
  ],
  'no manifest': [[entry('openagent.yaml', 'name: x\n')], /no manifest/],
  'a newer format': [
    [entry('openagent.yaml', 'name: x\n'), entry(MANIFEST_NAME, manifestOf(ONE, { format: 99 }))],
    /newer format \(99\)/,
  ],
  'a newer database': [
    [entry('openagent.yaml', 'name: x\n'), entry(MANIFEST_NAME, manifestOf(ONE, { schema: 999 }))],
    /install that version/,
  ],
  'a manifest that leads elsewhere': [
    [entry('openagent.yaml', 'name: x\n'), entry(MANIFEST_NAME, manifestOf({ ...ONE, '../x': 'x' }))],
    /manifest is none/,
  ],
  'a file that is a directory too': [
    [
      ...[entry('openagent.yaml', 'name: x\n'), entry('a', 'x'), entry('a/b', 'y')],
      entry(MANIFEST_NAME, manifestOf({ ...ONE, a: 'x', 'a/b': 'y' })),
    ],
    /a file and a directory/,
  ],
  'more than any disk holds': [[entry('a', '', { size: 2 ** 50 })], /MiB that are free/],
  'something behind the manifest': [
    [entry('openagent.yaml', 'name: x\n'), entry(MANIFEST_NAME, manifestOf(ONE)), entry('z', 'z')],
    /follows its manifest/,
  ],
};

test('an archive made for harm, by accident or of another kind is refused and leaves nothing', async (t) => {
  const place = await makePlace(t);
  for (const [name, [parts, said]] of Object.entries(HARMFUL)) {
    await writeFile(join(place, 'bad.tar.gz'), gzipSync(Buffer.concat([...parts, END])));
    const { exitCode, err } = await restore(place, 'bad.tar.gz', 'copy');
    assert.equal(exitCode, 1, name);
    assert.match(err, said, name);
    assert.deepEqual(await readdir(place), ['bad.tar.gz'], name);
  }
  const dir = await makeAgent(place);
  await backup(place, dir, 'good.tar.gz');
  const good = await readFile(join(place, 'good.tar.gz'));
  const cuts = [0, 1, 20, good.length >> 1, good.length - 20, good.length - 1];
  for (const length of cuts) {
    await writeFile(join(place, 'bad.tar.gz'), good.subarray(0, length));
    const { exitCode, err } = await restore(place, 'bad.tar.gz', 'copy');
    assert.equal(exitCode, 1, `${length}`);
    assert.match(err, /backup\.invalid/, `${length}`);
  }
  for (const at of [30, good.length >> 1, good.length - 6]) {
    const flipped = Buffer.from(good);
    flipped.writeUInt8(flipped.readUInt8(at) ^ 0x55, at);
    await writeFile(join(place, 'bad.tar.gz'), flipped);
    assert.equal((await restore(place, 'bad.tar.gz', 'copy')).exitCode, 1, `flipped at ${at}`);
  }
  assert.deepEqual((await readdir(place)).sort(), ['bad.tar.gz', 'coder', 'good.tar.gz']);
});

const mounts = whyNoMount();

test('a disk that is full is told, and nothing is left on it', { skip: mounts }, async (t) => {
  const place = await makePlace(t);
  const dir = await makeAgent(place);
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
  const place = await makePlace(t);
  const dir = await makeAgent(place);
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

test('the writer pads and counts what grows or shrinks beneath it', async (t) => {
  const place = await makePlace(t);
  const handle = await open(join(place, 'x.tar.gz'), 'w');
  t.after(() => handle.close());
  const writer = createArchiveWriter(handle);
  const about = { isProgram: false, modifiedAt: new Date(0) };
  const grown = await writer.addFile({ ...about, path: 'a', size: 3, chunks: [Buffer.from('abcdef')] });
  assert.deepEqual(grown, { path: 'a', size: 3, sha256: sha256('abc') });
  const shrunk = writer.addFile({ ...about, path: 'b', size: 9, chunks: [Buffer.from('abc')] });
  await assert.rejects(shrunk, /became shorter/);
  writer.abort();
});
