import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { requireInstalledUws } from '../../src/gateway/transports/load.ts';
import { createUwsTransport } from '../../src/gateway/transports/uws.ts';
import type { Uws } from '../../src/gateway/transports/uws-types.ts';
import { INTERRUPTED_EXIT_CODE } from '../../src/supervisor/interrupt.ts';
import { transportContract } from './transport.contract.ts';

const [uws, why] = load();
const skip = uws === undefined && `uWebSockets.js does not load here: ${why}`;

// uWS cuts such a peer without a close frame; only the app is told why.
if (uws) transportContract('uws', createUwsTransport(uws), { invalidTextCode: 1006 });
else test('the contract over uws', { skip }, () => {});

const TIMES = 5;
const DEATHS = [
  { way: 'throw', exitCode: 1, error: 'thrown in the loop' },
  { way: 'reject', exitCode: 1, error: 'rejected' },
  { way: 'exit', exitCode: 3, error: undefined },
  { way: '/throw', exitCode: 1, error: 'thrown while handling' },
  { way: '/exit', exitCode: 3, error: undefined },
  { way: '/hang', exitCode: INTERRUPTED_EXIT_CODE, error: undefined },
  { way: 'close', exitCode: 1, error: undefined },
] as const;
const NAMES = {
  throw: 'throws',
  reject: 'leaves a rejection unhandled',
  exit: 'exits',
  '/throw': 'throws inside a request handler',
  '/exit': 'exits inside a request handler',
  '/hang': 'hangs inside a request handler and is interrupted',
  close: 'is terminated after it closed its transport',
};

const dir = await mkdtemp(join(tmpdir(), 'uws-deaths-'));
after(() => rm(dir, { recursive: true }));
const [thread, deaths] = await Promise.all([bundle('uws-thread.ts'), bundle('uws-deaths.ts')]);

for (const { way, exitCode, error } of DEATHS) {
  test(`the process outlives a thread with open uws sockets that ${NAMES[way]}`, { skip }, async () => {
    const args = [deaths, thread, way, String(TIMES)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
    });
    const [code, signal] = await once(child, 'close');
    assert.deepEqual([code, signal], [0, null], output);
    const expected = JSON.stringify({ exitCode, errors: error === undefined ? [] : [error] });
    assert.deepEqual(output.trim().split('\n'), Array(TIMES).fill(expected));
  });
}

/** The way agents are shipped: one CommonJS file, with the native module left outside. */
async function bundle(fixture: string): Promise<string> {
  const entry = new URL(`../fixtures/${fixture}`, import.meta.url);
  const outfile = join(dir, fixture.replace(/ts$/, 'cjs'));
  await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    define: { 'import.meta.url': JSON.stringify(entry.href) },
    outfile,
  });
  return outfile;
}

function load(): [Uws, undefined] | [undefined, string] {
  try {
    return [requireInstalledUws(), undefined];
  } catch (error) {
    return [undefined, String(error)];
  }
}
