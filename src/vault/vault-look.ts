/** What stands at a path of a vault right now, for the index. */
import { lstat } from 'node:fs/promises';
import { AppError } from '../contract/errors.ts';
import { readIn, toText } from './note-files.ts';
import { folderOf, nameOf } from './note-path.ts';
import { isAbsent, systemCode } from './vault-errors.ts';
import type { Folder, VaultRoot } from './vault-root.ts';
import { scanVault } from './vault-scan.ts';

export type Found =
  | { readonly kind: 'note'; readonly mtimeMs: number; readonly size: number; readonly content: string }
  | { readonly kind: 'folder'; readonly notes: readonly string[] }
  | { readonly kind: 'nothing' };

/** Files open at once. */
const OPEN_MAX = 16;
/** These say nothing of the file. */
const EXHAUSTED = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'];
const NOTHING: Found = { kind: 'nothing' };

/** In the order of the paths. Rejects where the system itself is in trouble: then nothing is known. */
export async function lookAt(
  root: VaultRoot,
  paths: readonly string[],
  noteBytes: number,
): Promise<readonly Found[]> {
  const found: Found[] = new Array(paths.length).fill(NOTHING);
  const byFolder = new Map<string, number[]>();
  for (const [at, path] of paths.entries()) {
    const folder = folderOf(path);
    byFolder.set(folder, [...(byFolder.get(folder) ?? []), at]);
  }
  for (const [folderPath, positions] of byFolder) {
    const folder = await root.openFolder(folderPath);
    if (folder === undefined) continue;
    try {
      for (let at = 0; at < positions.length; at += OPEN_MAX) {
        const some = positions.slice(at, at + OPEN_MAX);
        // All of them are waited for: the folder is closed only when nobody uses it any more.
        const results = await Promise.allSettled(
          some.map((position) => lookAtOne(root, folder, paths[position] as string, noteBytes)),
        );
        for (const [index, result] of results.entries()) {
          if (result.status === 'rejected') throw result.reason;
          found[some[index] as number] = result.value;
        }
      }
    } finally {
      await folder.close();
    }
  }
  return found;
}

async function lookAtOne(root: VaultRoot, folder: Folder, path: string, noteBytes: number): Promise<Found> {
  try {
    const { bytes, stats } = await readIn(folder, path, noteBytes);
    return { kind: 'note', mtimeMs: stats.mtimeMs, size: stats.size, content: toText(bytes).text };
  } catch (cause) {
    const code = systemCode(cause);
    if (!AppError.is(cause) && (code === undefined || EXHAUSTED.includes(code))) throw cause;
    return lookAtOdd(root, folder, path);
  }
}

/** No file that can be read: too large or not allowed (listed, not searched), a folder, or nothing. */
async function lookAtOdd(root: VaultRoot, folder: Folder, path: string): Promise<Found> {
  try {
    const stats = await lstat(folder.at(nameOf(path)));
    if (stats.isFile()) return { kind: 'note', mtimeMs: stats.mtimeMs, size: stats.size, content: '' };
    if (!stats.isDirectory()) return NOTHING;
  } catch (cause) {
    if (isAbsent(cause)) return NOTHING;
    throw cause;
  }
  const notes: string[] = [];
  for await (const { files } of scanVault(root, path)) for (const file of files) notes.push(file.path);
  return { kind: 'folder', notes };
}
