import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { ifMatchHolds, ifNoneMatchHolds } from '../../src/contract/etag.ts';
import { compress } from '../../src/gateway/compress.ts';
import { isNestedDeeper } from '../../src/gateway/json-depth.ts';
import type { HttpResponse } from '../../src/gateway/transport.ts';
import { type Ask, codeOf, request, text } from '../fixtures/http-app.ts';
import { LONG, startReplies, VERSION } from '../fixtures/http-replies.ts';

async function ask(asked: Ask): Promise<HttpResponse> {
  return startReplies().app.handle(request(asked));
}

function plainOf({ body, headers }: HttpResponse): string {
  assert.ok(typeof body === 'string' || body instanceof Uint8Array);
  if (headers['content-encoding'] === 'br') return String(brotliDecompressSync(body));
  return headers['content-encoding'] === 'gzip' ? String(gunzipSync(body)) : String(body);
}

describe('what a handler is given', () => {
  test('the headers its row names, and no others', async () => {
    const headers = { range: 'bytes=0-', 'if-range': '"x"', cookie: 'secret' };
    assert.equal(text(await ask({ path: '/headers', headers })), '{"range":"bytes=0-","if-match":""}');
    const searched = await ask({ path: '/searched', query: 'q=a', headers });
    assert.equal(text(searched), '{"q":"a","if-range":"\\"x\\""}');
  });

  test('a body as it arrives, refused beyond the limit of uploads', async () => {
    const upload = { method: 'POST', path: '/upload' };
    assert.equal(text(await ask({ ...upload, body: 'x'.repeat(10_000) })), '{"bytes":10000}');
    const tooLarge = await ask({ ...upload, body: 'x'.repeat(10_001) });
    assert.deepEqual([tooLarge.status, codeOf(tooLarge)], [413, 'body.too_large']);
  });
});

describe('answers with a version', () => {
  test('have it quoted, beside a status and headers of their own', async () => {
    const { status, headers, body } = await ask({ method: 'POST', path: '/created' });
    assert.deepEqual([status, headers.etag, headers.location, body], [201, '"v1"', '/created/1', '"made"']);
    assert.equal(headers['x-content-type-options'], 'nosniff');
  });

  const ifNoneMatch: readonly [string, number, string?][] = [
    ['', 200],
    ['"v1"', 304, '"v1"'],
    ['W/"v1"', 304, '"v1"'],
    ['"v0", W/"v1"', 304, '"v1"'],
    ['"v1-gzip"', 304, '"v1-gzip"'],
    ['*', 304, '"v1"'],
    ['v1', 304, '"v1"'],
    ['"v0"', 200],
    ['"v11"', 200],
    ['"V1"', 200],
  ];
  for (const method of ['GET', 'HEAD'])
    for (const path of ['/versioned/10', '/stream/whole', '/stream/part'])
      for (const [header, status, etag = '"v1"'] of ifNoneMatch) {
        test(`${method} ${path} with If-None-Match ${header || 'absent'}: ${status}`, async () => {
          const { app, opened } = startReplies();
          const response = await app.handle(request({ method, path, headers: { 'if-none-match': header } }));
          const expected = status === 200 && path === '/stream/part' ? 206 : status;
          assert.deepEqual([response.status, response.headers.etag], [expected, etag]);
          if (status !== 304) return;
          assert.deepEqual([response.body, opened()], ['', 0]);
          assert.equal(response.headers['content-type'], undefined);
          assert.equal(response.headers.vary, 'Origin, Accept-Encoding');
        });
      }

  test('a write is never answered with 304', async () => {
    const asked = { method: 'POST', path: '/created', headers: { 'if-none-match': '*' } };
    assert.equal((await ask(asked)).status, 201);
  });

  test('a version that cannot be quoted is a defect', async () => {
    const { app, defects } = startReplies();
    assert.equal((await app.handle(request({ path: '/bad-version' }))).status, 500);
    assert.equal(defects.length, 1);
  });

  const cases: readonly [string, string | undefined, boolean, boolean][] = [
    ['', 'a', true, true],
    ['', undefined, true, true],
    ['*', 'a', true, false],
    ['*', undefined, false, true],
    ['"a"', 'a', true, false],
    ['"a"', undefined, false, true],
    ['"b" , "a"', 'a', true, false],
    ['W/"a"', 'a', false, false],
    ['W/"a", "a"', 'a', true, false],
    ['"a-br"', 'a', true, false],
    ['"a-brr"', 'a', false, true],
    ['a', 'a', true, false],
    ['"A"', 'a', false, true],
    ['"', 'a', false, true],
  ];
  for (const [header, version, isMatch, isNoneMatch] of cases) {
    test(`${header || 'no tag'} beside ${version ?? 'nothing'}`, () => {
      assert.equal(ifMatchHolds(header, version), isMatch, 'If-Match');
      assert.equal(ifNoneMatchHolds(header, version), isNoneMatch, 'If-None-Match');
    });
  }
});

describe('compression', () => {
  const accepts: readonly [string, string | undefined][] = [
    ['', undefined],
    ['gzip', 'gzip'],
    ['br', 'br'],
    ['gzip;q=0.5, br;q=1', 'br'],
    ['gzip, br;q=0.5', 'gzip'],
    ['br;q=0, *;q=0.5', 'gzip'],
    ['deflate', undefined],
    ['identity, gzip;q=0.1', undefined],
    ['gzip;q=0', undefined],
    ['GZIP', 'gzip'],
    [';;,,=', undefined],
  ];
  for (const [accept, encoding] of accepts) {
    test(`Accept-Encoding ${accept || 'absent'}: ${encoding ?? 'plain'}`, async () => {
      for (const method of ['GET', 'HEAD']) {
        const response = await ask({ method, path: '/long', headers: { 'accept-encoding': accept } });
        assert.deepEqual([response.status, response.headers['content-encoding']], [200, encoding]);
        assert.equal(response.headers.vary, 'Origin, Accept-Encoding');
        assert.equal(plainOf(response), JSON.stringify(LONG));
      }
    });
  }

  const types: readonly [string, boolean][] = [
    ['text/html; charset=utf-8', true],
    ['text/markdown', true],
    ['image/svg+xml', true],
    ['application/json', true],
    ['application/openapi+json', true],
    ['image/png', false],
    ['application/zip', false],
    ['application/octet-stream', false],
  ];
  for (const [type, isCompressed] of types) {
    test(`${type} is ${isCompressed ? '' : 'not '}compressed`, async () => {
      const response = await ask({ path: `/bytes/${type}`, headers: { 'accept-encoding': 'gzip, br' } });
      assert.equal('content-encoding' in response.headers, isCompressed);
      assert.equal(response.headers['content-type'], type);
      assert.equal(plainOf(response), LONG);
    });
  }

  test('the same bytes are packed once for each encoding, also for two who ask at once', async () => {
    const answer = { status: 200, headers: {}, body: Buffer.from(LONG) };
    const [first, second, other] = await Promise.all([
      compress(answer, 'gzip'),
      compress(answer, 'gzip'),
      compress(answer, 'br'),
    ]);
    assert.equal(first.body, second.body);
    assert.equal((await compress(answer, 'gzip')).body, first.body);
    assert.notEqual(other.body, first.body);
    assert.deepEqual([first, second, other].map(plainOf), [LONG, LONG, LONG]);
    const changed = await compress({ ...answer, body: Buffer.from(`${LONG}!`) }, 'gzip');
    assert.equal(plainOf(changed), `${LONG}!`);
  });

  test('the tag of a compressed answer is another one, and still names the version to a writer', async () => {
    const headers = { 'accept-encoding': 'br' };
    const { headers: given } = await ask({ path: '/versioned/5000', headers });
    assert.deepEqual([given['content-encoding'], given.etag], ['br', `"${VERSION}-br"`]);
    assert.ok(ifMatchHolds(given.etag ?? '', VERSION));
    const again = await ask({
      path: '/versioned/5000',
      headers: { ...headers, 'if-none-match': given.etag! },
    });
    assert.deepEqual([again.status, again.headers.etag], [304, given.etag]);
  });

  test('short answers, streams, errors and answers that need no waiting are left as they are', async () => {
    const headers = { 'accept-encoding': 'gzip' };
    for (const path of ['/short', '/versioned/900', '/stream/whole', '/nowhere', '/headers']) {
      const response = await ask({ path, headers });
      assert.deepEqual([response.headers['content-encoding'], response.headers.vary], [undefined, 'Origin']);
    }
  });
});

describe('Server-Timing', () => {
  test('stands on answers that were waited for, failed ones too, and on no others', async () => {
    for (const path of ['/long', '/short', '/searched']) {
      assert.match((await ask({ path })).headers['server-timing'] ?? '', /^app;dur=\d+\.\d$/, path);
    }
    for (const path of ['/headers', '/versioned/1', '/nowhere']) {
      assert.equal((await ask({ path })).headers['server-timing'], undefined, path);
    }
  });
});

describe('streamed answers', () => {
  async function drain(how: string) {
    const started = startReplies();
    const { body } = await started.app.handle(request({ path: `/stream/${how}` }));
    assert.ok(typeof body === 'object' && 'open' in body);
    assert.equal(body.length, 10);
    const chunks: Uint8Array[] = [];
    let error: unknown;
    try {
      for await (const chunk of body.open()) {
        chunks.push(chunk);
        if (how === 'left') break;
      }
    } catch (thrown) {
      error = thrown;
    }
    assert.equal(started.released(), 1);
    return { read: Buffer.concat(chunks).toString(), error, defects: started.defects };
  }

  test('come through whole', async () => {
    assert.deepEqual(await drain('whole'), { read: '0123456789', error: undefined, defects: [] });
  });

  test('that nobody reads to the end are let go of without a word', async () => {
    assert.deepEqual(await drain('left'), { read: '0123', error: undefined, defects: [] });
  });

  for (const [how, message] of [
    ['broken', /the disk is gone/],
    ['short', /A stream of 10 bytes ended after 4/],
  ] as const) {
    test(`that are ${how} are told as a defect and fail towards the transport`, async () => {
      const { error, defects } = await drain(how);
      assert.match(String(error), message);
      assert.deepEqual(defects, [{ error, where: `GET /stream/${how}` }]);
    });
  }
});

test('nesting is counted outside of strings, whatever they escape', () => {
  const cases: readonly [string, number][] = [
    ['1', 0],
    ['[]', 1],
    ['[[],{"a":[]}]', 3],
    ['"[[["', 0],
    ['["\\"[["]', 1],
    ['["\\\\",[]]', 2],
    ['{"[":"{"}', 1],
  ];
  for (const [json, depth] of cases) {
    assert.equal(isNestedDeeper(Buffer.from(json), depth), false, json);
    if (depth > 0) assert.equal(isNestedDeeper(Buffer.from(json), depth - 1), true, json);
  }
});
