/** Files below a directory, in order of their names, as far as anybody may see them. Links are not followed. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Confinement } from './confined-paths.ts';

export interface FoundEntry {
  readonly real: string;
  readonly isDirectory: boolean;
}

export interface WalkOptions {
  /** 1: what lies directly in it. */
  readonly depth: number;
  readonly entriesMax: number;
  readonly signal: AbortSignal;
}

/** What others wrote, in such numbers that nothing else would be found. */
const SKIPPED = ['node_modules', '.git'];

export async function* walkFiles(
  dir: string,
  confinement: Confinement,
  { depth, entriesMax, signal }: WalkOptions,
): AsyncGenerator<FoundEntry, void, undefined> {
  const left: { readonly dir: string; readonly depth: number }[] = [{ dir, depth }];
  let count = 0;
  for (let next = left.shift(); next !== undefined; next = left.shift()) {
    // Gone meanwhile, or not for us: nothing is in it.
    const entries = await readdir(next.dir, { withFileTypes: true }).catch(() => []);
    const isVisible = await confinement.visibleIn(next.dir);
    entries.sort((one, other) => (one.name < other.name ? -1 : 1));
    for (const entry of entries) {
      signal.throwIfAborted();
      if (!(entry.isFile() || entry.isDirectory()) || !isVisible(entry.name)) continue;
      const real = join(next.dir, entry.name);
      count += 1;
      if (count > entriesMax) return;
      yield { real, isDirectory: entry.isDirectory() };
      if (entry.isDirectory() && next.depth > 1 && !SKIPPED.includes(entry.name)) {
        left.push({ dir: real, depth: next.depth - 1 });
      }
    }
  }
}
