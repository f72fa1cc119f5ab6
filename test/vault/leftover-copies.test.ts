import assert from 'node:assert/strict';
import { existsSync, lstatSync } from 'node:fs';
import { mkdir, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { openTestVault, tempFolder } from '../fixtures/open-vault.ts';
import { until } from '../fixtures/turns.ts';

const COPY = `.${'0123456789abcdef01'}.tmp`;

/** Until a vault that is made from now on was certainly made later: the disk's clock may be coarse. */
async function untilPast(file: string): Promise<void> {
  const { ctimeMs } = lstatSync(file);
  await until(() => Date.now() > ctimeMs + 1, 'the clock goes on', 10_000);
}

test('what a killed move left is removed when the vault is scanned, everything else that is hidden stays', async (t) => {
  const dir = await tempFolder(t);
  const folder = join(dir, 'memories', 'deep', 'er');
  await mkdir(join(folder, `.${'a'.repeat(18)}.tmp`), { recursive: true });
  const gone = [join(folder, COPY), join(dir, 'memories', COPY)];
  const kept = [
    ...['.0123456789abcdef01.tmp.md', '.0123456789abcdef0.tmp', '.0123456789ABCDEF01.tmp'],
    ...['.obsidian-settings', 'x0123456789abcdef01.tmp', '.0123456789abcdefgh.tmp', '.tmp'],
  ].map((name) => join(folder, name));
  for (const file of [...gone, ...kept]) await writeFile(file, 'half');
  await symlink(join(folder, '.tmp'), join(folder, `.${'b'.repeat(18)}.tmp`));
  kept.push(join(folder, `.${'a'.repeat(18)}.tmp`), join(folder, `.${'b'.repeat(18)}.tmp`));
  // A copy has the times of what it was copied from.
  for (const file of gone) await utimes(file, 4e9, 4e9);
  await untilPast(gone[1] as string);
  const { vault } = await openTestVault(t, { dir });
  assert.equal(await vault.ready(30_000), true);
  assert.deepEqual(gone.filter(existsSync), []);
  assert.deepEqual(
    kept.filter((file) => !existsSync(file)),
    [],
  );
});

test('a copy that was made since the vault was there may be under way, and stays', async (t) => {
  const { vault, root } = await openTestVault(t);
  const madeMs = Date.now();
  const copy = join(root, COPY);
  for (let ctimeMs = 0; ctimeMs <= madeMs; { ctimeMs } = lstatSync(copy)) {
    await setTimeout(1);
    await writeFile(copy, 'half');
    await utimes(copy, 1, 1);
  }
  assert.equal(await vault.ready(30_000), true);
  assert.ok(existsSync(copy));
});
