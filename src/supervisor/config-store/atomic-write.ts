/**
 * Replaces a file as a whole: whoever reads it, at whatever moment and after whatever crash, finds the old content or the
 * new one. What a crash leaves behind is a file of another name, removed by the next write.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, readdir, rename, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AppError } from '../../contract/errors.ts';

export interface WriteOptions {
  readonly mode: number;
  /** Kept where this process may do so. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
}

/** `path` is no symbolic link, and nobody else writes it at the same time. */
export async function writeAtomically(
  path: string,
  bytes: Buffer | string,
  options: WriteOptions,
): Promise<void> {
  const dir = dirname(path);
  try {
    await removeLeftovers(dir, basename(path));
    const temporary = join(dir, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
    try {
      await writeDurably(temporary, bytes, options);
      await rename(temporary, path);
    } catch (error) {
      // Else it would hold the very room that is missing; should this fail too, the next write removes it.
      await unlink(temporary).catch(() => {});
      throw error;
    }
    await syncDirectory(dir);
  } catch (error) {
    throw toAppError(path, error);
  }
}

async function writeDurably(
  path: string,
  bytes: Buffer | string,
  { mode, owner }: WriteOptions,
): Promise<void> {
  const { O_WRONLY, O_CREAT, O_EXCL } = constants;
  const handle = await open(path, O_WRONLY | O_CREAT | O_EXCL | (constants.O_NOFOLLOW ?? 0), 0o600);
  try {
    await handle.writeFile(bytes);
    if (owner) await keepOwner(handle, owner);
    await handle.chmod(mode);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function keepOwner(handle: FileHandle, owner: { uid: number; gid: number }): Promise<void> {
  const found = await handle.stat();
  if (found.uid === owner.uid && found.gid === owner.gid) return;
  // Only root may give a file away; then it belongs to whoever wrote it, as with any editor.
  await handle.chown(owner.uid, owner.gid).catch(() => {});
}

/** The new name itself survives a power cut only when its directory is written. */
async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Of writes of this file, or of any in the directory; none may be under way. */
export async function removeLeftovers(dir: string, name?: string): Promise<void> {
  const entries = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const entry of entries) {
    if (!entry.startsWith(name === undefined ? '.' : `.${name}.`) || !entry.endsWith('.tmp')) continue;
    await unlink(join(dir, entry)).catch(() => {}); // Gone already, or in nobody's way.
  }
}

function toAppError(path: string, error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  const name = basename(path);
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new AppError(
        'storage.full',
        `${name} cannot be written: the disk is full; nothing was changed`,
        {
          cause: error,
        },
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new AppError(
        'directory.unwritable',
        `${name} cannot be written (${code}); nothing was changed`,
        {
          cause: error,
        },
      );
    default:
      return error;
  }
}
