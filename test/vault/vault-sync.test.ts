import assert from 'node:assert/strict';
import { appendFile, mkdir, open, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import Database from 'better-sqlite3';
import { filesBelow, openTestVault, type TestVault, tempFolder } from '../fixtures/open-vault.ts';

const same = (expected: readonly string[]) => (found: readonly string[]) =>
  found.length === expected.length && found.every((path, at) => path === expected[at]);

async function opened({ vault }: TestVault): Promise<void> {
  assert.equal(await vault.ready(30_000), true);
}

test('what an editor writes, moves and deletes is listed and found without anybody asking', async (t) => {
  const one = await openTestVault(t);
  await writeFile(join(one.root, 'a.md'), 'alpha');
  await opened(one);
  assert.deepEqual(await one.paths(), ['a.md']);
  await mkdir(join(one.root, 'deep/er'), { recursive: true });
  await writeFile(join(one.root, 'deep/er/b.md'), 'beta');
  await one.listed(same(['a.md', 'deep/er/b.md']));
  await writeFile(join(one.root, 'deep/er/c.md.tmp'), 'gamma');
  await rename(join(one.root, 'deep/er/c.md.tmp'), join(one.root, 'deep/er/c.md'));
  await one.listed((paths) => paths.includes('deep/er/c.md'));
  assert.equal((await one.vault.search('gamma', 10)).results[0]?.path, 'deep/er/c.md');
  await rename(join(one.root, 'deep'), join(one.root, 'moved'));
  await one.listed(same(['a.md', 'moved/er/b.md', 'moved/er/c.md']));
  await writeFile(join(one.root, 'moved/er/d.md'), 'after the move');
  await one.listed((paths) => paths.includes('moved/er/d.md'));
  await rm(join(one.root, 'moved'), { recursive: true });
  await one.listed(same(['a.md']));
  await mkdir(join(one.root, 'moved'));
  await writeFile(join(one.root, 'moved/e.md'), 'again');
  await one.listed(same(['a.md', 'moved/e.md']));
  assert.ok(one.changes.some(({ action, path }) => action === 'deleted' && path === 'moved/er/d.md'));
});

test('our own writes are listed and found at once, and told once', async (t) => {
  const one = await openTestVault(t);
  await opened(one);
  await one.vault.write('a/b.md', 'needle');
  assert.deepEqual(await one.paths(), ['a/b.md']);
  assert.equal((await one.vault.search('needle', 10)).results.length, 1);
  await one.vault.write('a/b.md', 'thread');
  assert.equal((await one.vault.search('needle', 10)).results.length, 0);
  // A later event of another file means that those of this one have been heard.
  await writeFile(join(one.root, 'later.md'), 'x');
  await one.listed((paths) => paths.includes('later.md'));
  const told = one.changes.filter(({ path }) => path === 'a/b.md').map(({ action }) => action);
  assert.deepEqual(told, ['created', 'updated']);
});

test('hidden folders and files without .md are not watched into the index', async (t) => {
  const one = await openTestVault(t);
  await opened(one);
  for (const folder of ['.git', '.obsidian', 'a/.hidden']) {
    await mkdir(join(one.root, folder), { recursive: true });
    await writeFile(join(one.root, folder, 'x.md'), 'x');
  }
  await writeFile(join(one.root, 'picture.png'), 'x');
  await writeFile(join(one.root, 'a/note.md'), 'x');
  assert.deepEqual(await one.listed((paths) => paths.length > 0), ['a/note.md']);
  assert.equal(one.watching.count(), 2);
});

test('a thousand files that change at once are indexed as they are in the end', async (t) => {
  const one = await openTestVault(t);
  await opened(one);
  const write = async (text: (n: number) => string, from: number, to: number) => {
    for (let folder = 0; folder < 10; folder += 1) {
      await mkdir(join(one.root, `f${folder}`), { recursive: true });
    }
    for (let n = from; n < to; n += 1) await writeFile(join(one.root, `f${n % 10}/note ${n}.md`), text(n));
  };
  await write((n) => `first ${n}`, 0, 1_000);
  await one.listed((paths) => paths.length === 1_000);
  await Promise.all([write((n) => `second ${n}`, 0, 500), write((n) => `second ${n}`, 500, 1_000)]);
  await rm(join(one.root, 'f3'), { recursive: true });
  await writeFile(join(one.root, 'last.md'), 'marks the end');
  const paths = await one.listed((found) => found.includes('last.md') && found.length === 901);
  assert.ok(paths.includes('f9/note 999.md'));
  await one.finds('first', 0);
  await one.finds('second', 200);
});

test('what changed while nobody looked is found at the next start, and the rest is not read again', async (t) => {
  const dir = await tempFolder(t);
  const before = await openTestVault(t, { dir });
  for (const name of ['same', 'changed', 'gone'])
    await writeFile(join(before.root, `${name}.md`), `one ${name}`);
  await opened(before);
  await before.vault.close();
  await writeFile(join(before.root, 'changed.md'), 'two changed');
  await rm(join(before.root, 'gone.md'));
  await writeFile(join(before.root, 'new.md'), 'two new');
  const after = await openTestVault(t, { dir });
  await opened(after);
  assert.deepEqual(await after.paths(), ['changed.md', 'new.md', 'same.md']);
  assert.deepEqual((await after.vault.search('two', 10)).results.map(({ path }) => path).sort(), [
    'changed.md',
    'new.md',
  ]);
});

test('an index that is damaged is made anew from the notes', async (t) => {
  const dir = await tempFolder(t);
  const before = await openTestVault(t, { dir });
  await writeFile(join(before.root, 'a.md'), 'alpha');
  await opened(before);
  await before.vault.close();
  await rm(join(dir, 'vault-index.db-wal'), { force: true });
  await writeFile(join(dir, 'vault-index.db'), Buffer.alloc(8_192, 'x'));
  const after = await openTestVault(t, { dir });
  await opened(after);
  assert.deepEqual(await after.paths(), ['a.md']);
});

test('an index whose first page is whole and the rest is not is made anew, too', async (t) => {
  const dir = await tempFolder(t);
  const before = await openTestVault(t, { dir });
  await writeFile(join(before.root, 'a.md'), 'alpha');
  await opened(before);
  await before.vault.close();
  const bytes = await readFile(join(dir, 'vault-index.db'));
  await writeFile(join(dir, 'vault-index.db'), bytes.fill(0xaa, 4_096));
  const after = await openTestVault(t, { dir });
  await opened(after);
  assert.deepEqual(await after.paths(), ['a.md']);
});

/** Behind the back of whoever has it open: all but the first page, which stays what it was. */
async function damage(dir: string): Promise<void> {
  const file = join(dir, 'vault-index.db');
  const db = new Database(file);
  // After a write by somebody else nobody trusts the pages that he remembers.
  db.exec('UPDATE notes SET size = size + 1');
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
  const { size } = await stat(file);
  const handle = await open(file, 'r+');
  await handle.write(Buffer.alloc(size - 4_096, 0xaa), 0, size - 4_096, 4_096);
  await handle.close();
}

test('damage that a search meets while the agent runs costs nobody an error, and is mended', async (t) => {
  const one = await openTestVault(t);
  await writeFile(join(one.root, 'a.md'), 'alpha');
  await opened(one);
  const { etag } = await one.vault.list({ limit: 10, offset: 0 });
  await damage(one.dir);
  await one.vault.search('alpha', 10);
  await one.finds('alpha', 1);
  assert.notEqual((await one.vault.list({ limit: 10, offset: 0 })).etag, etag);
});

test('an index that cannot be made anew yet is made anew later, and meanwhile clients are told to wait', async (t) => {
  const one = await openTestVault(t);
  await writeFile(join(one.root, 'a.md'), 'alpha');
  await opened(one);
  await damage(one.dir);
  const file = join(one.dir, 'vault-index.db');
  await rename(file, `${file}.away`);
  await mkdir(file);
  await assert.rejects(one.vault.search('alpha', 10), { code: 'vault.unavailable' });
  await rm(file, { recursive: true });
  assert.equal(await one.vault.ready(30_000), true);
  await one.finds('alpha', 1);
});

test('a vault that is not there yet is empty, and is followed once it is', async (t) => {
  const one = await openTestVault(t, { hasNoFolder: true });
  assert.deepEqual(await one.paths(), []);
  await one.vault.write('a.md', 'x');
  assert.deepEqual(await one.paths(), ['a.md']);
  await one.listed(() => one.watching.count() === 1);
  await writeFile(join(one.root, 'b.md'), 'x');
  await one.listed(same(['a.md', 'b.md']));
  assert.deepEqual(one.warnings, []);
});

test('where folders cannot be watched somebody is told once, and the vault is read all the same', async (t) => {
  const dir = await tempFolder(t);
  await mkdir(join(dir, 'memories/a/b/c'), { recursive: true });
  await writeFile(join(dir, 'memories/a/b/c/x.md'), 'x');
  const one = await openTestVault(t, { dir, foldersMax: 3 });
  await opened(one);
  assert.deepEqual(await one.paths(), ['a/b/c/x.md']);
  assert.deepEqual(one.warnings.length, 1);
  assert.match(one.warnings[0] ?? '', /max_user_watches/);
  assert.equal(one.watching.count(), 0);
});

test('when there are too many folders later, watching ends whole, and what is there is still read', async (t) => {
  const one = await openTestVault(t, { foldersMax: 3 });
  await opened(one);
  assert.equal(one.watching.count(), 1);
  await mkdir(join(one.root, 'a/b/c/d'), { recursive: true });
  await writeFile(join(one.root, 'a/b/c/d/x.md'), 'x');
  await one.listed(same(['a/b/c/d/x.md']));
  assert.equal(one.watching.count(), 0);
  assert.equal(one.warnings.length, 1);
});

test('a note that is too large is listed and not searched', async (t) => {
  const one = await openTestVault(t, { noteBytes: 100 });
  await writeFile(join(one.root, 'big.md'), 'needle '.repeat(20));
  await writeFile(join(one.root, 'small.md'), 'needle');
  await opened(one);
  assert.deepEqual(await one.paths(), ['big.md', 'small.md']);
  assert.deepEqual(
    (await one.vault.search('needle', 10)).results.map(({ path }) => path),
    ['small.md'],
  );
});

test('a note that is too large to read can be renamed, and is listed where it is', async (t) => {
  const one = await openTestVault(t, { noteBytes: 100, isWatched: false });
  await writeFile(join(one.root, 'big.md'), 'needle '.repeat(20));
  await writeFile(join(one.root, 'small.md'), '[[big]]');
  await opened(one);
  assert.deepEqual(await one.vault.rename('big.md', 'new.md', true), {
    ...{ ok: true, from: 'big.md', path: 'new.md' },
    ...{ updated: ['small.md'], failed: [] },
  });
  await one.listed(same(['new.md', 'small.md']));
});

test('a restored note is listed and found as soon as that is answered', async (t) => {
  const one = await openTestVault(t, { isWatched: false });
  await opened(one);
  await one.vault.write('a.md', 'alpha');
  const { trashId } = await one.vault.remove('a.md');
  await one.vault.restore(trashId);
  assert.deepEqual(await one.paths(), ['a.md']);
  assert.equal((await one.vault.search('alpha', 10)).results.length, 1);
});

test('a file that is written all the time is right in the end', async (t) => {
  const one = await openTestVault(t);
  await opened(one);
  for (let n = 0; n < 300; n += 1) {
    if (n % 3 === 0) await one.vault.write('a.md', `ours${n}`);
    else if (n % 3 === 1) await writeFile(join(one.root, 'a.md'), `theirs${n}`);
    else await appendFile(join(one.root, 'a.md'), ` more${n}`);
  }
  const file = (await filesBelow(one.root)).get('a.md') ?? '';
  await one.finds(file, 1);
});

test('a file with the size and time of another one in its place is read when the watch tells of it', async (t) => {
  const one = await openTestVault(t);
  const at = new Date(1_700_000_000_000);
  await writeFile(join(one.root, 'a.md'), 'aaaa');
  await utimes(join(one.root, 'a.md'), at, at);
  await opened(one);
  await writeFile(join(one.root, 'b'), 'bbbb');
  await utimes(join(one.root, 'b'), at, at);
  await rename(join(one.root, 'b'), join(one.root, 'a.md'));
  await one.finds('bbbb', 1);
});
