/**
 * Opens folders of a vault so that nothing outside of it can be meant. A folder that was opened is looked at again
 * through its own descriptor, and what is done in it goes through that descriptor: a symbolic link put in its way in
 * between changes nothing. Where a system cannot do that (only Linux has /proc/self/fd), the real path is checked
 * after opening.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { folderOf, joinPath, nameOf, pathKey } from './note-path.ts';
import { alreadyThere, isAbsent, systemCode, withVaultErrors } from './vault-errors.ts';

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the range is what ASCII is
const ASCII = /^[\u0000-\u007f]*$/;
const HAS_DESCRIPTORS = process.platform === 'linux';
const FOLDER_MODE = 0o700;

/** A folder of the vault, held open. Close it. */
export interface Folder {
  /** A name for system calls that leads into this very folder. */
  at(name: string): string;
  /** What was made, renamed or removed in it outlives a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface VaultRoot {
  /** As configured. */
  readonly path: string;
  /** Undefined: there is no such folder, or it is a link. */
  openFolder(path: string): Promise<Folder | undefined>;
  /** Makes it, and those it is in, where they are missing. */
  ensureFolder(path: string): Promise<Folder>;
  /**
   * The path as it is on the disk, where names there differ by normal form, or by case on a disk that ignores it. What
   * is not there yet is composed (NFC).
   */
  locate(path: string): Promise<string>;
}

export function createVaultRoot(rootPath: string): VaultRoot {
  const path = resolve(rootPath);
  let real: string | undefined;
  let ignoresCase: boolean | undefined;

  const realRoot = async (): Promise<string> => {
    real ??= await realpath(path);
    return real;
  };

  const openFolder = async (folder: string): Promise<Folder | undefined> => {
    try {
      const at = join(await realRoot(), folder);
      return await openVerified(at);
    } catch (cause) {
      if (!isAbsent(cause)) throw cause;
      if (folder === '') real = undefined;
      return undefined;
    }
  };

  const ensureFolder = async (folder: string): Promise<Folder> => {
    const there = await openFolder(folder);
    if (there) return there;
    if (folder === '') {
      await mkdir(path, { recursive: true, mode: FOLDER_MODE });
    } else {
      const parent = await ensureFolder(folderOf(folder));
      try {
        await mkdir(parent.at(nameOf(folder)), { mode: FOLDER_MODE });
        await parent.sync();
      } catch (cause) {
        // Somebody was faster.
        if (systemCode(cause) !== 'EEXIST') throw cause;
      } finally {
        await parent.close();
      }
    }
    const made = await openFolder(folder);
    if (made === undefined) throw alreadyThere(folder, 'a file or a link');
    return made;
  };

  return {
    path,
    openFolder: (folder) => withVaultErrors(folder, () => openFolder(folder)),
    ensureFolder: (folder) => withVaultErrors(folder, () => ensureFolder(folder)),
    locate: async (given) => {
      const composed = given.normalize('NFC');
      try {
        ignoresCase ??= await probeCase(await realRoot());
        if (!ignoresCase && ASCII.test(given)) return given;
        return await locateIn(await realRoot(), given);
      } catch (cause) {
        if (isAbsent(cause)) return composed;
        throw cause;
      }
    },
  };
}

async function openVerified(at: string): Promise<Folder | undefined> {
  if (process.platform === 'win32') return (await isReally(at)) ? folderAt(at, undefined) : undefined;
  const handle = await open(at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const base = `/proc/self/fd/${handle.fd}`;
    const isInside = HAS_DESCRIPTORS ? (await readlink(base)) === at : await isReally(at);
    if (isInside) return folderAt(HAS_DESCRIPTORS ? base : at, handle);
  } catch (cause) {
    await handle.close();
    throw cause;
  }
  await handle.close();
  return undefined;
}

async function isReally(at: string): Promise<boolean> {
  return pathKey(await realpath(at)) === pathKey(at);
}

function folderAt(base: string, handle: FileHandle | undefined): Folder {
  return {
    at: (name) => (name === '' ? base : `${base}/${name}`),
    sync: async () => {
      try {
        await handle?.sync();
      } catch (cause) {
        // Some network file systems cannot sync a folder; they are as durable as they are.
        if (systemCode(cause) !== 'EINVAL') throw cause;
      }
    },
    close: async () => handle?.close(),
  };
}

/** The root's own name in the other case: the same folder, where the disk ignores case. */
async function probeCase(real: string): Promise<boolean> {
  const name = basename(real);
  const other = name === name.toUpperCase() ? name.toLowerCase() : name.toUpperCase();
  if (other === name) return process.platform !== 'linux';
  try {
    const [one, two] = await Promise.all([lstat(real), lstat(join(dirname(real), other))]);
    return one.dev === two.dev && one.ino === two.ino;
  } catch (cause) {
    if (isAbsent(cause)) return false;
    throw cause;
  }
}

async function locateIn(real: string, given: string): Promise<string> {
  let found = '';
  const names = given.split('/');
  for (const [depth, name] of names.entries()) {
    const entry = await findName(join(real, found), name);
    if (entry === undefined) {
      return joinPath(found, names.slice(depth).join('/').normalize('NFC'));
    }
    found = joinPath(found, entry);
  }
  return found;
}

/** Best first: the very name, then another normal form of it, then another case where the disk takes that for the same. */
async function findName(folder: string, name: string): Promise<string | undefined> {
  const entries = await readdir(folder);
  if (entries.includes(name)) return name;
  const composed = name.normalize('NFC');
  const sameForm = entries.find((entry) => entry.normalize('NFC') === composed);
  if (sameForm !== undefined) return sameForm;
  try {
    await lstat(join(folder, name));
    return entries.find((entry) => pathKey(entry) === pathKey(name));
  } catch (cause) {
    if (isAbsent(cause)) return undefined;
    throw cause;
  }
}
