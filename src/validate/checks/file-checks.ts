/** Uploads, each of which must arrive under its name in a place of its own, and the log. */
import { type Check, type CheckGroup, expectThat, Skipped, shown } from '../check.ts';
import type { HttpAnswer } from '../http-client.ts';
import type { Target } from '../target.ts';

const UPLOAD = '/api/upload';
const BOUNDARY = 'openagent-validate-boundary';

interface Part {
  readonly name: string;
  readonly content: string | Uint8Array;
}

function multipart(parts: readonly Part[]): Buffer {
  const chunks = parts.flatMap(({ name, content }) => [
    `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="${name}"\r\n`,
    'content-type: application/octet-stream\r\n\r\n',
    content,
    '\r\n',
  ]);
  return Buffer.concat([...chunks, `--${BOUNDARY}--\r\n`].map((chunk) => Buffer.from(chunk as string)));
}

function send(target: Target, parts: readonly Part[]): Promise<HttpAnswer> {
  const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
  return target.askIfThere(UPLOAD, { method: 'POST', headers, body: multipart(parts) });
}

async function sendWell(target: Target, part: Part): Promise<{ path: string; filename: string }> {
  const answer = await send(target, [part]);
  expectThat(answer.status === 200, answer.summary);
  const { path, filename } = answer.json() as { path?: unknown; filename?: unknown };
  expectThat(typeof path === 'string' && typeof filename === 'string', shown(answer.text));
  return { path, filename };
}

const small: Check = {
  name: 'a small file is taken',
  expected: '200 {path, filename}, the filename as sent',
  async run(target) {
    const seen = await sendWell(target, { name: `${target.mark}.txt`, content: 'small\n' });
    expectThat(seen.filename === `${target.mark}.txt` && seen.path.endsWith(seen.filename), shown(seen));
    return shown(seen);
  },
};

const empty: Check = {
  name: 'an empty file is taken',
  expected: '200 {path, filename}',
  async run(target) {
    return shown(await sendWell(target, { name: `${target.mark}-empty.txt`, content: '' }));
  },
};

const binary: Check = {
  name: 'any bytes are taken',
  expected: '200 {path, filename} for all 256 values of a byte',
  async run(target) {
    const content = Uint8Array.from({ length: 16_384 }, (_, at) => at % 256);
    return shown(await sendWell(target, { name: `${target.mark}.bin`, content }));
  },
};

const oddName: Check = {
  name: 'a name with blanks, quotes and umlauts stays recognisable',
  expected: '`Größe` in path or filename',
  async run(target) {
    const seen = await sendWell(target, { name: `${target.mark} – Größe (1).txt`, content: 'odd' });
    expectThat(`${seen.path} ${seen.filename}`.normalize('NFC').includes('Größe'), shown(seen));
    return shown(seen);
  },
};

const sameName: Check = {
  name: 'files of one name do not overwrite each other',
  expected: 'five at once get five paths',
  async run(target) {
    const part = { name: `${target.mark}-same.txt`, content: 'same' };
    const all = await Promise.all(Array.from({ length: 5 }, () => sendWell(target, part)));
    const paths = new Set(all.map(({ path }) => path));
    expectThat(paths.size === 5, `${paths.size} paths`);
    return '5 paths';
  },
};

const climbing: Check = {
  name: 'a name cannot lead elsewhere',
  expected: 'refused, or a path without `..`',
  isBeyond: true,
  async run(target) {
    const answer = await send(target, [{ name: `../../${target.mark}-up.txt`, content: 'up' }]);
    if (answer.status !== 200) {
      expectThat(answer.status >= 400 && answer.status < 500, answer.summary);
      return answer.summary;
    }
    const { path } = answer.json() as { path?: unknown };
    expectThat(typeof path === 'string' && !path.includes('..'), shown(path));
    return path;
  },
};

const nothing: Check = {
  name: 'an upload without a file is refused',
  expected: '400 with a JSON error',
  async run(target) {
    const answer = await send(target, []);
    expectThat(answer.status === 400 || answer.status === 422, answer.summary);
    const { error } = answer.json() as { error?: unknown };
    expectThat(typeof error === 'string', shown(answer.text));
    return answer.summary;
  },
};

const notMultipart: Check = {
  name: 'an upload that is no form is refused',
  expected: '400 or 415; 500 by the reference',
  async run(target) {
    const headers = { 'content-type': 'application/octet-stream' };
    const answer = await target.askIfThere(UPLOAD, { method: 'POST', headers, body: 'plain' });
    expectThat([400, 415].includes(answer.status) || target.isReference, answer.summary);
    return answer.summary;
  },
};

const cutOff: Check = {
  name: 'an upload that breaks off is refused',
  expected: 'a status of 400 to 422 for a form without its end',
  isBeyond: true,
  async run(target) {
    const whole = multipart([{ name: `${target.mark}-cut.txt`, content: 'cut' }]);
    const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
    const body = whole.subarray(0, whole.length - BOUNDARY.length - 8);
    const answer = await target.askIfThere(UPLOAD, { method: 'POST', headers, body });
    expectThat(answer.status >= 400 && answer.status <= 422, answer.summary);
    return answer.summary;
  },
};

const download: Check = {
  name: 'a file that was sent can be fetched, whole or in part',
  expected:
    'listed, the same bytes as an attachment, 206 for a range, 416 behind the end, 404 for no such file',
  isBeyond: true,
  async run(target) {
    const content = `range of ${target.mark}`;
    const { path } = await sendWell(target, { name: `${target.mark}-range.txt`, content });
    const { files } = (await target.askIfThere('/api/files')).json() as {
      files: { id: string; path: string }[];
    };
    const id = files.find((each) => each.path === path)?.id;
    expectThat(id !== undefined, `not among ${files.length} files`);
    const whole = await target.ask(`/api/files/${id}`);
    const isSafe = whole.header('x-content-type-options') === 'nosniff';
    const isAttachment = whole.header('content-disposition').startsWith('attachment');
    expectThat(whole.status === 200 && whole.text === content && isSafe && isAttachment, whole.summary);
    const part = await target.ask(`/api/files/${id}`, { headers: { range: 'bytes=0-4' } });
    expectThat(part.status === 206 && part.text === content.slice(0, 5), `range: ${part.summary}`);
    const behind = await target.ask(`/api/files/${id}`, { headers: { range: 'bytes=9999-' } });
    expectThat(behind.status === 416, `behind the end: ${behind.summary}`);
    const none = await target.ask(`/api/files/${target.mark}`);
    expectThat(none.status === 404, `no such file: ${none.summary}`);
    return `200, 206 ${part.header('content-range')}, 416, 404`;
  },
};

export const FILE_CHECKS: CheckGroup = {
  area: 'files',
  checks: [small, empty, binary, oddName, sameName, climbing, nothing, notMultipart, cutOff, download],
};

const LOGS = '/api/logs';
type Entry = Readonly<Record<string, unknown>>;

async function entries(target: Target, query: string): Promise<readonly Entry[]> {
  const answer = await target.readIfThere(`${LOGS}${query}`);
  const list = answer.json();
  expectThat(Array.isArray(list), `no array: ${shown(list)}`);
  return list as Entry[];
}

const logged: Check = {
  name: 'GET /api/logs gives what happened',
  expected: 'an array of {ts, event, …}, oldest first',
  async run(target) {
    const list = await entries(target, '');
    const wrong = list.find(({ ts, event }) => typeof ts !== 'number' || typeof event !== 'string');
    expectThat(wrong === undefined, shown(wrong));
    const times = list.map(({ ts }) => ts as number);
    const isSorted = times.every((ts, at) => at === 0 || ts >= (times[at - 1] as number));
    expectThat(isSorted || target.isReference, 'not in order of time');
    return `${list.length} entries`;
  },
};

const lastLines: Check = {
  name: 'the number of lines is kept to',
  expected: 'at most as many entries as `lines`',
  async run(target) {
    const list = await entries(target, '?lines=2');
    expectThat(list.length <= 2, `${list.length} entries`);
    return `${list.length} entries`;
  },
};

const byEvent: Check = {
  name: 'entries can be chosen by the beginning of their event',
  expected: 'only such entries; none for an event there is not',
  async run(target) {
    const [first] = await entries(target, '');
    if (first === undefined) throw new Skipped('the log is empty');
    const prefix = String(first.event).slice(0, 3);
    const list = await entries(target, `?event=${encodeURIComponent(prefix)}`);
    const other = list.find(({ event }) => !String(event).startsWith(prefix));
    expectThat(list.length > 0 && other === undefined, `${list.length} entries, ${shown(other)}`);
    expectThat((await entries(target, `?event=${target.mark}`)).length === 0, 'entries of no such event');
    return `${list.length} entries of ${prefix}…`;
  },
};

const badLines: Check = {
  name: 'a number of lines that is none is refused',
  expected: '400 request.invalid; 500 by the reference',
  isBeyond: true,
  async run(target) {
    const answer = await target.askIfThere(`${LOGS}?lines=many`);
    expectThat(answer.status === 400, answer.summary);
    return answer.summary;
  },
};

const cleared: Check = {
  name: 'DELETE /api/logs begins anew',
  expected: '{ok: true}, and fewer entries than before',
  isIntrusive: true,
  async run(target) {
    const before = (await entries(target, '?lines=1000')).length;
    const answer = await target.ask(LOGS, { method: 'DELETE' });
    const { ok } = answer.json() as { ok?: unknown };
    expectThat(answer.status === 200 && ok === true, answer.summary);
    const after = (await entries(target, '?lines=1000')).length;
    expectThat(after <= before, `${before} entries before, ${after} after`);
    return `${before} entries before, ${after} after`;
  },
};

export const LOG_CHECKS: CheckGroup = {
  area: 'logs',
  checks: [logged, lastLines, byEvent, badLines, cleared],
};
