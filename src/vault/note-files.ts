/**
 * Reads and writes the files of a vault: bytes as they are, versions by content, and each write whole or not at all,
 * through a power cut too. It knows nothing of an index. Paths have passed `toNotePath`.
 */
import { createHash, randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, lstat, open, unlink } from 'node:fs/promises';
import { AppError } from '../contract/errors.ts';
import { ifMatchHolds, ifNoneMatchHolds } from '../contract/etag.ts';
import { moveOver, moveToNew, STAGING_FOLDER } from './file-steps.ts';
import type { KeyedLocks } from './keyed-locks.ts';
import { moveFolder, moveNote, removeFolder, removeLeftovers } from './note-moves.ts';
import { folderOf, nameOf, pathKey } from './note-path.ts';
import { alreadyThere, isAbsent, notFound, systemCode, withVaultErrors } from './vault-errors.ts';
import type { Folder, VaultRoot } from './vault-root.ts';

export interface NoteFile {
  /** As it is on the disk. */
  readonly path: string;
  readonly bytes: Buffer;
  /** Of the bytes: the same content is the same version. */
  readonly etag: string;
  readonly mtimeMs: number;
  readonly size: number;
}

/** The headers of HTTP as they came; `''` and absent are the same. */
export interface Precondition {
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

export interface Written extends Omit<NoteFile, 'bytes'> {
  /** `none`: the note had this content already. */
  readonly change: 'created' | 'updated' | 'none';
}

export interface NoteFiles {
  read(path: string): Promise<NoteFile>;
  write(path: string, content: string, precondition?: Precondition): Promise<Written>;
  /** Never over something that is there. */
  move(from: string, to: string): Promise<{ readonly from: string; readonly to: string }>;
  /** A folder with all that is in it, in one step. */
  moveFolder(from: string, to: string): Promise<{ readonly from: string; readonly to: string }>;
  isFolder(path: string): Promise<boolean>;
  createFolder(path: string): Promise<{ readonly created: boolean }>;
  /** Only an empty one. */
  removeFolder(path: string): Promise<void>;
  /** Left by writes that were cut off. */
  removeLeftovers(olderThanMs: number): Promise<void>;
}

const FILE_MODE = 0o600;
const MODE_BITS = 0o777;
const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
/** How often a write without precondition is tried again because the folder went away meanwhile. */
const FOLDER_TRIES = 3;

export interface NoteFilesOptions {
  readonly root: VaultRoot;
  readonly locks: KeyedLocks;
  /** Largest note, in bytes. */
  readonly noteBytes: number;
}

export function createNoteFiles(options: NoteFilesOptions): NoteFiles {
  const { root, locks, noteBytes } = options;
  const locked = <T>(paths: readonly string[], work: () => Promise<T>): Promise<T> =>
    locks.run(paths.map(pathKey), () => withVaultErrors(paths[0] ?? '', work));

  return {
    read: (path) => withVaultErrors(path, async () => readNote(root, await root.locate(path), noteBytes)),
    write: (path, content, precondition = {}) =>
      locked([path], () => writeNote(options, path, Buffer.from(content), precondition)),
    move: (from, to) => locked([from, to], () => moveNote(root, from, to)),
    moveFolder: (from, to) => locked([from, to], () => moveFolder(root, from, to)),
    isFolder: async (path) => {
      const folder = await root.openFolder(await root.locate(path));
      await folder?.close();
      return folder !== undefined;
    },
    createFolder: (path) =>
      locked([path], async () => {
        const at = await root.locate(path);
        const there = await root.openFolder(at);
        await (there ?? (await root.ensureFolder(at))).close();
        return { created: there === undefined };
      }),
    removeFolder: (path) => locked([path], () => removeFolder(root, path)),
    removeLeftovers: (olderThanMs) => removeLeftovers(root, olderThanMs),
  };
}

export function etagOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64url').slice(0, 22);
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const LOSSY_UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** The text with every mark and line end as it is; bytes that are no UTF-8 are replaced, and `isExact` says so. */
export function toText(bytes: Uint8Array): { readonly text: string; readonly isExact: boolean } {
  try {
    return { text: UTF8.decode(bytes), isExact: true };
  } catch {
    // Only ever thrown for bytes that are no UTF-8.
    return { text: LOSSY_UTF8.decode(bytes), isExact: false };
  }
}

async function readNote(root: VaultRoot, path: string, noteBytes: number): Promise<NoteFile> {
  const folder = await root.openFolder(folderOf(path));
  if (folder === undefined) throw notFound(path);
  try {
    const { bytes, stats } = await readIn(folder, path, noteBytes);
    return { path, bytes, etag: etagOf(bytes), mtimeMs: stats.mtimeMs, size: bytes.length };
  } finally {
    await folder.close();
  }
}

/** Refuses all that is no regular file: a pipe would never end, a link may lead anywhere. */
export async function readIn(
  folder: Folder,
  path: string,
  noteBytes: number,
): Promise<{ readonly bytes: Buffer; readonly stats: Stats }> {
  const handle = await openFile(folder, path);
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) throw notFound(path);
    if (stats.size > noteBytes) throw tooLarge(path, noteBytes);
    const bytes = await readAll(handle, stats.size, noteBytes);
    if (bytes === undefined) throw tooLarge(path, noteBytes);
    return { bytes, stats };
  } finally {
    await handle.close();
  }
}

async function openFile(folder: Folder, path: string): Promise<FileHandle> {
  try {
    return await open(folder.at(nameOf(path)), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch (cause) {
    // ENXIO: a socket, which cannot be opened.
    if (isAbsent(cause) || systemCode(cause) === 'ENXIO') throw notFound(path);
    throw cause;
  }
}

/** Undefined when the file grew beyond the limit while it was read. */
async function readAll(handle: FileHandle, size: number, bytesMax: number): Promise<Buffer | undefined> {
  let buffer = Buffer.allocUnsafe(size + 1);
  let length = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return buffer.subarray(0, length);
    length += bytesRead;
    if (length > bytesMax) return undefined;
    if (length === buffer.length) buffer = Buffer.concat([buffer], buffer.length * 2);
  }
}

function tooLarge(path: string, noteBytes: number): AppError {
  const message = `"${path}" is larger than ${noteBytes} bytes: open it on disk, or raise limits.note_bytes`;
  return new AppError('vault.too_large', message);
}

async function readIfThere(root: VaultRoot, path: string, noteBytes: number): Promise<NoteFile | undefined> {
  try {
    return await readNote(root, path, noteBytes);
  } catch (error) {
    if (AppError.is(error) && error.code === 'vault.not_found') return undefined;
    throw error;
  }
}

async function writeNote(
  { root, noteBytes }: NoteFilesOptions,
  given: string,
  bytes: Buffer,
  precondition: Precondition,
): Promise<Written> {
  if (bytes.length > noteBytes) throw tooLarge(given, noteBytes);
  const path = await root.locate(given);
  const current = await readIfThere(root, path, noteBytes);
  checkPrecondition(path, current, precondition);
  if (current !== undefined && isSameText(current.bytes, bytes, path)) {
    const { etag, mtimeMs, size } = current;
    return { path, etag, mtimeMs, size, change: 'none' };
  }
  const staged = await stage(root, bytes, await modeOf(root, path));
  try {
    await place(
      root,
      staged,
      path,
      async () => {
        if (!isGuarded(precondition)) return;
        // An editor may have been faster while the bytes went to the disk.
        checkPrecondition(path, await readIfThere(root, path, noteBytes), precondition);
      },
      precondition.ifNoneMatch?.trim() === '*',
    );
  } finally {
    await staged.discard();
  }
  const { mtimeMs } = staged;
  const change = current === undefined ? 'created' : 'updated';
  return { path, etag: etagOf(bytes), mtimeMs, size: bytes.length, change };
}

export function isGuarded({ ifMatch = '', ifNoneMatch = '' }: Precondition): boolean {
  return ifMatch.trim() !== '' || ifNoneMatch.trim() !== '';
}

export function checkPrecondition(
  path: string,
  current: Pick<NoteFile, 'etag' | 'mtimeMs' | 'size'> | undefined,
  { ifMatch = '', ifNoneMatch = '' }: Precondition,
): void {
  const isUnchanged = ifMatchHolds(ifMatch, current?.etag);
  if (isUnchanged && ifNoneMatchHolds(ifNoneMatch, current?.etag)) return;
  const now = current === undefined ? 'it is not there' : 'somebody changed it';
  const why = isUnchanged ? 'it exists already' : now;
  throw new AppError('vault.conflict', `"${path}" was not written: ${why}. Read it again and decide anew`, {
    details: {
      path,
      etag: current?.etag ?? null,
      modified: current === undefined ? null : current.mtimeMs / 1000,
      size: current?.size ?? null,
    },
  });
}

/**
 * A note with bytes that are no UTF-8 reads as text with marks in their place. Whoever sends that text back has changed
 * nothing; whoever sends it back changed would lose those bytes.
 */
function isSameText(current: Buffer, bytes: Buffer, path: string): boolean {
  if (current.equals(bytes)) return true;
  const { text, isExact } = toText(current);
  if (isExact) return false;
  const wanted = bytes.toString('utf8');
  if (text === wanted) return true;
  if (!wanted.includes('\uFFFD')) return false;
  const message = `"${path}" holds bytes that are not UTF-8, which this text would replace by question marks: save the file as UTF-8 first`;
  throw new AppError('vault.not_text', message);
}

/** What somebody chose for a file stays; a new one is for its owner only. */
async function modeOf(root: VaultRoot, path: string): Promise<number> {
  const folder = await root.openFolder(folderOf(path));
  if (folder === undefined) return FILE_MODE;
  try {
    const stats = await lstat(folder.at(nameOf(path)));
    return stats.isFile() ? stats.mode & MODE_BITS : FILE_MODE;
  } catch (cause) {
    if (isAbsent(cause)) return FILE_MODE;
    throw cause;
  } finally {
    await folder.close();
  }
}

interface Staged {
  readonly at: string;
  readonly mtimeMs: number;
  /** Harmless once it has been moved away. */
  discard(): Promise<void>;
}

async function stage(root: VaultRoot, bytes: Buffer, mode: number): Promise<Staged> {
  const folder = await root.ensureFolder(STAGING_FOLDER);
  const at = folder.at(randomBytes(9).toString('hex'));
  const discard = async (): Promise<void> => {
    try {
      await unlink(at);
    } catch (cause) {
      if (!isAbsent(cause)) throw cause;
    } finally {
      await folder.close();
    }
  };
  try {
    const handle = await open(at, 'wx', FILE_MODE);
    try {
      await handle.writeFile(bytes);
      if (mode !== FILE_MODE) await handle.chmod(mode);
      await handle.sync();
      const { mtimeMs } = await handle.stat();
      return { at, mtimeMs, discard };
    } finally {
      await handle.close();
    }
  } catch (cause) {
    await discard();
    throw cause;
  }
}

/** From here on the note is the new one, or still the old one. */
async function place(
  root: VaultRoot,
  staged: Staged,
  path: string,
  check: () => Promise<void>,
  mustBeNew: boolean,
): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const folder = await root.ensureFolder(folderOf(path));
    try {
      const to = folder.at(nameOf(path));
      await refuseOdd(to, path);
      await check();
      if (mustBeNew) await moveToNew(staged.at, to, path);
      else await moveOver(staged.at, to);
      await folder.sync();
      return;
    } catch (cause) {
      // Somebody removed the folder that had just been opened.
      if (systemCode(cause) !== 'ENOENT' || tries >= FOLDER_TRIES) throw cause;
    } finally {
      await folder.close();
    }
  }
}

/** A rename would put the note in place of a link or a pipe that somebody needs. */
async function refuseOdd(at: string, path: string): Promise<void> {
  try {
    const stats = await lstat(at);
    if (!stats.isFile())
      throw alreadyThere(path, stats.isDirectory() ? 'a folder' : 'something that is no file');
  } catch (cause) {
    if (!isAbsent(cause)) throw cause;
  }
}
