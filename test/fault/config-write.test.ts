/** A write of the configuration that is cut off at each of its steps, or finds the disk full there. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openStore } from '../fixtures/config-store.ts';
import { mountTmpfs, whyNoMount } from '../fixtures/mounts.ts';
import { TYPESCRIPT } from '../fixtures/typescript.ts';

const WRITER = fileURLToPath(new URL('../fixtures/config-writer.ts', import.meta.url));
const OLD = '# mine\nname: old # for now\n';
const NEW = '# mine\nname: new # for now\n';
/** All of them in `npm run torture`; a start of the writer takes most of a second. */
const isTorture = process.env.OPENAGENT_TEST_RUNS !== undefined;

function place(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'openagent-cut-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  writeFileSync(join(dir, 'openagent.yaml'), OLD, { mode: 0o600 });
  return dir;
}

function write(dir: string, fault: string, at: number): Promise<{ out: string; signal: string | undefined }> {
  const args = [...TYPESCRIPT, WRITER, dir, fault, String(at)];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: 60_000 }, (error, stdout) => {
      resolve({ out: stdout, signal: error?.signal ?? undefined });
    });
  });
}

const contentOf = (dir: string) => readFileSync(join(dir, 'openagent.yaml'), 'utf8');

test('killed at any step, it leaves the old file or the new one, and the next write clears up', async (t) => {
  let chosen = [7, 16];
  if (isTorture) {
    const whole = place(t);
    const steps = Number((await write(whole, 'none', 0)).out);
    assert.ok(steps >= 16, String(steps));
    assert.equal(contentOf(whole), NEW);
    chosen = Array.from({ length: steps }, (_, index) => index + 1);
  }
  for (const at of chosen) {
    const dir = place(t);
    assert.equal((await write(dir, 'kill', at)).signal, 'SIGKILL', `step ${at}`);
    const content = contentOf(dir);
    assert.ok(content === OLD || content === NEW, `step ${at}: ${content}`);
    const { store, agent } = openStore(t, { source: null, dir });
    await store.patch(agent, 'name', 'again', '');
    assert.equal(contentOf(dir), OLD.replace('old', 'again'));
    const left = [...readdirSync(dir), ...readdirSync(join(dir, '.config-versions'))];
    assert.deepEqual(
      left.filter((name) => name.endsWith('.tmp')),
      [],
      `step ${at}`,
    );
  }
});

test('a disk that is full at any step is told, and leaves the old file', async (t) => {
  for (const at of isTorture ? [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14] : [11]) {
    const dir = place(t);
    const { out } = await write(dir, 'full', at);
    assert.ok(
      out === 'storage.full' || out === 'config.unreadable' || contentOf(dir) === NEW,
      `step ${at}: ${out}`,
    );
    if (out === 'storage.full') assert.equal(contentOf(dir), OLD, `step ${at}`);
  }
});

test('a disk that is really full is told, and leaves the old file', { skip: whyNoMount() }, async (t) => {
  const root = mountTmpfs(t, '256k');
  const dir = join(root, 'alpha');
  mkdirSync(dir);
  const { store, agent, text } = openStore(t, { source: OLD, dir });
  let filled = 0;
  try {
    for (; filled < 512; filled += 1) writeFileSync(join(root, `fill${filled}`), Buffer.alloc(4_096));
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ENOSPC');
  }
  await assert.rejects(store.patch(agent, 'system_prompt', 'x'.repeat(20_000), ''), { code: 'storage.full' });
  assert.equal(text(), OLD);
  for (let index = 0; index < filled; index += 1) rmSync(join(root, `fill${index}`), { force: true });
  await store.patch(agent, 'name', 'new', '');
  assert.equal(text(), NEW);
});
