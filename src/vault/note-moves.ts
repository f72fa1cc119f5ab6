/** What happens to files and folders of a vault as a whole: moved, removed, cleared away. */
import { lstat, readdir, rename, rm, rmdir } from 'node:fs/promises';
import { AppError } from '../contract/errors.ts';
import { moveToNew, refuseThere, requireFile, STAGING_FOLDER } from './file-steps.ts';
import { folderOf, nameOf, pathKey } from './note-path.ts';
import { isAbsent, notFound, systemCode } from './vault-errors.ts';
import type { VaultRoot } from './vault-root.ts';

export async function moveNote(
  root: VaultRoot,
  givenFrom: string,
  givenTo: string,
): Promise<{ readonly from: string; readonly to: string }> {
  const { from, to, isOtherSpelling } = await locateMove(root, givenFrom, givenTo);
  const source = await root.openFolder(folderOf(from));
  if (source === undefined) throw notFound(from);
  try {
    await requireFile(source, from);
    const target = await root.ensureFolder(folderOf(to));
    try {
      const [fromAt, toAt] = [source.at(nameOf(from)), target.at(nameOf(to))];
      if (isOtherSpelling && (await isSameFile(fromAt, toAt))) await rename(fromAt, toAt);
      else await moveToNew(fromAt, toAt, to);
      await target.sync();
      await source.sync();
    } finally {
      await target.close();
    }
    return { from, to };
  } finally {
    await source.close();
  }
}

/** Never over something that is there, but for an empty folder that is made in this very moment. */
export async function moveFolder(
  root: VaultRoot,
  givenFrom: string,
  givenTo: string,
): Promise<{ readonly from: string; readonly to: string }> {
  const { from, to, isOtherSpelling } = await locateMove(root, givenFrom, givenTo);
  if (pathKey(to).startsWith(`${pathKey(from)}/`)) {
    throw new AppError('vault.path_invalid', `The folder "${from}" cannot be moved into itself`);
  }
  const source = await root.openFolder(folderOf(from));
  if (source === undefined) throw notFound(from);
  try {
    const target = await root.ensureFolder(folderOf(to));
    try {
      const [fromAt, toAt] = [source.at(nameOf(from)), target.at(nameOf(to))];
      if (from === to) return { from, to };
      if (!isOtherSpelling || !(await isSameFile(fromAt, toAt))) await refuseThere(toAt, to);
      await rename(fromAt, toAt);
      await target.sync();
      await source.sync();
    } catch (cause) {
      if (systemCode(cause) === 'ENOENT') throw notFound(from);
      throw cause;
    } finally {
      await target.close();
    }
    return { from, to };
  } finally {
    await source.close();
  }
}

/** Another spelling of the same name is meant as it is written, not as it stands on the disk. */
async function locateMove(root: VaultRoot, givenFrom: string, givenTo: string) {
  const from = await root.locate(givenFrom);
  const isOtherSpelling = pathKey(givenFrom) === pathKey(givenTo);
  const to = isOtherSpelling ? givenTo.normalize('NFC') : await root.locate(givenTo);
  return { from, to, isOtherSpelling };
}

/** On a disk that ignores case both names are one file. */
async function isSameFile(one: string, two: string): Promise<boolean> {
  try {
    const [a, b] = await Promise.all([lstat(one), lstat(two)]);
    return a.dev === b.dev && a.ino === b.ino;
  } catch (cause) {
    if (isAbsent(cause)) return true;
    throw cause;
  }
}

export async function removeFolder(root: VaultRoot, given: string): Promise<void> {
  const path = await root.locate(given);
  const folder = await root.openFolder(folderOf(path));
  if (folder === undefined) throw notFound(path);
  try {
    await rmdir(folder.at(nameOf(path)));
    await folder.sync();
  } catch (cause) {
    const code = systemCode(cause);
    if (isAbsent(cause)) throw notFound(path);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw cause;
    const message = `The folder "${path}" is not empty: move or delete what is in it first (hidden files count too)`;
    throw new AppError('vault.not_empty', message);
  } finally {
    await folder.close();
  }
}

export async function removeLeftovers(root: VaultRoot, olderThanMs: number): Promise<void> {
  const folder = await root.openFolder(STAGING_FOLDER);
  if (folder === undefined) return;
  try {
    for (const name of await readdir(folder.at(''))) {
      const at = folder.at(name);
      try {
        if ((await lstat(at)).mtimeMs < olderThanMs) await rm(at, { recursive: true });
      } catch (cause) {
        if (!isAbsent(cause)) throw cause;
      }
    }
  } finally {
    await folder.close();
  }
}
