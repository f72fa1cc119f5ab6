/**
 * Walks a vault's folders and says which notes are there, a few at a time: the thread that does this holds the
 * conversations too. Hidden names and links are passed over. What it says may be old by the time it is read; whoever
 * acts on it opens the file anew.
 */
import type { Dirent } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import type { IndexedFile } from './note-index.ts';
import { isNoteName, isServed, joinPath } from './note-path.ts';
import { isAbsent } from './vault-errors.ts';
import type { Folder, VaultRoot } from './vault-root.ts';

/** Entries read, and files asked for, in one step. */
const STEP = 64;

export interface ScanStep {
  readonly files: readonly IndexedFile[];
  /** Folders found in this step. */
  readonly folders: readonly string[];
}

/** Told of every name that clients are not served. */
export type OnHidden = (folder: Folder, name: string) => Promise<void>;

/** Everything below `from`, `''` being the vault. Breadth first; ends early where the caller stops asking. */
export async function* scanVault(
  root: VaultRoot,
  from: string,
  onHidden?: OnHidden,
): AsyncGenerator<ScanStep> {
  const left = [from];
  for (let path = left.shift(); path !== undefined; path = left.shift()) {
    const folder = await root.openFolder(path);
    if (folder === undefined) continue;
    try {
      for await (const step of scanFolder(folder, path, onHidden)) {
        left.push(...step.folders);
        yield step;
      }
    } finally {
      await folder.close();
    }
  }
}

async function* scanFolder(
  folder: Folder,
  path: string,
  onHidden: OnHidden | undefined,
): AsyncGenerator<ScanStep> {
  let names: string[] = [];
  let folders: string[] = [];
  // `.`: the folder itself, where its name is a link that leads to it.
  const entries = await opendir(folder.at('.'), { bufferSize: STEP });
  for await (const entry of entries) {
    if (!isServed(entry.name)) {
      await onHidden?.(folder, entry.name);
      continue;
    }
    const kind = await kindOf(folder, entry);
    if (kind === 'folder') folders.push(joinPath(path, entry.name));
    else if (kind === 'file' && isNoteName(entry.name)) names.push(entry.name);
    if (names.length + folders.length < STEP) continue;
    yield { files: await filesOf(folder, path, names), folders };
    names = [];
    folders = [];
  }
  if (names.length + folders.length > 0) yield { files: await filesOf(folder, path, names), folders };
}

/** Some file systems do not say in a listing what an entry is. */
async function kindOf(folder: Folder, entry: Dirent): Promise<'file' | 'folder' | 'other'> {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'folder';
  const isKnown =
    entry.isSymbolicLink() ||
    entry.isFIFO() ||
    entry.isSocket() ||
    entry.isBlockDevice() ||
    entry.isCharacterDevice();
  if (isKnown) return 'other';
  try {
    const stats = await lstat(folder.at(entry.name));
    if (stats.isFile()) return 'file';
    return stats.isDirectory() ? 'folder' : 'other';
  } catch (cause) {
    if (isAbsent(cause)) return 'other';
    throw cause;
  }
}

async function filesOf(folder: Folder, path: string, names: readonly string[]): Promise<IndexedFile[]> {
  const found = await Promise.all(names.map((name) => fileOf(folder, path, name)));
  return found.filter((file) => file !== undefined);
}

async function fileOf(folder: Folder, path: string, name: string): Promise<IndexedFile | undefined> {
  try {
    const stats = await lstat(folder.at(name));
    if (!stats.isFile()) return undefined;
    return { path: joinPath(path, name), mtimeMs: stats.mtimeMs, size: stats.size };
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
    throw cause;
  }
}
