import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdir, utimes, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { systemClock } from '../../src/contract/clock.ts';
import { DEFAULT_LIMITS } from '../../src/contract/limits.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { createFileRecords } from '../../src/storage/file-records.ts';
import { UploadDirectory } from '../../src/uploads/upload-directory.ts';
import { Uploads } from '../../src/uploads/uploads.ts';
import { TRANSPORTS } from '../fixtures/both-transports.ts';
import {
  BOUNDARY,
  type FileGateway,
  MULTIPART,
  multipart,
  post,
  startFileGateway,
} from '../fixtures/file-gateway.ts';
import { silentLog, tempDir, until } from '../fixtures/turns.ts';

/** Every file below `uploads/`, whole or half. */
function filesIn(dir: string): readonly string[] {
  const root = join(dir, 'uploads');
  if (!existsSync(root)) return [];
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

async function untilNothingIsLeft({ dir }: FileGateway): Promise<void> {
  const incoming = join(dir, 'uploads', '.incoming');
  await until(() => !existsSync(incoming) || readdirSync(incoming).length === 0, 'nothing is left', 10_000);
  assert.deepEqual(filesIn(dir), []);
}

for (const [name, factory] of TRANSPORTS) {
  describe(`uploads over ${name}`, () => {
    const start = (t: TestContext, options: Parameters<typeof startFileGateway>[2] = {}) =>
      startFileGateway(t, factory, options);

    test('one file: the keys of the reference and its id, the bytes as sent, only for its owner', async (t) => {
      const { url, dir } = await start(t);
      const content = Buffer.from([0, 1, 2, 255, 13, 10, 45, 45]);
      const { status, body } = await post(url, multipart({ name: 'whatever', filename: 'Ä b.bin', content }));
      assert.equal(status, 200);
      assert.deepEqual(Object.keys(body), ['id', 'path', 'filename']);
      const served = await fetch(`${url}/api/files/${body.id}`);
      assert.deepEqual(Buffer.from(await served.arrayBuffer()), content);
      assert.equal(body.filename, 'Ä b.bin');
      const path = String(body.path);
      assert.ok(path.startsWith(join(dir, 'uploads')) && basename(path) === 'Ä b.bin', path);
      assert.deepEqual(readFileSync(path), content);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assert.equal(statSync(dirname(path)).mode & 0o777, 0o700);
    });

    test('an empty file is a file; one without a name is called upload', async (t) => {
      const { url } = await start(t);
      const empty = await post(url, multipart({ filename: 'empty.txt', content: '' }));
      assert.equal(empty.status, 200);
      assert.equal(readFileSync(String(empty.body.path)).length, 0);
      const unnamed = await post(url, multipart({ filename: undefined, content: 'text' }));
      assert.equal(unnamed.body.filename, 'upload');
    });

    test('several files: the first as ever, all of them in files, each in a directory of its own', async (t) => {
      const { url } = await start(t);
      const part = { filename: 'same.txt', content: 'x' };
      const { body } = await post(url, multipart(part, part, { filename: 'b.txt', content: 'bb' }));
      const files = body.files as { id: string; path: string; filename: string; bytes: number }[];
      assert.deepEqual(Object.keys(body), ['id', 'path', 'filename', 'files']);
      assert.deepEqual([body.id, body.path], [files[0]?.id, files[0]?.path]);
      assert.deepEqual(
        files.map(({ filename, bytes }) => [filename, bytes]),
        [
          ['same.txt', 1],
          ['same.txt', 1],
          ['b.txt', 2],
        ],
      );
      assert.equal(new Set(files.map(({ path }) => dirname(path))).size, 3);
    });

    test('the same name twenty times at once: twenty files', async (t) => {
      const { url } = await start(t, { limits: { uploadsAtOnce: 20 } });
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, n) =>
          post(url, multipart({ filename: 'a.txt', content: `file ${n}` })),
        ),
      );
      const contents = answers.map(({ body }) => readFileSync(String(body.path), 'utf8'));
      assert.deepEqual(
        contents,
        Array.from({ length: 20 }, (_, n) => `file ${n}`),
      );
    });

    test('weak point 5: a name that leads elsewhere stays in uploads/', async (t) => {
      const { url, dir } = await start(t);
      const names = [
        '../../x',
        '..\\\\..\\\\x',
        '/etc/x',
        '../../../../../../tmp/x',
        'a/../../x',
        '..',
        '%2e%2e%2fx',
      ];
      for (const filename of names) {
        const { status, body } = await post(url, multipart({ filename, content: 'x' }));
        assert.equal(status, 200, filename);
        const path = String(body.path);
        assert.equal(dirname(dirname(path)), join(dir, 'uploads'), filename);
        assert.equal(readFileSync(path, 'utf8'), 'x');
      }
      assert.equal(filesIn(dir).length, names.length);
      assert.ok(!existsSync(join(dir, 'x')) && !existsSync(join(dir, '..', 'x')));
    });

    test('what is no upload is refused with its reason, and leaves nothing', async (t) => {
      const gateway = await start(t);
      const { url } = gateway;
      const whole = multipart({ filename: 'a', content: 'x'.repeat(1_000) });
      for (const [body, type, status, code] of [
        [multipart(), MULTIPART, 400, 'upload.invalid'],
        ['', MULTIPART, 400, 'upload.invalid'],
        ['no document', MULTIPART, 400, 'upload.invalid'],
        [whole.subarray(0, 600), MULTIPART, 400, 'upload.invalid'],
        [whole.subarray(0, -4), MULTIPART, 400, 'upload.invalid'],
        [whole, 'multipart/form-data', 400, 'upload.invalid'],
        [whole, `multipart/form-data; boundary=${'b'.repeat(300)}`, 400, 'upload.invalid'],
        [whole, 'multipart/mixed; boundary=x', 415, 'content_type.unsupported'],
        [whole, 'application/json', 415, 'content_type.unsupported'],
        ['{}', 'text/plain', 415, 'content_type.unsupported'],
      ] as const) {
        const answer = await post(url, body, type);
        assert.deepEqual([answer.status, answer.body.code], [status, code], type);
      }
      assert.equal((await post(url, multipart())).body.error, 'No file');
      await untilNothingIsLeft(gateway);
    });

    test('a compressed body is refused before it is read, as an upload and as JSON', async (t) => {
      const gateway = await start(t);
      const json = { 'content-type': 'application/json' };
      for (const [path, headers, body] of [
        ['/api/upload', { 'content-type': MULTIPART }, multipart({ filename: 'a', content: 'x' })],
        ['/v1/chat/completions', json, '{"messages":[{"role":"user","content":"hi"}]}'],
      ] as const) {
        const ask = (body: Uint8Array | string, encoding: string) =>
          fetch(`${gateway.url}${path}`, {
            ...{ method: 'POST', body, headers: { ...headers, 'content-encoding': encoding } },
          });
        const refused = await ask(gzipSync(body), 'gzip');
        assert.deepEqual([refused.status, refused.headers.get('accept-encoding')], [415, 'identity'], path);
        assert.ok((await refused.text()).includes('"content_encoding.unsupported"'));
        if (path === '/api/upload') await untilNothingIsLeft(gateway);
        assert.notEqual((await ask(body, 'identity')).status, 415, path);
      }
    });

    test('beyond each limit: 413 that names it, and nothing is kept', async (t) => {
      const limits = {
        uploadFiles: 2,
        uploadFileBytes: 100_000,
        uploadBytes: 400_000,
        uploadTotalBytes: 250_000,
      };
      const gateway = await start(t, { limits });
      const part = (bytes: number) => ({ filename: 'a', content: Buffer.alloc(bytes, 1) });
      for (const [parts, limit] of [
        [[part(1), part(1), part(1)], 'upload_files'],
        [[part(1), part(100_001)], 'upload_file_bytes'],
        [[part(90_000), part(90_000), part(90_000)], 'upload_total_bytes'],
      ] as const) {
        const { status, body } = await post(gateway.url, multipart(...parts));
        assert.equal(status, 413);
        assert.equal(body.code, 'upload.too_large');
        assert.equal((body.details as { limit: string }).limit, limit);
        assert.match(String(body.error), new RegExp(`limits\\.${limit}\\b`));
      }
      const tooMuch = await post(gateway.url, multipart(part(500_000)));
      assert.equal(tooMuch.status, 413);
      await untilNothingIsLeft(gateway);
      assert.equal((await post(gateway.url, multipart(part(100_000)))).status, 200);
    });

    test('uploads/ fills up across requests, and has room again when somebody has made it', async (t) => {
      const { url, dir } = await start(t, { limits: { uploadTotalBytes: 10_000 } });
      const body = multipart({ filename: 'a', content: Buffer.alloc(6_000) });
      const first = await post(url, body);
      assert.equal(first.status, 200);
      assert.equal((await post(url, body)).status, 413);
      await writeFile(String(first.body.path), '');
      assert.equal((await post(url, body)).status, 200);
      assert.equal(filesIn(dir).length, 2);
    });

    test('a disk that is nearly full: 507 before the body is taken', async (t) => {
      const gateway = await start(t, { limits: { uploadReserveBytes: Number.MAX_SAFE_INTEGER } });
      const { status, body } = await post(gateway.url, multipart({ filename: 'a', content: 'x' }));
      assert.deepEqual([status, body.code], [507, 'storage.full']);
      await untilNothingIsLeft(gateway);
    });

    test('a client that goes away in the middle leaves nothing, and its place is free', async (t) => {
      const gateway = await start(t, { limits: { uploadsAtOnce: 1 } });
      for (let n = 0; n < 3; n += 1) {
        const socket = await beginUpload(gateway);
        const busy = await post(gateway.url, multipart({ filename: 'b', content: '' }));
        assert.deepEqual([busy.status, busy.body.code], [503, 'upload.busy']);
        socket.resetAndDestroy();
        await untilNothingIsLeft(gateway);
      }
      // The place of the last one is free a moment after its files are gone.
      const endMs = performance.now() + 20_000;
      let after = await post(gateway.url, multipart({ filename: 'b', content: '' }));
      while (after.body.code === 'upload.busy' && performance.now() < endMs) {
        after = await post(gateway.url, multipart({ filename: 'b', content: '' }));
      }
      assert.equal(after.status, 200, JSON.stringify(after.body));
    });

    test('with a token, nothing is taken without it', async (t) => {
      const { url, dir } = await start(t, { token: 'right' });
      const { status } = await post(url, multipart({ filename: 'a', content: 'x' }));
      assert.equal(status, 401);
      assert.equal((await fetch(`${url}/api/files`)).status, 401);
      assert.equal((await fetch(`${url}/api/files/x`)).status, 401);
      assert.deepEqual(filesIn(dir), []);
    });
  });
}

test('what a crash left half-written is gone after the next start, though nobody uploads anything', async (t) => {
  const dir = await tempDir(t);
  const left = join(dir, 'uploads', '.incoming', 'r1', 'f1');
  await mkdir(left, { recursive: true });
  await writeFile(join(left, 'half.bin'), 'half');
  const [, factory] = TRANSPORTS[0]!;
  await startFileGateway(t, factory, { dir });
  await until(() => !existsSync(left), 'it is swept', 10_000);
});

async function bareUploads(t: TestContext, retentionDays: number | undefined) {
  const dir = await tempDir(t);
  const path = join(dir, 'openagent.db');
  const db = await openDatabase(path, systemClock);
  t.after(() => db.close());
  const records = createFileRecords(db, path, systemClock);
  const limits = { ...DEFAULT_LIMITS, uploadReserveBytes: 1 };
  const uploads = new Uploads({
    ...{ dir, records, limits, retentionDays, roots: [], privateFiles: [], transcribe: undefined },
    ...{ clock: systemClock, log: silentLog },
  });
  const send = async (filename: string) => {
    async function* body() {
      yield multipart({ filename, content: filename });
    }
    const [file] = await uploads.receive({ contentType: MULTIPART, announcedBytes: 0, body: body() });
    assert.ok(file);
    return file;
  };
  return { dir, uploads, records, send };
}

test('with a retention, what is older goes with its record; what lies beside it stays', async (t) => {
  const { dir, uploads, records, send } = await bareUploads(t, 30);
  const [old, fresh] = [await send('old.txt'), await send('fresh.txt')];
  const daysAgo = (days: number) => Date.now() / 1_000 - days * 86_400;
  await utimes(dirname(old.path), daysAgo(31), daysAgo(31));
  await utimes(dirname(fresh.path), daysAgo(29), daysAgo(29));
  await mkdir(join(dir, 'uploads', 'mine'));
  await utimes(join(dir, 'uploads', 'mine'), daysAgo(99), daysAgo(99));
  await uploads.expire();
  assert.deepEqual(readdirSync(join(dir, 'uploads')).sort(), ['.incoming', fresh.id, 'mine'].sort());
  assert.deepEqual([records.find(old.id), records.find(fresh.id)?.filename], [undefined, 'fresh.txt']);
});

test('what is removed while an upload is under way does not make room for more than there is', async (t) => {
  const limits = { ...DEFAULT_LIMITS, uploadTotalBytes: 100, uploadReserveBytes: 0 };
  const directory = new UploadDirectory(join(await tempDir(t), 'uploads'), limits);
  async function* bytes(length: number): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(length);
  }
  const first = await directory.begin(0);
  await first.add('a', bytes(50));
  const [a] = await first.commit();
  const second = await directory.begin(0);
  await second.add('b', bytes(30));
  await directory.remove(['0'.repeat(32)]);
  await assert.rejects(second.add('c', bytes(30)), { code: 'upload.too_large' });
  await second.discard();
  await directory.remove([String(a?.id)]);
  const third = await directory.begin(100);
  await third.add('d', bytes(100));
  assert.equal((await third.commit()).length, 1);
});

test('without a retention nothing is ever removed', async (t) => {
  const { uploads, send } = await bareUploads(t, undefined);
  const file = await send('old.txt');
  await utimes(dirname(file.path), 1, 1);
  await uploads.expire();
  assert.ok(existsSync(file.path));
});

test('an upload that cannot be recorded is not kept', async (t) => {
  const { dir, send, records } = await bareUploads(t, undefined);
  await send('first.txt');
  records.add = () => {
    throw Object.assign(new Error('no'), { code: 'SQLITE_IOERR' });
  };
  await assert.rejects(send('second.txt'));
  assert.deepEqual(
    filesIn(dir).map((file) => basename(file)),
    ['first.txt'],
  );
});

test('a boundary with quotes and a body in one byte pieces is understood', async (t) => {
  const { uploads } = await bareUploads(t, undefined);
  async function* body() {
    for (const byte of multipart({ filename: 'a', content: 'bytes' })) yield Buffer.from([byte]);
  }
  const type = `Multipart/Form-Data; charset=utf-8; boundary="${BOUNDARY}"`;
  const [file] = await uploads.receive({ contentType: type, announcedBytes: 0, body: body() });
  assert.equal(readFileSync(file?.path ?? '', 'utf8'), 'bytes');
});

/** An upload of which some bytes are on disk, and the rest does not come. */
async function beginUpload({ gateway, dir }: Awaited<ReturnType<typeof startFileGateway>>): Promise<Socket> {
  const deadlineMs = performance.now() + 20_000;
  for (;;) {
    const socket = connect(gateway.port, '127.0.0.1');
    let isRefused = false;
    socket.on('error', () => {});
    // The place of the one before is free a moment after its files are gone.
    socket.on('data', () => {
      isRefused = true;
    });
    socket.write(
      `POST /api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${MULTIPART}\r\nContent-Length: 9000000\r\n\r\n`,
    );
    socket.write(multipart({ filename: 'a.bin', content: Buffer.alloc(300_000) }).subarray(0, 250_000));
    const isOnDisk = () => filesIn(dir).some((file) => statSync(file).size > 0);
    await until(() => isRefused || isOnDisk(), 'bytes on disk, or a refusal', 10_000);
    if (!isRefused) return socket;
    socket.destroy();
    assert.ok(performance.now() < deadlineMs, 'its place is free');
  }
}
