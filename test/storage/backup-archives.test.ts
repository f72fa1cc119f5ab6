/** Archives as others may have made them, and how ours are written. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { open, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Header } from 'tar';
import { createArchiveWriter } from '../../src/supervisor/backup/archive-writer.ts';
import { FORMAT, MANIFEST_NAME, type Manifest } from '../../src/supervisor/backup/manifest.ts';
import { backup, makeBackupPlace, makeFullAgent, restore } from '../fixtures/backed-up-agent.ts';

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
  const place = await makeBackupPlace(t);
  for (const [name, [parts, said]] of Object.entries(HARMFUL)) {
    await writeFile(join(place, 'bad.tar.gz'), gzipSync(Buffer.concat([...parts, END])));
    const { exitCode, err } = await restore(place, 'bad.tar.gz', 'copy');
    assert.equal(exitCode, 1, name);
    assert.match(err, said, name);
    assert.deepEqual(await readdir(place), ['bad.tar.gz'], name);
  }
  const dir = await makeFullAgent(place);
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

test('the writer pads and counts what grows or shrinks beneath it', async (t) => {
  const place = await makeBackupPlace(t);
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
