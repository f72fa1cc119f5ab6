import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/contract/clock.ts';
import { acquireDirectoryLock } from '../../src/storage/directory-lock.ts';
import { TYPESCRIPT } from '../fixtures/typescript.ts';
import { makeTempDir } from './agent-directory.ts';

const HOLDER = fileURLToPath(new URL('../fixtures/lock-holder.ts', import.meta.url));
const SOURCES = fileURLToPath(new URL('../../src', import.meta.url));
const VERSION = { version: '1.2.3' };

test('a lock held by another process is refused, naming directory and holder, and free when that one ends', async (t) => {
  const dir = await makeTempDir(t);
  const { process: holder, said } = await startHolder(t, dir);
  assert.equal(said.outcome, 'held');
  assert.throws(() => acquireDirectoryLock(dir, VERSION, systemClock), {
    code: 'directory.locked',
    message: new RegExp(
      `^${dir} is in use by process ${holder.pid} on ${hostname()} \\(.* 1\\.2\\.3, since 20`,
    ),
  });
  const exited = once(holder, 'exit');
  holder.stdin?.end();
  await exited;
  acquireDirectoryLock(dir, VERSION, systemClock).release();
});

test('a lock held here refuses another process, also after a second attempt in this one', async (t) => {
  const dir = await makeTempDir(t);
  const lock = acquireDirectoryLock(dir, VERSION, systemClock);
  assert.throws(() => acquireDirectoryLock(dir, VERSION, systemClock), { code: 'directory.locked' });
  assert.equal((await startHolder(t, dir)).said.outcome, 'directory.locked');
  lock.release();
  assert.equal((await startHolder(t, dir)).said.outcome, 'held');
});

test('a lock is free at once after kill -9, and a surviving child does not keep it', async (t) => {
  const dir = await makeTempDir(t);
  const { process: holder, said } = await startHolder(t, dir, 'child');
  const survivor = said.survivor;
  assert.ok(survivor !== undefined, 'no child was started');
  t.after(() => process.kill(survivor, 'SIGKILL'));
  const exited = once(holder, 'exit');
  holder.kill('SIGKILL');
  await exited;
  process.kill(survivor, 0);
  acquireDirectoryLock(dir, VERSION, systemClock).release();
});

test('the holder stands in a readable file beside the lock, and goes with it', async (t) => {
  const dir = await makeTempDir(t);
  const clock = { ...systemClock, wallMs: () => Date.UTC(2026, 0, 2, 3, 4, 5) };
  const lock = acquireDirectoryLock(dir, VERSION, clock);
  assert.deepEqual(JSON.parse(await readFile(join(dir, '.lock.json'), 'utf8')), {
    pid: process.pid,
    startedAt: '2026-01-02T03:04:05.000Z',
    version: '1.2.3',
    host: hostname(),
  });
  assert.ok((await readdir(dir)).includes('.lock.json'), 'the holder is not there');
  lock.release();
  lock.release();
  assert.deepEqual(await readdir(dir), ['.lock']);
});

test('a second release does not take the lock from its next holder', async (t) => {
  const dir = await makeTempDir(t);
  const first = acquireDirectoryLock(dir, VERSION, systemClock);
  first.release();
  const second = acquireDirectoryLock(dir, VERSION, systemClock);
  first.release();
  assert.ok((await readdir(dir)).includes('.lock.json'), 'the holder is not there');
  second.release();
});

test('.lock and .writer are two locks', async (t) => {
  const dir = await makeTempDir(t);
  const lock = acquireDirectoryLock(dir, VERSION, systemClock);
  const writer = acquireDirectoryLock(dir, VERSION, systemClock, '.writer');
  assert.throws(() => acquireDirectoryLock(dir, VERSION, systemClock, '.writer'), {
    code: 'directory.locked',
  });
  writer.release();
  lock.release();
});

test('fifty locks can be held at once', async (t) => {
  const root = await makeTempDir(t);
  const dirs = Array.from({ length: 50 }, (_, index) => join(root, String(index)));
  for (const dir of dirs) await mkdir(dir);
  const locks = dirs.map((dir) => acquireDirectoryLock(dir, VERSION, systemClock));
  for (const dir of dirs) {
    assert.throws(() => acquireDirectoryLock(dir, VERSION, systemClock), { code: 'directory.locked' });
  }
  for (const lock of locks) lock.release();
});

test('a lock without readable holder is still refused', async (t) => {
  const dir = await makeTempDir(t);
  const lock = acquireDirectoryLock(dir, VERSION, systemClock);
  await writeFile(join(dir, '.lock.json'), '{');
  assert.throws(() => acquireDirectoryLock(dir, VERSION, systemClock), {
    code: 'directory.locked',
    message: /is in use by another process/,
  });
  lock.release();
});

test('a lock file that is something else, and a directory that is not there, are told apart from a held lock', async (t) => {
  const dir = await makeTempDir(t);
  await writeFile(join(dir, '.lock'), 'my notes about the lock '.repeat(100));
  assert.throws(() => acquireDirectoryLock(dir, VERSION, systemClock), {
    code: 'directory.unwritable',
    message: /Something else wrote into \.lock/,
  });
  assert.throws(() => acquireDirectoryLock(join(dir, 'gone'), VERSION, systemClock), {
    code: 'directory.unwritable',
  });
});

test('no other module names the lock files, so none can open them', async () => {
  const names = (await readdir(SOURCES, { recursive: true })).filter((name) => /\.(ts|cjs|mjs)$/.test(name));
  const found = [];
  for (const name of names) {
    const text = await readFile(join(SOURCES, name), 'utf8');
    if (/['"`/]\.lock['"`]/.test(text)) found.push(name);
  }
  assert.deepEqual(found, ['storage/directory-lock.ts']);
});

interface Said {
  readonly outcome: string;
  readonly survivor?: number;
}

async function startHolder(
  t: TestContext,
  dir: string,
  mode = '',
): Promise<{ process: ChildProcess; said: Said }> {
  const child = spawn(process.execPath, [...TYPESCRIPT, HOLDER, dir, mode], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.after(() => child.kill('SIGKILL'));
  const [line] = await once(createInterface(child.stdout), 'line', { signal: AbortSignal.timeout(30_000) });
  return { process: child, said: JSON.parse(line as string) };
}
