import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { AppError } from '../../src/contract/errors.ts';
import { readMultipart } from '../../src/uploads/read-multipart.ts';
import { BOUNDARY, MULTIPART, multipart, type Part } from '../fixtures/file-gateway.ts';

const RUNS = Math.max(150, 40 * Number(process.env.OPENAGENT_TEST_RUNS ?? 0));
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);
const DEADLINE_MS = 20_000;

interface Got {
  readonly name: string;
  readonly content: Buffer;
}

/** In pieces of these sizes, over and over; each is gone when the next one is asked for. */
async function* inPieces(bytes: Uint8Array, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0;
  for (let n = 0; at < bytes.length; n += 1) {
    const size = sizes[n % sizes.length] ?? 1;
    const piece = Uint8Array.from(bytes.subarray(at, at + size));
    yield piece;
    piece.fill(0xff);
    at += size;
  }
}

async function read(body: AsyncIterable<Uint8Array>, filesMax = 16): Promise<Got[]> {
  const got: Got[] = [];
  await readMultipart({
    ...{ contentType: MULTIPART, body, filesMax },
    onFile: async (name, content) => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of content) chunks.push(Buffer.from(chunk));
      got.push({ name, content: Buffer.concat(chunks) });
    },
  });
  return got;
}

/** A hang must be a failure of its own, not one of the runner. */
async function settled<T>(work: Promise<T>): Promise<T | AppError> {
  const timer = new AbortController();
  const late = delay(DEADLINE_MS, undefined, { signal: timer.signal }).then(() => {
    throw new Error('It neither ends nor fails');
  });
  late.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } catch (error) {
    if (AppError.is(error)) return error;
    throw error;
  } finally {
    timer.abort();
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 5 });
const content = fc.oneof(
  fc.uint8Array({ maxLength: 2_000 }),
  // What looks like the end of a part and is none.
  fc
    .array(fc.constantFrom('\r\n', '--', 'x-boundary', '\r\n--x-boundary-', '\n', 'a', '\r'), {
      maxLength: 60,
    })
    .map((parts) => parts.join(''))
    .filter((text) => !text.includes(BOUNDARY))
    .map((text) => Buffer.from(text)),
);
const part: fc.Arbitrary<Part> = fc.record({
  filename: fc.string({ unit: fc.constantFrom(...'abcä .-_%()'), minLength: 1, maxLength: 30 }),
  content,
});

test('however a document is cut into pieces, every file arrives as it was sent', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 6 }), sizes, async (parts, cuts) => {
      const got = await settled(read(inPieces(multipart(...parts), cuts)));
      assert.deepEqual(
        got,
        parts.map((each) => ({ name: each.filename, content: Buffer.from(each.content as Uint8Array) })),
      );
    }),
    { numRuns: RUNS, seed: SEED },
  );
});

test('a piece stays as it was for as long as it takes to deal with it', async () => {
  const parts = ['\r\n'.repeat(3_000), 'b'.repeat(200_000), '', 'c'].map((text, n) => ({
    filename: `${n}`,
    content: Buffer.from(text),
  }));
  const got: Buffer[] = [];
  const reading = readMultipart({
    ...{ contentType: MULTIPART, body: inPieces(multipart(...parts), [64 * 1024, 7]), filesMax: 16 },
    onFile: async (_name, file) => {
      const pieces: Buffer[] = [];
      for await (const piece of file) {
        for (let round = 0; round < 5; round += 1) await setImmediate();
        pieces.push(Buffer.from(piece));
      }
      got.push(Buffer.concat(pieces));
    },
  });
  assert.equal(await settled(reading), undefined);
  assert.deepEqual(
    got,
    parts.map(({ content: sent }) => sent),
  );
});

test('whoever takes a file and wants none of it holds nobody up', async () => {
  const parts = ['a'.repeat(200_000), 'b'].map((text, n) => ({
    filename: `${n}`,
    content: Buffer.from(text),
  }));
  const names: string[] = [];
  const reading = readMultipart({
    ...{ contentType: MULTIPART, body: inPieces(multipart(...parts), [64 * 1024]), filesMax: 16 },
    onFile: async (name) => void names.push(name),
  });
  assert.equal(await settled(reading), undefined);
  assert.deepEqual(names, ['0', '1']);
});

test('whatever is sent, it ends: with files, or with a refusal that was foreseen', async () => {
  const damage = fc.array(
    fc.record({
      at: fc.nat(3_000),
      cut: fc.nat(60),
      text: fc.constantFrom(
        '',
        '\r\n',
        '\r\n\r\n',
        '--',
        '--x-boundary-x',
        '--x-boundary-x--',
        '\0',
        ':',
        '"',
      ),
    }),
    { minLength: 1, maxLength: 6 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 4 }), damage, sizes, async (parts, holes, cuts) => {
      let bytes = multipart(...parts);
      for (const { at, cut, text } of holes) {
        const from = at % (bytes.length + 1);
        bytes = Buffer.concat([bytes.subarray(0, from), Buffer.from(text), bytes.subarray(from + cut)]);
      }
      const got = await settled(read(inPieces(bytes, cuts)));
      assert.ok(Array.isArray(got) || got.code === 'upload.invalid', String(got));
    }),
    { numRuns: RUNS, seed: SEED },
  );
});

test('a client that goes away ends the reader of the file it was sending', async () => {
  const bytes = multipart({ filename: 'a', content: Buffer.alloc(1_000) });
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield bytes.subarray(0, 500);
    throw new AppError('request.invalid', 'gone');
  }
  const got = await settled(read(broken()));
  assert.ok(AppError.is(got) && got.code === 'request.invalid');
});

test('whoever takes the files and fails ends the reading of the body', async () => {
  const bytes = multipart({ filename: 'a', content: Buffer.alloc(5_000_000) });
  let wasLetGo = false;
  async function* body(): AsyncGenerator<Uint8Array> {
    try {
      yield* inPieces(bytes, [64 * 1024]);
    } finally {
      wasLetGo = true;
    }
  }
  const failing = readMultipart({
    ...{ contentType: MULTIPART, body: body(), filesMax: 1 },
    onFile: async (_name, file) => {
      for await (const _ of file) throw new AppError('storage.full', 'full');
    },
  });
  const got = await settled(failing);
  assert.ok(AppError.is(got) && got.code === 'storage.full');
  assert.ok(wasLetGo);
});

test('parts without a file name are files only where they come first', async () => {
  const field = { name: 'lang', filename: undefined, content: 'en' };
  const file = { filename: 'a.txt', content: 'text' };
  const names = async (...parts: Part[]) =>
    (await read(inPieces(multipart(...parts), [100]))).map(({ name }) => name);
  assert.deepEqual(await names(file, field), ['a.txt']);
  assert.deepEqual(await names(field, file), ['', 'a.txt']);
});
