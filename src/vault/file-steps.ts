/**
 * Single steps with the files of a vault: what stands at the end is the old or the new thing, whole, also in a folder that
 * is a file system of its own, as those that containers mount into a vault are.
 */
import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { copyFile, link, lstat, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { nameOf } from './note-path.ts';
import { alreadyThere, isAbsent, notFound, systemCode } from './vault-errors.ts';
import type { Folder } from './vault-root.ts';

/** Hidden, so neither listed nor watched; mostly on the same file system, so that a rename is all that is left to do. */
export const STAGING_FOLDER = '.trash/.tmp';
/** What `moveByCopy` calls its copies: nobody else's files. */
const COPY_NAME = /^\.[0-9a-f]{18}\.tmp$/;
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];

/** A rename that replaces what is there. */
export async function moveOver(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (cause) {
    if (systemCode(cause) !== 'EXDEV') throw cause;
    await moveByCopy(from, to, (copy) => rename(copy, to));
  }
}

/** To another file system: by way of a hidden copy beside the new place, on the disk before it gets its name. */
async function moveByCopy(from: string, to: string, name: (copy: string) => Promise<void>): Promise<void> {
  const copy = `${dirname(to)}/.${randomBytes(9).toString('hex')}.tmp`;
  try {
    await copyFile(from, copy, constants.COPYFILE_EXCL);
    const { atime, mtime } = await lstat(from);
    const handle = await open(copy, 'r+');
    try {
      await handle.utimes(atime, mtime);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await name(copy);
  } catch (cause) {
    // Should this fail too, a hidden file stays that nobody is shown.
    await unlink(copy).catch(() => {});
    throw cause;
  }
  await unlink(from);
}

/**
 * Removes a copy that a kill left in the middle of its move; other names are let be. By the time of its inode: its
 * content has that of what was copied.
 */
export async function sweepCopy(folder: Folder, name: string, beforeMs: number): Promise<void> {
  if (!COPY_NAME.test(name)) return;
  const at = folder.at(name);
  try {
    const stats = await lstat(at);
    if (stats.isFile() && stats.ctimeMs < beforeMs) await unlink(at);
  } catch {
    // Gone already, or on a disk that takes no writes: nobody is shown it, and the next scan looks again.
  }
}

/** A rename that never replaces anything, where the file system has hard links. */
export async function moveToNew(from: string, to: string, path: string): Promise<void> {
  try {
    await link(from, to);
  } catch (cause) {
    const code = systemCode(cause) ?? '';
    if (code === 'EEXIST') throw alreadyThere(path);
    if (code === 'EXDEV') return moveByCopy(from, to, (copy) => moveToNew(copy, to, path));
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
