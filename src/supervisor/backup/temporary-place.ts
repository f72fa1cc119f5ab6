/**
 * A directory beside what is being made, so that the finished thing takes its name by one rename. Whatever ends this
 * program, nothing half-made ever has that name; what a kill leaves behind is removed by the next one that works there.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { isAlive } from '../process-facts.ts';

/** For `target`, which need not exist; its parent has to. */
export async function makeTemporaryPlace(target: string): Promise<string> {
  const parent = dirname(target);
  await removeLeftovers(parent, basename(target));
  const place = join(parent, `.${basename(target)}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`);
  try {
    await mkdir(place, { mode: 0o700 });
  } catch (error) {
    throw toWriteError(error, target);
  }
  return place;
}

/** Of programs that are gone. */
async function removeLeftovers(parent: string, name: string): Promise<void> {
  // What is wrong with the directory is told when something is made in it.
  const entries = await readdir(parent).catch(() => []);
  for (const entry of entries) {
    if (!entry.startsWith(`.${name}.`)) continue;
    const pid = /^(\d+)-[0-9a-f]{12}\.tmp$/.exec(entry.slice(name.length + 2))?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    await rm(join(parent, entry), { recursive: true, force: true }).catch(() => {}); // in nobody's way
  }
}

/** A new name survives a power cut only when its directory is written. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'its directory does not exist: make it first',
  ENOTDIR: 'a part of the path is no directory',
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
  EISDIR: 'a directory has this name',
  ENOTEMPTY: 'it is not empty',
  ENAMETOOLONG: 'the name is too long',
};
/** EFBIG: beyond what `ulimit -f` allows. */
const FULL = ['ENOSPC', 'EDQUOT', 'EFBIG'];

/** In words, where the system says why something cannot be written; anything else as it is. */
export function toWriteError(error: unknown, target: string): unknown {
  if (AppError.is(error)) return error;
  const { code = '' } = error as NodeJS.ErrnoException;
  if (FULL.includes(code)) {
    return new AppError(
      'storage.full',
      `${target} cannot be written: there is no room left on its disk (${code}). Nothing was left behind; make room, or choose another place`,
      { cause: error },
    );
  }
  const why = REASONS[code];
  if (why === undefined) return error;
  return new AppError('backup.refused', `${target} cannot be written: ${why}`, { cause: error });
}
