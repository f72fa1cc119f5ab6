import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

const LINES = 5_000;

for (const [ending, code] of Object.entries({
  'an exception': "setImmediate(() => { throw new Error('end'); })",
  'an unhandled rejection': "void Promise.reject(new Error('end'))",
  'process.exit': 'process.exit(3)',
  'the end of its work': '',
})) {
  test(`a thread that ends by ${ending} leaves every line behind, whole`, async (t) => {
    const dir = await runThread(t, code);
    const lines = readFileSync(join(dir, 'events.jsonl'), 'utf8').split('\n');
    assert.equal(lines.pop(), '');
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { n: number }).n),
      Array.from({ length: LINES }, (_, n) => n),
    );
  });
}

async function runThread(t: TestContext, ending: string): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'exit-hook-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const moduleUrl = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
  // tsx does not reach the entry of a thread on Node 20: it registers itself first.
  const entry = `
    const { register } = await import(${JSON.stringify(pathToFileURL(join(process.cwd(), 'node_modules/tsx/dist/esm/api/index.mjs')).href)});
    register();
    const { openEventLog } = await import(${moduleUrl('logging/event-log.ts')});
    const { systemClock } = await import(${moduleUrl('contract/clock.ts')});
    const log = openEventLog({ dir: ${JSON.stringify(dir)}, level: 'info', rotateBytes: 1e9, keepFiles: 1,
      secrets: [], clock: systemClock, onProblem: (error) => { throw error; } });
    process.on('exit', () => log.flushSync());
    for (let n = 0; n < ${LINES}; n += 1) log.info('load', { n });
    ${ending};
  `;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(entry)}`));
  worker.on('error', () => {
    // What the thread died of is the test's own doing.
  });
  await new Promise((resolve) => worker.once('exit', resolve));
  return dir;
}
