import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { link, mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import type { FileInfo } from '../../src/contract/schemas/files.ts';
import { TRANSPORTS } from '../fixtures/both-transports.ts';
import { type FileGateway, multipart, post, startFileGateway } from '../fixtures/file-gateway.ts';
import { tempDir } from '../fixtures/turns.ts';
import { signIn } from '../fixtures/ws-client.ts';

const CONTENT = Buffer.from(Array.from({ length: 200_000 }, (_, n) => n % 251));

async function list({ url }: FileGateway, query = ''): Promise<{ files: FileInfo[]; next: string | null }> {
  const response = await fetch(`${url}/api/files${query}`);
  assert.equal(response.status, 200);
  return (await response.json()) as { files: FileInfo[]; next: string | null };
}

async function upload(gateway: FileGateway, filename: string, content: string | Buffer): Promise<FileInfo> {
  assert.equal((await post(gateway.url, multipart({ filename, content }))).status, 200);
  const { files } = await list(gateway, '?limit=1');
  return files[0] as FileInfo;
}

/** What the agent's answer names; the echo model repeats what it is told. */
async function announce(t: TestContext, gateway: FileGateway, ...markers: string[]): Promise<FileInfo[]> {
  const client = await signIn(t, gateway.gateway);
  client.send({ type: 'message', text: markers.join(' '), session_id: 'S1' });
  const { turn_id: turnId } = await client.nextOf('response');
  return (await list(gateway, `?turn_id=${turnId}`)).files.reverse();
}

const get = (gateway: FileGateway, id: string, headers: Record<string, string> = {}) =>
  fetch(`${gateway.url}/api/files/${id}`, { headers });

for (const [name, factory] of TRANSPORTS) {
  describe(`files over ${name}`, () => {
    test('an uploaded file comes back as it was, and a browser cannot run what is in it', async (t) => {
      const gateway = await startFileGateway(t, factory);
      const file = await upload(gateway, 'Seite „eins“.html', CONTENT);
      assert.equal(file.bytes, CONTENT.length);
      assert.equal(file.media_type, 'text/html');
      const response = await get(gateway, file.id);
      assert.equal(response.status, 200);
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), CONTENT);
      const headers = Object.fromEntries(response.headers);
      assert.equal(headers['content-length'], String(CONTENT.length));
      assert.equal(headers['content-type'], 'text/html');
      assert.equal(headers['x-content-type-options'], 'nosniff');
      assert.match(headers['content-security-policy'] ?? '', /^sandbox/);
      assert.equal(headers['accept-ranges'], 'bytes');
      assert.match(
        headers['content-disposition'] ?? '',
        /^attachment; filename=.*; filename\*=UTF-8''Seite%20%E2%80%9Eeins%E2%80%9C\.html$/,
      );
    });

    test('HEAD gives the headers, If-None-Match 304', async (t) => {
      const gateway = await startFileGateway(t, factory);
      const { id } = await upload(gateway, 'a.txt', 'hello');
      const head = await fetch(`${gateway.url}/api/files/${id}`, { method: 'HEAD' });
      assert.deepEqual([head.status, head.headers.get('content-length'), await head.text()], [200, '5', '']);
      const etag = head.headers.get('etag') ?? '';
      const again = await get(gateway, id, { 'if-none-match': etag });
      assert.deepEqual([again.status, await again.text()], [304, '']);
    });

    test('one range is 206, one behind the end 416, anything else the whole file', async (t) => {
      const gateway = await startFileGateway(t, factory);
      const { id } = await upload(gateway, 'a.bin', CONTENT);
      const size = CONTENT.length;
      for (const [range, from, to] of [
        ['bytes=0-0', 0, 0],
        ['bytes=100-199', 100, 199],
        ['bytes=70000-', 70_000, size - 1],
        ['bytes=-1', size - 1, size - 1],
        [`bytes=0-${size * 2}`, 0, size - 1],
        [`bytes=-${size * 2}`, 0, size - 1],
      ] as const) {
        const response = await get(gateway, id, { range });
        assert.equal(response.status, 206, range);
        assert.equal(response.headers.get('content-range'), `bytes ${from}-${to}/${size}`);
        assert.deepEqual(Buffer.from(await response.arrayBuffer()), CONTENT.subarray(from, to + 1), range);
      }
      const behind = await get(gateway, id, { range: `bytes=${size}-` });
      assert.equal(behind.status, 416);
      assert.equal(behind.headers.get('content-range'), `bytes */${size}`);
      assert.equal(((await behind.json()) as { code: string }).code, 'range.unsatisfiable');
      const ignored = ['bytes=0-1,5-6', 'pages=1-2', 'bytes', 'bytes=abc', 'nonsense'];
      // The end in front of the beginning: no valid range, however far behind the end of the file it stands.
      const backwards = ['bytes=5-2', 'bytes= 5 - 2', `bytes=${size + 5}-${size}`, 'bytes=5-2,0-1'];
      for (const range of [...ignored, ...backwards]) {
        const response = await get(gateway, id, { range });
        assert.equal(response.status, 200, range);
        assert.equal((await response.arrayBuffer()).byteLength, size);
      }
    });

    test('If-Range: a part of the same file, or the whole of another one', async (t) => {
      const gateway = await startFileGateway(t, factory);
      const { id, path } = await upload(gateway, 'a.txt', 'first');
      const etag = (await get(gateway, id)).headers.get('etag') ?? '';
      const ask = async () => {
        const response = await get(gateway, id, { range: 'bytes=0-1', 'if-range': etag });
        return [response.status, await response.text()];
      };
      assert.deepEqual(await ask(), [206, 'fi']);
      await writeFile(path, 'second');
      assert.deepEqual(await ask(), [200, 'second']);
      const dated = await get(gateway, id, {
        range: 'bytes=0-1',
        'if-range': 'Sun, 22 Nov 2026 14:38:04 GMT',
      });
      assert.equal(dated.status, 200);
    });

    test('an empty file is sent, and has no range', async (t) => {
      const gateway = await startFileGateway(t, factory);
      const { id } = await upload(gateway, 'empty', '');
      const response = await get(gateway, id);
      assert.deepEqual([response.status, await response.text()], [200, '']);
      assert.equal((await get(gateway, id, { range: 'bytes=0-0' })).status, 416);
    });

    test('what an answer announces is listed with its turn, and sent from outputs/ and the vault', async (t) => {
      const gateway = await startFileGateway(t, factory);
      const { dir } = gateway;
      await mkdir(join(dir, 'outputs/deep'), { recursive: true });
      await mkdir(join(dir, 'memories'));
      await writeFile(join(dir, 'outputs/deep/chart.png'), 'png');
      await writeFile(join(dir, 'memories/note.md'), 'note');
      const files = await announce(
        t,
        gateway,
        `[IMAGE:${join(dir, 'outputs/deep/chart.png')}]`,
        '[FILE:memories/note.md]',
        '[VOICE:https://example.org/a.mp3]',
      );
      assert.deepEqual(
        files.map((file) => [file.origin, file.type, file.filename, file.bytes, file.session_id]),
        [
          ['produced', 'image', 'chart.png', 3, 'S1'],
          ['produced', 'file', 'note.md', 4, 'S1'],
        ],
      );
      for (const [index, text] of ['png', 'note'].entries()) {
        const response = await get(gateway, files[index]?.id ?? '');
        assert.deepEqual([response.status, await response.text()], [200, text]);
      }
    });
  });
}

const [, factory] = TRANSPORTS[0]!;

test('nothing but what is meant for it is handed out, whatever an answer names', async (t) => {
  const outside = await tempDir(t);
  await writeFile(join(outside, 'secret.txt'), 'secret');
  await mkdir(join(outside, 'folder'));
  await writeFile(join(outside, 'folder/secret.txt'), 'secret');
  const gateway = await startFileGateway(t, factory);
  const { dir } = gateway;
  for (const folder of ['outputs/.hidden', 'outputs/folder', 'uploads', 'bridges', 'memories']) {
    await mkdir(join(dir, folder), { recursive: true });
  }
  for (const file of [
    'openagent.yaml',
    '.lock',
    'bridges/b.ts',
    'outputs/.hidden/a',
    'outputs/.env',
    'logs/x',
  ]) {
    await writeFile(join(dir, file), 'secret');
  }
  await symlink(join(outside, 'secret.txt'), join(dir, 'outputs/link.txt'));
  await symlink(join(outside, 'folder'), join(dir, 'outputs/linked'));
  await symlink('../openagent.yaml', join(dir, 'outputs/inner-link'));
  execFileSync('mkfifo', [join(dir, 'outputs/pipe')]);
  const names = [
    ...['openagent.yaml', 'openagent.db', 'openagent.db-wal', '.lock', '.port', 'bridges/b.ts', 'logs/x'],
    ...['outputs', 'outputs/', 'outputs/.env', 'outputs/.hidden/a', 'outputs/folder', 'outputs/pipe'],
    ...['outputs/link.txt', 'outputs/linked/secret.txt', 'outputs/inner-link', 'outputs/../openagent.yaml'],
    ...[
      '../x',
      '/etc/passwd',
      '/proc/self/environ',
      '/dev/zero',
      join(outside, 'secret.txt'),
      '~/.ssh/id_rsa',
    ],
    ...[`${dir}-other/x`, '/', '.', '..', 'outputs/a\u2215..\u2215x', 'outputs/%2e%2e/openagent.yaml'],
  ];
  const files = await announce(t, gateway, ...names.map((name) => `[FILE:${name}]`));
  assert.equal(files.length, names.length);
  for (const [index, file] of files.entries()) {
    const response = await get(gateway, file.id);
    const text = await response.text();
    assert.ok(response.status === 403 || response.status === 410, `${names[index]}: ${response.status}`);
    assert.equal(file.bytes, null, names[index]);
    assert.doesNotMatch(text, /secret|root:/);
    assert.ok(!text.includes(dir), 'the answer names no path');
  }
});

test('further roots are served, but never the configuration or the database in them', async (t) => {
  const dir = await tempDir(t);
  const dbPath = join(dir, 'data.db');
  const gateway = await startFileGateway(t, factory, {
    dir,
    settings: { uploads: { retentionDays: undefined, roots: [dir] }, dbPath },
  });
  await writeFile(join(dir, 'open.txt'), 'open');
  await writeFile(join(dir, 'openagent.yaml'), 'secret');
  await writeFile(join(dir, 'openagent.yaml.bak'), 'secret');
  const files = await announce(
    t,
    gateway,
    ...['open.txt', 'openagent.yaml', 'openagent.yaml.bak', 'data.db', 'data.db-wal'].map(
      (name) => `[FILE:${name}]`,
    ),
  );
  const statuses = await Promise.all(files.map(async ({ id }) => (await get(gateway, id)).status));
  assert.deepEqual(statuses, [200, 403, 403, 403, 403]);
});

test('an id is looked up, never taken for a path', async (t) => {
  const gateway = await startFileGateway(t, factory);
  for (const id of [
    'x',
    '..',
    '%2e%2e%2fopenagent.db',
    '..%2f..%2fetc%2fpasswd',
    '%00',
    "' OR 1=1 --",
    'a'.repeat(5_000),
  ]) {
    const { status } = await get(gateway, encodeURIComponent(id).replaceAll('%25', '%'));
    assert.ok(status === 404 || status === 400, `${id}: ${status}`);
  }
});

test('a file that vanished is 410, one that became a link 403, one that was replaced is the new one', async (t) => {
  const gateway = await startFileGateway(t, factory);
  const file = await upload(gateway, 'a.txt', 'first');
  await writeFile(`${file.path}.new`, 'second');
  await rename(`${file.path}.new`, file.path);
  assert.equal(await (await get(gateway, file.id)).text(), 'second');
  await rm(file.path);
  assert.equal((await get(gateway, file.id)).status, 410);
  assert.equal((await list(gateway)).files[0]?.bytes, null);
  await symlink('/etc/passwd', file.path);
  assert.equal((await get(gateway, file.id)).status, 403);
  await rm(file.path);
  await link(join(gateway.dir, 'openagent.db'), join(gateway.dir, 'uploads', '.tmp'));
  assert.equal((await get(gateway, file.id)).status, 410);
});

test('the list is newest first, in pages, by origin; a query that makes no sense is 400', async (t) => {
  const gateway = await startFileGateway(t, factory);
  for (const name of ['a', 'b', 'c']) await upload(gateway, name, name);
  await announce(t, gateway, '[FILE:outputs/d]');
  const names = async (query: string) => (await list(gateway, query)).files.map(({ filename }) => filename);
  assert.deepEqual(await names(''), ['d', 'c', 'b', 'a']);
  assert.deepEqual(await names('?origin=received'), ['c', 'b', 'a']);
  assert.deepEqual(await names('?origin=produced'), ['d']);
  const first = await list(gateway, '?limit=3');
  assert.deepEqual(await names(`?limit=3&before=${first.next}`), ['a']);
  assert.equal((await list(gateway, `?limit=3&before=${first.next}`)).next, null);
  assert.deepEqual(await names('?before=unknown'), []);
  for (const query of ['?limit=0', '?limit=201', '?limit=x', '?origin=stolen']) {
    assert.equal((await fetch(`${gateway.url}/api/files${query}`)).status, 400, query);
  }
});

test('an answer with ten thousand markers fills no table', async (t) => {
  const gateway = await startFileGateway(t, factory);
  const files = await announce(
    t,
    gateway,
    ...Array.from({ length: 10_000 }, (_, n) => `[FILE:outputs/${n}]`),
  );
  assert.equal(files.length, 50, 'one page');
  assert.equal(gateway.db.prepare('SELECT count(*) AS n FROM files').pluck().get(), 64);
});
