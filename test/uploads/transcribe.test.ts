import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { eventually, logOf } from '../fixtures/chat.ts';
import { multipart, type Part, post, startFileGateway } from '../fixtures/file-gateway.ts';
import { tempDir } from '../fixtures/turns.ts';

/** A program in place of a speech recogniser; the file is its first argument. */
async function startWith(t: TestContext, script: string, timeoutMs = 20_000) {
  const dir = await tempDir(t);
  const program = join(dir, 'recognise.mjs');
  await writeFile(program, script);
  const command: [string, ...string[]] = [process.execPath, program, '{file}'];
  const transcription = { command, timeoutMs };
  const gateway = await startFileGateway(t, createNodeTransport, { dir, settings: { transcription } });
  const send = async (...parts: Part[]) => {
    const { status, body } = await post(gateway.url, multipart(...parts));
    assert.equal(status, 200);
    return body;
  };
  return { ...gateway, send };
}

const SPEAK = `
  import { readFileSync } from 'node:fs';
  process.stdout.write('  heard ' + readFileSync(process.argv[2], 'utf8') + '\\n');
`;

test('speech comes back with its text, other files without', async (t) => {
  const { send } = await startWith(t, SPEAK);
  for (const filename of ['a.webm', 'a.OGG', "it's $(odd) name; rm -rf ~.mp3"]) {
    const body = await send({ filename, content: 'words' });
    assert.deepEqual(Object.keys(body), ['id', 'path', 'filename', 'transcription']);
    assert.equal(body.transcription, 'heard words');
  }
  const other = await send({ filename: 'a.txt', content: 'words' });
  assert.deepEqual(Object.keys(other), ['id', 'path', 'filename']);
});

test('of several files each has its own text', async (t) => {
  const { send } = await startWith(t, SPEAK);
  const { files } = await send(
    { filename: 'a.wav', content: 'one' },
    { filename: 'b.txt', content: 'two' },
    { filename: 'c.flac', content: 'three' },
  );
  assert.deepEqual(
    (files as { transcription?: string }[]).map(({ transcription }) => transcription),
    ['heard one', undefined, 'heard three'],
  );
});

for (const [what, script, reason] of [
  ['fails', 'process.exit(3)', /ended with 3/],
  ['prints nothing', '', /printed nothing/],
  [
    'prints for ever',
    "const go = () => process.stdout.write('x'.repeat(65536), go); go()",
    /printed more than/,
  ],
] as const) {
  test(`a program that ${what}: the upload is taken without text, and the log says why`, async (t) => {
    const { send, dir, log } = await startWith(t, script);
    assert.deepEqual(Object.keys(await send({ filename: 'a.mp3', content: 'x' })), ['id', 'path', 'filename']);
    await log.flush();
    const entry = logOf(dir).find(({ event }) => event === 'upload.transcribe_error');
    assert.match(JSON.stringify(entry), reason);
  });
}

test('a program that hangs is ended with all it has started', async (t) => {
  const hang = `
    import { spawn } from 'node:child_process';
    spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'inherit' });
    setInterval(() => {}, 1_000);
  `;
  const { send, dir, log } = await startWith(t, hang, 300);
  assert.deepEqual(Object.keys(await send({ filename: 'a.mp3', content: 'x' })), ['id', 'path', 'filename']);
  const ended = await eventually(findEnd(log, dir), 'the program ends');
  assert.equal(ended.signal, 'SIGKILL');
});

function findEnd(log: { flush(): Promise<void> }, dir: string) {
  return () => {
    void log.flush();
    return logOf(dir).find(({ event }) => event === 'child.end');
  };
}

/** In place of a provider; `answer` is what it says to each recording. */
async function startWithProvider(t: TestContext, status: number, answer: unknown) {
  const asked: { url: string | undefined; key: string | undefined; body: string }[] = [];
  const server = createServer(async (request, response) => {
    const body = (await buffer(request)).toString('latin1');
    asked.push({ url: request.url, key: request.headers.authorization, body });
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  const transcription = { baseUrl, apiKey: 'sk-speech', modelId: 'whisper-1', timeoutMs: 20_000 };
  const gateway = await startFileGateway(t, createNodeTransport, { settings: { transcription } });
  return { ...gateway, asked };
}

test('a provider is sent the speech, and nothing but speech, with its own key', async (t) => {
  const { url, asked } = await startWithProvider(t, 200, { text: ' heard online ' });
  const { status, body } = await post(url, multipart({ filename: 'a.webm', content: 'the-recording' }));
  assert.deepEqual([status, body.transcription], [200, 'heard online']);
  await post(url, multipart({ filename: 'a.txt', content: 'not speech' }));
  assert.deepEqual(
    asked.map(({ url: path, key }) => [path, key]),
    [['/v1/audio/transcriptions', 'Bearer sk-speech']],
  );
  for (const part of ['the-recording', 'whisper-1']) assert.ok(asked[0]?.body.includes(part), part);
});

test('a provider that refuses: the upload is taken without text, and the log says why', async (t) => {
  const { url, dir, log } = await startWithProvider(t, 401, { error: { message: 'no such key' } });
  const { status, body } = await post(url, multipart({ filename: 'a.mp3', content: 'x' }));
  assert.deepEqual([status, Object.keys(body)], [200, ['id', 'path', 'filename']]);
  await log.flush();
  const entry = logOf(dir).find(({ event }) => event === 'upload.transcribe_error');
  assert.match(JSON.stringify(entry), /no such key/);
});

test('a program that is not there: the upload is taken without text', async (t) => {
  const transcription = { command: ['/nowhere/whisper', '{file}'] as [string, string], timeoutMs: 20_000 };
  const { url } = await startFileGateway(t, createNodeTransport, { settings: { transcription } });
  const { status, body } = await post(url, multipart({ filename: 'a.mp3', content: 'x' }));
  assert.equal(status, 200);
  assert.deepEqual(Object.keys(body), ['id', 'path', 'filename']);
});
