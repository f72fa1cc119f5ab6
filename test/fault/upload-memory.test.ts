/** The size of an upload or download costs no memory, and turns go on beside it. */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TRANSPORTS } from '../fixtures/both-transports.ts';
import { BOUNDARY, MULTIPART } from '../fixtures/file-gateway.ts';
import { tempDir } from '../fixtures/turns.ts';
import { TYPESCRIPT } from '../fixtures/typescript.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/upload-server.ts', import.meta.url));
const MIB = 1024 * 1024;
const FILE_BYTES = (Number(process.env.OPENAGENT_TEST_RUNS ?? 0) > 0 ? 1024 : 64) * MIB;
const GROWTH_BYTES = 20 * MIB;

async function ask(child: ChildProcess): Promise<number> {
  child.send('');
  const [{ largest }] = (await once(child, 'message')) as [{ largest: number }];
  return largest;
}

function formOf(bytes: number): ReadableStream<Uint8Array> {
  const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="f"; filename="big.bin"\r\n\r\n`;
  const piece = Buffer.alloc(64 * 1024, 'x');
  let left = bytes;
  return new ReadableStream({
    start: (controller) => controller.enqueue(Buffer.from(head)),
    pull(controller) {
      if (left > 0) controller.enqueue(piece.subarray(0, Math.min(left, piece.length)));
      else {
        controller.enqueue(Buffer.from(`\r\n--${BOUNDARY}--\r\n`));
        controller.close();
      }
      left -= piece.length;
    },
  });
}

async function send(url: string, bytes: number): Promise<string> {
  const response = await fetch(`${url}/api/upload`, {
    ...{ method: 'POST', body: formOf(bytes), duplex: 'half', headers: { 'content-type': MULTIPART } },
  } as RequestInit);
  assert.equal(response.status, 200);
  return ((await response.json()) as { path: string }).path;
}

async function receive(url: string): Promise<number> {
  const { files } = (await (await fetch(`${url}/api/files`)).json()) as { files: { id: string }[] };
  const response = await fetch(`${url}/api/files/${files[0]?.id}`);
  let bytes = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) bytes += chunk.length;
  return bytes;
}

for (const [name] of TRANSPORTS) {
  test(`${FILE_BYTES / MIB} MiB up and down over ${name}: memory grows by less than 20 MiB`, async (t) => {
    const child = fork(PROGRAM, [name, await tempDir(t)], { execArgv: ['--expose-gc', ...TYPESCRIPT] });
    t.after(() => child.kill('SIGKILL'));
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    const url = `http://127.0.0.1:${port}`;
    // What is loaded and compiled with the first of each is no growth.
    for (let n = 0; n < 3; n += 1) {
      await send(url, 8 * MIB);
      await receive(url);
    }
    const before = await ask(child);
    const path = await send(url, FILE_BYTES);
    const up = (await ask(child)) - before;
    assert.equal(statSync(path).size, FILE_BYTES);
    assert.equal(await receive(url), FILE_BYTES);
    const down = (await ask(child)) - before;
    t.diagnostic(`over ${name}: up ${(up / MIB).toFixed(1)} MiB, down ${(down / MIB).toFixed(1)} MiB`);
    assert.ok(up < GROWTH_BYTES, `up: ${up}`);
    assert.ok(down < GROWTH_BYTES, `down: ${down}`);
  });
}
