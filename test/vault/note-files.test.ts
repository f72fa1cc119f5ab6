import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmod, link, lstat, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createKeyedLocks } from '../../src/vault/keyed-locks.ts';
import { createNoteFiles } from '../../src/vault/note-files.ts';
import { toNotePath } from '../../src/vault/note-path.ts';
import { createTrash } from '../../src/vault/trash.ts';
import { createVaultRoot } from '../../src/vault/vault-root.ts';
import { mountTmpfs, whyNoMount } from '../fixtures/mounts.ts';
import { filesBelow, openTestVault } from '../fixtures/open-vault.ts';

const code = (expected: string) => (error: unknown) =>
  (error as { code?: string }).code === expected || assert.fail(`${expected}, not ${String(error)}`);

const REFUSED = [
  ['', 'empty'],
  ['/', 'empty after its slash'],
  ['../openagent.yaml', 'up'],
  ['a/../../x.md', 'up in the middle'],
  ['a/./b.md', 'a dot as a name'],
  ['/etc/hostname', 'absolute'],
  ['//etc/hostname', 'absolute with two slashes'],
  ['a//b.md', 'an empty name'],
  ['..\\x.md', 'a backslash'],
  ['C:\\x.md', 'a drive'],
  ['a\0.md', 'NUL'],
  ['a\n.md', 'a line break'],
  ['a\u0085.md', 'a C1 control'],
  ['a\u2028.md', 'a line separator'],
  ['\ud800.md', 'half a character'],
  ['.obsidian/app.json', 'a hidden folder'],
  ['.git/config', 'a hidden folder'],
  ['.trash/x.md', 'the trash'],
  ['a/.b.md', 'a hidden file'],
  [`${'a'.repeat(256)}.md`, 'a long name'],
  [`${'ä'.repeat(130)}.md`, 'a name of many bytes'],
  [`${'a/'.repeat(70)}b.md`, 'many folders'],
  [`${'abcdefghi/'.repeat(300)}b.md`, 'a long path'],
] as const;

for (const [path, why] of REFUSED) {
  test(`a path with ${why} is refused: ${JSON.stringify(path.slice(0, 24))}`, async (t) => {
    const { vault, dir } = await openTestVault(t);
    await writeFile(join(dir, 'openagent.yaml'), 'name: secret\n');
    const before = await readdir(dir, { recursive: true });
    await assert.rejects(vault.read(path), code('vault.path_invalid'));
    await assert.rejects(vault.write(path, 'x'), code('vault.path_invalid'));
    await assert.rejects(vault.remove(path), code('vault.path_invalid'));
    await assert.rejects(vault.createFolder(path), code('vault.path_invalid'));
    assert.deepEqual(await readdir(dir, { recursive: true }), before);
  });
}

test('a folder that is a file system of its own', { skip: whyNoMount() }, async (t) => {
  const { vault, root } = await openTestVault(t);
  const mounted = join(root, 'mounted');
  await mkdir(mounted);
  // Within the test of the vault, whose directory can be removed only after it.
  await t.test('takes part in everything', async (t) => {
    mountTmpfs(t, '1m', mounted);
    const first = await vault.write('mounted/a.md', 'one');
    await vault.write('mounted/a.md', 'two', { ifMatch: `"${first.etag}"` });
    assert.equal((await lstat(join(mounted, 'a.md'))).mode & 0o777, 0o600);
    await assert.rejects(vault.write('mounted/a.md', 'x', { ifNoneMatch: '*' }), code('vault.conflict'));
    await vault.write('b.md', '[[a]]');
    await assert.rejects(vault.rename('b.md', 'mounted/a.md', true), code('vault.exists'));
    await vault.rename('b.md', 'mounted/b.md', true);
    await vault.rename('mounted/a.md', 'a.md', true);
    assert.deepEqual((await readdir(mounted)).sort(), ['b.md']);
    assert.equal((await vault.read('a.md')).content, 'two');
    const { trashId } = await vault.remove('mounted/b.md');
    assert.deepEqual(await readdir(mounted), []);
    await vault.restore(trashId);
    assert.deepEqual(await readdir(mounted), ['b.md']);
    await assert.rejects(vault.write('mounted/full.md', 'x'.repeat(2 ** 20)), code('storage.full'));
    assert.deepEqual(await readdir(mounted), ['b.md']);
    assert.deepEqual(await readdir(join(root, '.trash/.tmp')), []);
  });
});

test('what Windows cannot hold is refused there', () => {
  for (const path of ['a:b.md', 'con.md', 'NUL', 'a/b.', 'a /b.md', 'a?.md']) {
    assert.throws(() => toNotePath(path, 'win32'), code('vault.path_invalid'));
    assert.equal(toNotePath(path, 'linux'), path);
  }
});

test('content comes back as it was sent: CRLF, BOM, emoji, no line end', async (t) => {
  const { vault, root } = await openTestVault(t);
  for (const content of ['a\r\nb\r\n', '\uFEFF# Title\n', '👩‍👩‍👧\tä\u0000', '', 'no end']) {
    await vault.write('a/b/c.md', content);
    assert.equal((await vault.read('a/b/c.md')).content, content);
    assert.deepEqual(await readFile(join(root, 'a/b/c.md')), Buffer.from(content));
  }
});

test('files and folders are for their owner; the mode of a file that is there stays', async (t) => {
  const { vault, root } = await openTestVault(t);
  await vault.write('a/new.md', 'x');
  assert.equal((await lstat(join(root, 'a/new.md'))).mode & 0o777, 0o600);
  assert.equal((await lstat(join(root, 'a'))).mode & 0o777, 0o700);
  await chmod(join(root, 'a/new.md'), 0o640);
  await vault.write('a/new.md', 'y');
  assert.equal((await lstat(join(root, 'a/new.md'))).mode & 0o777, 0o640);
});

test('a name without .md is read, written and deleted, and not listed', async (t) => {
  const { vault, paths } = await openTestVault(t);
  await vault.write('noext', 'x');
  await vault.write('note.md', 'x');
  assert.equal((await vault.read('noext')).content, 'x');
  assert.equal((await vault.read('note.md/')).path, 'note.md');
  assert.deepEqual(await paths(), ['note.md']);
  await vault.remove('noext');
  await assert.rejects(vault.read('noext'), code('vault.not_found'));
});

test('a folder is no note', async (t) => {
  const { vault } = await openTestVault(t);
  await vault.createFolder('sub.md');
  await assert.rejects(vault.read('sub.md'), code('vault.not_found'));
  await assert.rejects(vault.remove('sub.md'), code('vault.not_found'));
  await assert.rejects(vault.write('sub.md', 'x'), code('vault.exists'));
  await vault.write('note.md', 'x');
  await assert.rejects(vault.write('note.md/below.md', 'x'), code('vault.exists'));
});

test('symbolic links lead nowhere, whichever part of a path they are', async (t) => {
  const { vault, root, dir, paths } = await openTestVault(t);
  await mkdir(join(dir, 'outside'));
  await writeFile(join(dir, 'outside/secret.md'), 'secret');
  await symlink(join(dir, 'outside'), join(root, 'out'));
  await symlink(join(dir, 'outside/secret.md'), join(root, 'secret.md'));
  await symlink('../outside/secret.md', join(root, 'relative.md'));
  await symlink(join(dir, 'outside/made.md'), join(root, 'dangling.md'));
  await symlink('.', join(root, 'loop'));
  for (const path of ['out/secret.md', 'secret.md', 'relative.md', 'loop/secret.md', 'loop/loop/secret.md']) {
    await assert.rejects(vault.read(path), code('vault.not_found'), path);
    await assert.rejects(vault.remove(path), code('vault.not_found'), path);
    await assert.rejects(vault.rename(path, 'mine.md', false), code('vault.not_found'), path);
  }
  for (const path of [
    'out/made.md',
    'out/secret.md',
    'secret.md',
    'dangling.md',
    'loop/made.md',
    'out/deep/x.md',
  ]) {
    await assert.rejects(vault.write(path, 'x'), code('vault.exists'), path);
  }
  await vault.write('real.md', 'x');
  await assert.rejects(vault.rename('real.md', 'out/real.md', false), code('vault.exists'));
  await assert.rejects(vault.createFolder('out/deep'), code('vault.exists'));
  assert.deepEqual(await readdir(join(dir, 'outside')), ['secret.md']);
  assert.equal(await readFile(join(dir, 'outside/secret.md'), 'utf8'), 'secret');
  assert.deepEqual(await paths(), ['real.md']);
});

test('a trash that is a link to somewhere else takes nothing', async (t) => {
  const { vault, root, dir } = await openTestVault(t);
  await writeFile(join(root, 'a.md'), 'x');
  await mkdir(join(dir, 'outside'));
  await symlink(join(dir, 'outside'), join(root, '.trash'));
  await assert.rejects(vault.remove('a.md'), code('vault.exists'));
  await assert.rejects(vault.write('a.md', 'y'), code('vault.exists'));
  assert.equal(await readFile(join(root, 'a.md'), 'utf8'), 'x');
  assert.deepEqual(await readdir(join(dir, 'outside')), []);
});

test('the vault itself may be a link', async (t) => {
  const { vault, root, dir, paths } = await openTestVault(t, { hasNoFolder: true });
  await mkdir(join(dir, 'elsewhere'));
  await symlink(join(dir, 'elsewhere'), root);
  await vault.write('a/b.md', 'x');
  assert.equal((await vault.read('a/b.md')).content, 'x');
  assert.deepEqual(await paths(), ['a/b.md']);
  assert.equal(await readFile(join(dir, 'elsewhere/a/b.md'), 'utf8'), 'x');
});

test('a pipe is no note, and nobody waits for it', { skip: process.platform === 'win32' }, async (t) => {
  const { vault, root } = await openTestVault(t);
  execFileSync('mkfifo', [join(root, 'pipe.md')]);
  await assert.rejects(vault.read('pipe.md'), code('vault.not_found'));
  await assert.rejects(vault.write('pipe.md', 'x'), code('vault.exists'));
});

test('a name finds its file in either normal form, and never makes a second one', async (t) => {
  const { vault, root } = await openTestVault(t);
  const [composed, decomposed] = ['caf\u00e9/\u00fc.md', 'cafe\u0301/u\u0308.md'];
  await mkdir(join(root, 'cafe\u0301'));
  await writeFile(join(root, decomposed), 'old');
  assert.equal((await vault.read(composed)).content, 'old');
  assert.equal((await vault.write(composed, 'new')).path, decomposed);
  assert.equal(await readFile(join(root, decomposed), 'utf8'), 'new');
  await Promise.all([
    vault.write('n\u0303.md', '1'),
    vault.write('\u00f1.md', '2'),
    vault.write('n\u0303.md', '3'),
  ]);
  assert.deepEqual([...(await filesBelow(root)).keys()].sort(), [decomposed, '\u00f1.md'].sort());
  await vault.remove(composed);
  assert.deepEqual([...(await filesBelow(root)).keys()], ['\u00f1.md']);
});

test('bytes that are no UTF-8 are shown as marks and never written back as marks', async (t) => {
  const { vault, root } = await openTestVault(t);
  const bytes = Buffer.from([0x61, 0xff, 0xfe, 0x62, 0x0a]);
  await writeFile(join(root, 'latin.md'), bytes);
  const note = await vault.read('latin.md');
  assert.equal(note.content, 'a\ufffd\ufffdb\n');
  assert.equal(note.utf8, false);
  assert.equal((await vault.write('latin.md', note.content)).etag, note.etag);
  await assert.rejects(vault.write('latin.md', `${note.content}more`), code('vault.not_text'));
  assert.deepEqual(await readFile(join(root, 'latin.md')), bytes);
  await vault.write('latin.md', 'a clean text');
  assert.equal(await readFile(join(root, 'latin.md'), 'utf8'), 'a clean text');
});

test('a note beyond the limit is neither read nor written, and what is there stays', async (t) => {
  const { vault, root } = await openTestVault(t, { noteBytes: 10 });
  await writeFile(join(root, 'big.md'), 'x'.repeat(11));
  await assert.rejects(vault.read('big.md'), code('vault.too_large'));
  await assert.rejects(vault.write('big.md', 'x'), code('vault.too_large'));
  await assert.rejects(vault.write('other.md', 'ä'.repeat(6)), code('vault.too_large'));
  assert.deepEqual([...(await filesBelow(root))], [['big.md', 'x'.repeat(11)]]);
});

test('a version is of the content; a write names the one it replaces, or is refused', async (t) => {
  const { vault, root } = await openTestVault(t);
  const first = await vault.write('a.md', '1', { ifNoneMatch: '*' });
  assert.equal(first.created, true);
  await assert.rejects(vault.write('a.md', '2', { ifNoneMatch: '*' }), code('vault.conflict'));
  await writeFile(join(root, 'a.md'), 'edited');
  const error: unknown = await vault
    .write('a.md', '2', { ifMatch: `"${first.etag}"` })
    .catch((cause) => cause);
  const { etag } = await vault.read('a.md');
  assert.equal((error as { details: { etag: string } }).details.etag, etag);
  await assert.rejects(vault.remove('a.md', { ifMatch: `"${first.etag}"` }), code('vault.conflict'));
  const second = await vault.write('a.md', '1', { ifMatch: `"${etag}"` });
  assert.deepEqual([second.etag, second.created], [first.etag, false]);
  await assert.rejects(vault.write('gone.md', 'x', { ifMatch: '*' }), code('vault.conflict'));
  await assert.rejects(lstat(join(root, 'gone.md')), code('ENOENT'));
});

test('of clients that edit one note at once, one wins and the others are told', async (t) => {
  const { vault, root } = await openTestVault(t);
  const { etag } = await vault.write('a.md', 'start');
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, n) => vault.write('a.md', `edit ${n}`, { ifMatch: `"${etag}"` })),
  );
  const won = results.flatMap((result, n) => (result.status === 'fulfilled' ? [n] : []));
  assert.equal(won.length, 1);
  for (const result of results) if (result.status === 'rejected') code('vault.conflict')(result.reason);
  assert.equal(await readFile(join(root, 'a.md'), 'utf8'), `edit ${won[0]}`);
  const created = await Promise.allSettled(
    Array.from({ length: 20 }, (_, n) => vault.write('new.md', `${n}`, { ifNoneMatch: '*' })),
  );
  assert.equal(created.filter(({ status }) => status === 'fulfilled').length, 1);
});

test('a deleted note can be listed and restored, and never replaces another', async (t) => {
  const { vault, root, paths } = await openTestVault(t);
  await vault.write('deep/er/a.md', 'one');
  const { trashId } = await vault.remove('deep/er/a.md');
  await assert.rejects(vault.remove('deep/er/a.md'), code('vault.not_found'));
  assert.deepEqual(await paths(), []);
  await vault.write('deep/er/a.md', 'two');
  await vault.remove('deep/er/a.md');
  await vault.write('deep/er/a.md', 'three');
  const { notes } = await vault.trash(10);
  assert.deepEqual(
    notes.map(({ path, size }) => [path, size]),
    [
      ['deep/er/a.md', 3],
      ['deep/er/a.md', 3],
    ],
  );
  assert.equal((await vault.trash(1)).notes.length, 1);
  await assert.rejects(vault.restore(trashId), code('vault.exists'));
  await assert.rejects(vault.restore('../../x'), code('vault.not_found'));
  await assert.rejects(vault.restore(trashId, '../x.md'), code('vault.path_invalid'));
  assert.equal((await vault.restore(trashId, 'back.md')).path, 'back.md');
  assert.equal(await readFile(join(root, 'back.md'), 'utf8'), 'one');
  await assert.rejects(vault.restore(trashId, 'again.md'), code('vault.not_found'));
  assert.equal((await vault.trash(10)).notes.length, 1);
});

test('folders are made, listed with empty ones, and deleted only when empty', async (t) => {
  const { vault, root } = await openTestVault(t);
  assert.deepEqual(await vault.createFolder('a/b'), { path: 'a/b', created: true });
  assert.deepEqual(await vault.createFolder('a/b'), { path: 'a/b', created: false });
  await vault.write('a/c/note.md', 'x');
  await mkdir(join(root, '.obsidian'));
  assert.deepEqual(await vault.folders(10), ['a', 'a/b', 'a/c']);
  assert.equal((await vault.folders(2)).length, 2);
  await assert.rejects(vault.removeFolder('a'), code('vault.not_empty'));
  await assert.rejects(vault.removeFolder('a/c/note.md'), code('vault.not_found'));
  await vault.removeFolder('a/b');
  await assert.rejects(vault.removeFolder('a/b'), code('vault.not_found'));
  assert.deepEqual(await vault.folders(10), ['a', 'a/c']);
});

test('a rename takes the links of other notes along, byte for byte otherwise', async (t) => {
  const { vault, root, paths } = await openTestVault(t);
  await vault.write('a.md', 'I am a');
  await vault.write('b.md', '# B\r\n[[a#top|alias]] and ![[a]]\r\n`[[a]]`\r\n');
  await vault.write('c.md', 'none');
  const renamed = await vault.rename('a.md', 'sub/z.md', true);
  assert.deepEqual(renamed, { ok: true, from: 'a.md', path: 'sub/z.md', updated: ['b.md'], failed: [] });
  assert.equal(
    await readFile(join(root, 'b.md'), 'utf8'),
    '# B\r\n[[z#top|alias]] and ![[z]]\r\n`[[a]]`\r\n',
  );
  assert.deepEqual((await vault.backlinks('sub/z.md', 10)).backlinks.length, 2);
  await assert.rejects(vault.rename('c.md', 'b.md', true), code('vault.exists'));
  await assert.rejects(vault.rename('a.md', 'q.md', true), code('vault.not_found'));
  await vault.rename('c.md', 'C.md', true);
  assert.deepEqual(await paths(), ['b.md', 'C.md', 'sub/z.md'].sort());
  assert.deepEqual([...(await filesBelow(root)).keys()].sort(), ['C.md', 'b.md', 'sub/z.md']);
});

test('a note with a second hard link is replaced, not written through', async (t) => {
  const { vault, root, dir } = await openTestVault(t);
  await writeFile(join(dir, 'other.md'), 'other');
  await link(join(dir, 'other.md'), join(root, 'a.md'));
  await vault.write('a.md', 'mine');
  assert.equal(await readFile(join(dir, 'other.md'), 'utf8'), 'other');
});

test('nothing of a write is left behind, nor of one that was refused', async (t) => {
  const { vault, root } = await openTestVault(t);
  const { etag } = await vault.write('a.md', '1');
  await vault.write('a.md', '2', { ifMatch: `"${etag}"` });
  await assert.rejects(vault.write('a.md', '3', { ifMatch: `"${etag}"` }), code('vault.conflict'));
  await assert.rejects(vault.write('x/y.md', '3', { ifMatch: '*' }), code('vault.conflict'));
  assert.deepEqual(await readdir(join(root, '.trash/.tmp')), []);
  assert.deepEqual((await readdir(root)).sort(), ['.trash', 'a.md']);
});

test('a deleted note goes for good when its time is over, and nothing else in the trash does', async (t) => {
  const { root } = await openTestVault(t);
  const vaultRoot = createVaultRoot(root);
  const locks = createKeyedLocks();
  const files = createNoteFiles({ root: vaultRoot, locks, noteBytes: 100 });
  const clock = { nowMs: Date.parse('2026-01-01T00:00:00.000Z') };
  const trash = createTrash({ root: vaultRoot, locks, wallMs: () => clock.nowMs, read: files.read });
  await files.write('old.md', 'x');
  await trash.add('old.md');
  await writeFile(join(root, '.trash/of another program.md'), 'x');
  clock.nowMs += 86_400_000;
  await files.write('new.md', 'x');
  await trash.add('new.md');
  assert.equal(await trash.expire(clock.nowMs - 1_000), 1);
  assert.deepEqual(
    (await trash.list(10)).map(({ path, deletedAtMs }) => [path, deletedAtMs]),
    [['new.md', clock.nowMs]],
  );
  assert.ok((await readdir(join(root, '.trash'))).includes('of another program.md'));
  await writeFile(join(root, '.trash/.tmp/left behind'), 'x');
  await files.removeLeftovers(Date.now() + 1_000);
  assert.deepEqual(await readdir(join(root, '.trash/.tmp')), []);
});

test('a vault that holds the directory of its agent serves notes, and nothing else of it', async (t) => {
  const { vault, dir } = await openTestVault(t, { holdsAgent: true });
  await writeFile(join(dir, 'openagent.yaml'), 'token: secret');
  await vault.write('a.md', 'x');
  for (const path of ['openagent.yaml', 'vault-index.db', 'logs/events.jsonl']) {
    await assert.rejects(vault.read(path), code('vault.path_invalid'), path);
    await assert.rejects(vault.write(path, 'x'), code('vault.path_invalid'), path);
    await assert.rejects(vault.remove(path), code('vault.path_invalid'), path);
    await assert.rejects(vault.rename(path, 'b.md', false), code('vault.path_invalid'), path);
    await assert.rejects(vault.rename('a.md', path, false), code('vault.path_invalid'), path);
  }
  assert.equal(await readFile(join(dir, 'openagent.yaml'), 'utf8'), 'token: secret');
});
