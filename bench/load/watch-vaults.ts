/**
 * Watches vaults as the main thread does, or with bare `fs.watch` on the same folders, and says what that cost:
 *
 *   node --expose-gc --import tsx watch-vaults.ts product|floor <vault>…
 */
import { type FSWatcher, watch } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../src/contract/clock.ts';
import { createVaultWatch } from '../../src/supervisor/vault-watch/vault-watch.ts';

const [kind, ...vaults] = process.argv.slice(2);

async function watchByProduct(): Promise<() => number> {
  const watching = createVaultWatch({
    clock: systemClock,
    tell: () => {},
    onDefect: (error) => {
      throw error;
    },
  });
  const answers = await Promise.all(vaults.map((path, at) => watching.watch(`agent-${at}`, path)));
  const refused = answers.find((answer) => !answer.watching);
  if (refused !== undefined) throw new Error(`not watched: ${JSON.stringify(refused)}`);
  return watching.count;
}

/** Finds the folders, too: nobody else knows them. */
async function watchBare(): Promise<() => number> {
  const watchers: FSWatcher[] = [];
  const watchBelow = async (path: string): Promise<void> => {
    watchers.push(watch(path, () => {}));
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (entry.isDirectory()) await watchBelow(join(path, entry.name));
    }
  };
  await Promise.all(vaults.map(watchBelow));
  return () => watchers.length;
}

function residentBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage.rss();
}

const before = residentBytes();
const startedAt = performance.now();
const count = await (kind === 'product' ? watchByProduct() : watchBare());
const readyMs = performance.now() - startedAt;
const bytes = residentBytes() - before;
process.stdout.write(`${JSON.stringify({ readyMs, bytes, watches: count() })}\n`, () => process.exit());
