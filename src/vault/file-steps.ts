/** Single steps with the files of a vault that never put one thing in the place of another. */
import type { Stats } from 'node:fs';
import { link, lstat, rename, unlink } from 'node:fs/promises';
import { nameOf } from './note-path.ts';
import { alreadyThere, isAbsent, notFound, systemCode } from './vault-errors.ts';
import type { Folder } from './vault-root.ts';

/** Hidden, so neither listed nor watched; on the same file system, so that a rename is all that is left to do. */
export const STAGING_FOLDER = '.trash/.tmp';
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/** A rename that never replaces anything, where the file system has hard links. */
export async function moveToNew(from: string, to: string, path: string): Promise<void> {
  try {
    await link(from, to);
  } catch (cause) {
    const code = systemCode(cause) ?? '';
    if (code === 'EEXIST') throw alreadyThere(path);
    if (!NO_LINKS.includes(code)) throw cause;
    await refuseThere(to, path);
    await rename(from, to);
    return;
  }
  await unlink(from);
}

export async function refuseThere(at: string, path: string): Promise<void> {
  try {
    await lstat(at);
  } catch (cause) {
    if (isAbsent(cause)) return;
    throw cause;
  }
  throw alreadyThere(path);
}

export async function requireFile(folder: Folder, path: string): Promise<Stats> {
  try {
    const stats = await lstat(folder.at(nameOf(path)));
    if (stats.isFile()) return stats;
  } catch (cause) {
    if (!isAbsent(cause)) throw cause;
  }
  throw notFound(path);
}
