/** kill -9 and a full disk in the middle of an upload: what is found afterwards is whole, or it is not there. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/contract/clock.ts';
import { AppError } from '../../src/contract/errors.ts';
import { DEFAULT_LIMITS } from '../../src/contract/limits.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { createFileRecords } from '../../src/storage/file-records.ts';
import { Uploads } from '../../src/uploads/uploads.ts';
import { MULTIPART, multipart } from '../fixtures/file-gateway.ts';
import { mountTmpfs, whyNoMount } from '../fixtures/mounts.ts';
import { silentLog, tempDir } from '../fixtures/turns.ts';
import { TYPESCRIPT } from '../fixtures/typescript.ts';
import { KILL_FILES } from '../fixtures/upload-kill-files.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/upload-kill.ts', import.meta.url));
const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 0);

async function run(...args: string[]): Promise<{ signal: string | null; output: string }> {
  const child = spawn(process.execPath, [...TYPESCRIPT, PROGRAM, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  const [, signal] = await once(child, 'close');
  return { signal, output };
}

async function open(t: TestContext, dir: string) {
  const path = join(dir, 'openagent.db');
  const db = await openDatabase(path, systemClock);
  t.after(() => db.close());
  const records = createFileRecords(db, path, systemClock);
  const uploads = new Uploads({
    ...{ dir, roots: [], privateFiles: [], retentionDays: undefined, transcribe: undefined },
    ...{ records, limits: { ...DEFAULT_LIMITS, uploadReserveBytes: 1 } },
    ...{ clock: systemClock, log: silentLog },
  });
  return { uploads, records };
}

/** Files under `uploads/` that anybody can see. */
function visible(dir: string): readonly string[] {
  return readdirSync(join(dir, 'uploads'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('.incoming'))
    .map((entry) => join(entry.parentPath, entry.name));
}

async function checkAfterKill(t: TestContext, dir: string, point: string): Promise<void> {
  if (!existsSync(join(dir, 'uploads'))) return;
  const before = visible(dir);
  const { uploads, records } = await open(t, dir);
  await uploads.sweep();
  assert.deepEqual(visible(dir), before, point);
  assert.ok(!existsSync(join(dir, 'uploads', '.incoming')), point);
  for (const path of before) {
    const sent = KILL_FILES.find(({ filename }) => filename === basename(path));
    assert.ok(sent && readFileSync(path).equals(sent.content), `${point}: ${path} is whole`);
  }
  for (const { path } of records.select({ limit: 10 })) assert.ok(before.includes(path), `${point}: ${path}`);
}

test('kill -9 at any call of the file system: each file is whole, or it is not there', async (t) => {
  const whole = await run(await tempDir(t));
  const calls = Number(whole.output);
  assert.ok(calls > 20, `${calls} calls`);
  const step = RUNS > 0 ? 1 : Math.ceil(calls / 4);
  const points = Array.from({ length: Math.floor(calls / step) }, (_, n) => calls - n * step);
  const cases = points.flatMap((count) =>
    (RUNS > 0 ? ['before', 'behind'] : ['behind']).map((when) => [when, String(count)] as const),
  );
  for (let at = 0; at < cases.length; at += 2) {
    await Promise.all(
      cases.slice(at, at + 2).map(async ([when, count]) => {
        const dir = await tempDir(t);
        const { signal } = await run(dir, when, count);
        assert.equal(signal, 'SIGKILL', `${when} call ${count}`);
        await checkAfterKill(t, dir, `${when} call ${count} of ${calls}`);
      }),
    );
  }
});

test('a disk that fills up in the middle: 507, nothing is left, and the next one fits', {
  skip: whyNoMount(),
}, async (t) => {
  const dir = mountTmpfs(t, '2m');
  const { uploads } = await open(t, dir);
  const send = (bytes: number) => {
    async function* body(): AsyncGenerator<Uint8Array> {
      yield* [
        multipart(
          { filename: 'first', content: 'whole' },
          { filename: 'a', content: Buffer.alloc(bytes, 1) },
        ),
      ];
    }
    return uploads.receive({ contentType: MULTIPART, announcedBytes: 0, body: body() });
  };
  for (const bytes of [2_000_000, 3_000_000, 5_000_000]) {
    await assert.rejects(send(bytes), (error) => AppError.is(error) && error.code === 'storage.full');
    assert.deepEqual(visible(dir), []);
    assert.deepEqual(readdirSync(join(dir, 'uploads', '.incoming')), []);
  }
  assert.equal((await send(100_000)).length, 2);
});
