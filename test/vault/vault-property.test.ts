/** Below edits by REST's service and by other programs at once; in the end the index is what the files say. */
import assert from 'node:assert/strict';
import { appendFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import { filesBelow, openTestVault, type TestVault } from '../fixtures/open-vault.ts';
import { seeded } from '../fixtures/seeded-random.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 4);
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);
/** 10,000 in torture. */
const OPERATIONS = Math.min(10_000, RUNS * 50);
const AT_ONCE = 8;

type Below = (below: number) => number;

function wholeNumbers(seed: number): Below {
  const random = seeded(seed);
  return (below) => (random() * 2 ** 32) % below;
}

const FOLDERS = ['', 'a', 'b', 'a/deep', 'caf\u00e9'];
const NAMES = ['one', 'two', 'three', 'Four', 'five', '\u00fcber', 'seven'];
const WORDS = ['apple', 'birch', 'cedar', 'dogwood', 'elm'];

const pick = <T>(random: Below, from: readonly T[]): T => from[random(from.length)] as T;
const folderBy = (random: Below) => pick(random, FOLDERS);
const pathBy = (random: Below) => join(folderBy(random), `${pick(random, NAMES)}.md`);

function contentBy(random: Below, n: number): string {
  return `unique${n} ${pick(random, WORDS)} [[${pick(random, NAMES)}]] #${pick(random, WORDS)}\n`;
}

/** Done by us. What cannot be done because of what somebody else did is told so, and that is right. */
async function ours({ vault }: TestVault, random: Below, n: number): Promise<void> {
  const path = pathBy(random);
  switch (random(8)) {
    case 0:
      return void (await vault.remove(path));
    case 1:
      return void (await vault.rename(path, pathBy(random), random(2) === 0));
    case 2: {
      const { etag } = await vault.read(path);
      return void (await vault.write(path, contentBy(random, n), { ifMatch: `"${etag}"` }));
    }
    case 3: {
      const [latest] = (await vault.trash(1)).notes;
      return void (latest && (await vault.restore(latest.id)));
    }
    default:
      return void (await vault.write(path, contentBy(random, n)));
  }
}

/** Done by an editor, by git, by whoever. */
async function theirs({ root }: TestVault, random: Below, n: number): Promise<void> {
  const path = join(root, pathBy(random));
  switch (random(8)) {
    case 0:
      return rm(path, { force: true });
    case 1:
      return rename(path, join(root, pathBy(random)));
    case 2:
      return appendFile(path, contentBy(random, n));
    case 3:
      return rm(join(root, folderBy(random) || 'b'), { recursive: true, force: true });
    case 4:
      return rename(join(root, 'a'), join(root, 'b'));
    case 5: {
      await writeFile(join(root, `${n}.tmp`), contentBy(random, n));
      return rename(join(root, `${n}.tmp`), path);
    }
    default:
      await mkdir(join(path, '..'), { recursive: true });
      return writeFile(path, contentBy(random, n));
  }
}

function isExpected(error: unknown): boolean {
  if (AppError.is(error)) return error.code.startsWith('vault.');
  const code = (error as { code?: string }).code ?? '';
  return ['ENOENT', 'ENOTEMPTY', 'ENOTDIR', 'EEXIST', 'EINVAL', 'EISDIR'].includes(code);
}

test(`after ${OPERATIONS} random edits from inside and outside the index is what the files say`, async (t) => {
  t.diagnostic(`seed ${SEED}`);
  const one = await openTestVault(t);
  const random = wholeNumbers(SEED);
  await one.vault.ready(30_000);
  for (let n = 0; n < OPERATIONS; n += AT_ONCE) {
    const some = Array.from({ length: AT_ONCE }, (_, at) =>
      (random(2) === 0 ? ours : theirs)(one, random, n + at),
    );
    for (const result of await Promise.allSettled(some)) {
      if (result.status === 'rejected' && !isExpected(result.reason)) throw result.reason;
    }
  }
  await writeFile(join(one.root, 'end.md'), 'theend');
  const files = await filesBelow(one.root);
  const notes = [...files.keys()].filter((path) => path.endsWith('.md')).sort();
  await one.listed((paths) => [...paths].sort().join('\n') === notes.join('\n'));
  await one.finds('theend', 1);
  for (const path of notes) {
    const content = files.get(path) as string;
    const [unique = 'theend'] = /unique\d+/.exec(content) ?? [];
    const { results } = await one.vault.search(`${unique} `, 10);
    const holding = notes.filter((other) => new RegExp(`${unique}\\b`).test(files.get(other) as string));
    assert.deepEqual(results.map((hit) => hit.path).sort(), holding, `${path}: ${content}`);
  }
  assert.deepEqual(one.warnings, []);
});
