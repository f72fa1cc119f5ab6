/** HTTP itself: what any request is answered with, whatever route it is for. */
import { gunzipSync } from 'node:zlib';
import { type Check, type CheckGroup, expectThat, Skipped, shown } from '../check.ts';
import type { Target } from '../target.ts';

const HEALTH = '/api/health';

const health: Check = {
  name: 'GET /api/health says that the agent lives',
  expected: '200 {status: "ok", agent, version, connected_clients}, without a credential',
  async run(target) {
    const answer = await target.askBare(HEALTH);
    expectThat(answer.status === 200, answer.summary);
    const body = answer.json() as Record<string, unknown>;
    const isRight =
      body.status === 'ok' &&
      typeof body.agent === 'string' &&
      typeof body.version === 'string' &&
      Number.isInteger(body.connected_clients);
    expectThat(isRight, shown(body));
    return shown(body);
  },
};

const json: Check = {
  name: 'answers are declared as JSON',
  expected: 'content-type: application/json; charset=utf-8',
  async run(target) {
    const type = (await target.askBare(HEALTH)).header('content-type');
    expectThat(/^application\/json; ?charset=utf-8$/i.test(type), type || 'no content-type');
    return type;
  },
};

const head: Check = {
  name: 'HEAD is answered as GET, without the body',
  expected: '200, the same content-type, no body',
  isBeyond: true,
  async run(target) {
    const [get, answer] = [await target.askBare(HEALTH), await target.askBare(HEALTH, { method: 'HEAD' })];
    const seen = `${answer.status}, ${answer.header('content-type')}, ${answer.body.length} bytes`;
    expectThat(answer.status === 200 && answer.body.length === 0, seen);
    expectThat(answer.header('content-type') === get.header('content-type'), seen);
    return seen;
  },
};

const options: Check = {
  name: 'OPTIONS is answered anywhere',
  expected: '204 without a body, on a known and on an unknown path',
  async run(target) {
    for (const path of [HEALTH, `/api/${target.mark}/nowhere`]) {
      const answer = await target.askBare(path, { method: 'OPTIONS' });
      expectThat(answer.status === 204 && answer.body.length === 0, `${answer.summary} on ${path}`);
    }
    return '204, 204';
  },
};

const unknownPath: Check = {
  name: 'an unknown path is said to be unknown',
  expected: '404 {error, code: "route.not_found"}; 405 by the reference',
  async run(target) {
    const answer = await target.ask(`/api/${target.mark}`);
    if (target.isReference) {
      expectThat(answer.status === 404 || answer.status === 405, answer.summary);
      return answer.summary;
    }
    const body = answer.json() as Record<string, unknown>;
    expectThat(answer.status === 404 && body.code === 'route.not_found', answer.summary);
    expectThat(typeof body.error === 'string' && body.error !== '', shown(body));
    return answer.summary;
  },
};

const wrongMethod: Check = {
  name: 'a wrong method is said to be wrong',
  expected: '405 with `Allow: GET, …`',
  async run(target) {
    const answer = await target.ask(HEALTH, { method: 'PATCH' });
    const seen = `${answer.summary}, allow: ${answer.header('allow') || '–'}`;
    expectThat(answer.status === 405 && /\bGET\b/.test(answer.header('allow')), seen);
    return seen;
  },
};

const harmlessHeaders: Check = {
  name: 'answers cannot be taken for something else, or kept by caches',
  expected: 'x-content-type-options: nosniff, cache-control: no-store',
  isBeyond: true,
  async run(target) {
    const answer = await target.askBare(HEALTH);
    const [sniff, cache] = [answer.header('x-content-type-options'), answer.header('cache-control')];
    expectThat(sniff === 'nosniff' && /no-store|no-cache/.test(cache), `${sniff || '–'}, ${cache || '–'}`);
    return `${sniff}, ${cache}`;
  },
};

const manyAtOnce: Check = {
  name: 'many requests at once are all answered',
  expected: '50 times 200',
  async run(target) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => target.askBare(HEALTH)));
    const others = answers.filter(({ status }) => status !== 200);
    expectThat(others.length === 0, `${others.length} others, first: ${others[0]?.summary}`);
    return '50 times 200';
  },
};

const longPath: Check = {
  name: 'an absurd path is refused',
  expected: 'a status of 400 to 431 for a path of 8,000 characters, and an answer to the next request',
  async run(target) {
    const answer = await target.ask(`/api/${'x'.repeat(8_000)}`);
    expectThat(answer.status >= 400 && answer.status <= 431, answer.summary);
    expectThat((await target.askBare(HEALTH)).status === 200, 'no health afterwards');
    return String(answer.status);
  },
};

/** Any route with a JSON body will do; a note of a folder that does not exist is harmless. */
function bodyPath(target: Target): string {
  return `/api/vault/notes/${target.mark}/${encodeURIComponent('never written')}.md`;
}

async function sendBody(target: Target, body: string, contentType: string) {
  const headers = { 'content-type': contentType };
  const answer = await target.ask(bodyPath(target), { method: 'PUT', body, headers });
  if (target.isAbsent(answer)) throw new Skipped('no route with a JSON body to send it to');
  return answer;
}

const badJson: Check = {
  name: 'a body that is not JSON is refused',
  expected: '400 request.bad_json; 500 by the reference',
  async run(target) {
    const seen: string[] = [];
    for (const body of ['{', '', '\u0000']) {
      const answer = await sendBody(target, body, 'application/json');
      const isRight = target.isReference
        ? answer.status >= 400
        : answer.status === 400 && answer.text.includes('request.bad_json');
      expectThat(isRight, `${answer.summary} for ${JSON.stringify(body)}`);
      seen.push(String(answer.status));
    }
    return seen.join(', ');
  },
};

const formBody: Check = {
  name: 'what an HTML form can send is not taken for JSON',
  expected: '415 for text/plain, application/x-www-form-urlencoded and multipart/form-data',
  isBeyond: true,
  async run(target) {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
    ]) {
      const answer = await sendBody(target, '{"content":""}', type);
      expectThat(answer.status === 415, `${answer.summary} for ${type}`);
    }
    return '415, 415, 415';
  },
};

const wrongBody: Check = {
  name: 'JSON of another shape is refused with the field that is wrong',
  expected: '400 request.invalid that names `content`',
  isBeyond: true,
  async run(target) {
    const answer = await sendBody(target, '{"content":42}', 'application/json');
    const isRight = answer.status === 400 && answer.text.includes('request.invalid');
    expectThat(isRight && answer.text.includes('content'), answer.summary);
    return answer.summary;
  },
};

/** Large enough to be worth compressing, and with a version: the description of the interface itself. */
const DOCUMENT = '/api/openapi.json';

const compressed: Check = {
  name: 'a large answer is compressed for who can read it',
  expected: 'content-encoding: gzip that gives the same document, `Vary: Accept-Encoding`',
  isBeyond: true,
  async run(target) {
    const plain = await target.askIfThere(DOCUMENT);
    const answer = await target.ask(DOCUMENT, { headers: { 'accept-encoding': 'gzip' } });
    const encoding = answer.header('content-encoding');
    if (encoding === '' && answer.status === 200) throw new Skipped('this gateway does not compress');
    const seen = `${encoding}, vary: ${answer.header('vary')}, ${answer.body.length} of ${plain.body.length} bytes`;
    expectThat(encoding === 'gzip' && /accept-encoding/i.test(answer.header('vary')), seen);
    const same = gunzipSync(answer.body, { maxOutputLength: plain.body.length }).equals(plain.body);
    expectThat(same, `another document, ${seen}`);
    return seen;
  },
};

const notModified: Check = {
  name: 'what the client has is not sent again',
  expected: '304 without a body for the ETag of the last answer, 200 for another one',
  isBeyond: true,
  async run(target) {
    const etag = (await target.askIfThere(DOCUMENT)).header('etag');
    if (etag === '') throw new Skipped('this gateway gives no ETag');
    const [same, other] = [
      await target.ask(DOCUMENT, { headers: { 'if-none-match': etag } }),
      await target.ask(DOCUMENT, { headers: { 'if-none-match': '"another"' } }),
    ];
    const seen = `${same.status} with ${same.body.length} bytes for ${etag}, ${other.status} for another`;
    expectThat(same.status === 304 && same.body.length === 0 && other.status === 200, seen);
    return seen;
  },
};

export const HTTP_CHECKS: CheckGroup = {
  area: 'http',
  checks: [
    ...[health, json, head, options, unknownPath, wrongMethod, harmlessHeaders],
    ...[manyAtOnce, longPath, badJson, formBody, wrongBody, compressed, notModified],
  ],
};
