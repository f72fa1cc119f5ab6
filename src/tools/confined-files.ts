/**
 * Reads and writes files that a confinement has let through. What was opened is looked at again by its descriptor, so a
 * link that is put in the way in between changes nothing; a file is replaced as a whole, so no crash leaves half of one.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readlink, realpath, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AppError } from '../contract/errors.ts';
import type { Confinement } from './confined-paths.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
const HAS_DESCRIPTORS = process.platform === 'linux';
const READ_FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export interface TextFile {
  readonly real: string;
  readonly text: string;
}

/** Throws `file.not_found`, `file.refused`, and `tool.failed` for what is too large or no text. */
export async function readTextFile(real: string, maxBytes: number): Promise<TextFile> {
  const handle = await openVerified(real, READ_FLAGS);
  try {
    const stat = await handle.stat();
    if (stat.isDirectory())
      throw new AppError('tool.failed', 'This is a directory: files_list shows what is in it');
    if (!stat.isFile()) throw new AppError('file.refused', 'This is no regular file');
    if (stat.size > maxBytes) {
      throw new AppError('tool.failed', `The file has ${stat.size} bytes; at most ${maxBytes} are read`);
    }
    const bytes = Buffer.alloc(stat.size);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return { real, text: toText(bytes.subarray(0, length)) };
  } finally {
    await handle.close();
  }
}

/** `mayReplace` false: a file of another content that is there already is `tool.failed`. */
export async function writeTextFile(
  confinement: Confinement,
  given: string,
  content: string,
  { mayReplace, maxBytes }: { readonly mayReplace: boolean; readonly maxBytes: number },
): Promise<{ readonly real: string; readonly change: 'created' | 'replaced' | 'none' }> {
  const bytes = Buffer.from(content);
  if (bytes.length > maxBytes) {
    throw new AppError(
      'tool.failed',
      `The content has ${bytes.length} bytes; at most ${maxBytes} are written`,
    );
  }
  const { real, exists } = await confinement.locate(given, 'write');
  if (exists) {
    const there = await readTextFile(real, maxBytes).catch(() => undefined);
    if (there?.text === content) return { real, change: 'none' };
    if (!mayReplace)
      throw new AppError('tool.failed', 'The file exists: set if_exists to overwrite to replace it');
  } else await mkdir(dirname(real), { recursive: true, mode: FOLDER_MODE });
  await replace(real, bytes);
  return { real, change: exists ? 'replaced' : 'created' };
}

async function replace(real: string, bytes: Buffer): Promise<void> {
  const folder = await openVerified(dirname(real), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  const base = HAS_DESCRIPTORS ? `/proc/self/fd/${folder.fd}` : dirname(real);
  const target = join(base, basename(real));
  const temporary = join(base, `.${randomBytes(9).toString('hex')}.tmp`);
  try {
    const stat = await lstat(target).catch(() => undefined);
    if (stat !== undefined && !stat.isFile()) throw new AppError('file.refused', 'This is no regular file');
    const mode = stat === undefined ? FILE_MODE : stat.mode & 0o777;
    const file = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    try {
      await file.writeFile(bytes);
      await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
    await folder.sync();
  } catch (error) {
    await rm(temporary, { force: true });
    throw toKnown(error);
  } finally {
    await folder.close();
  }
}

/** What was opened is what was judged. */
async function openVerified(real: string, flags: number): Promise<FileHandle> {
  const handle = await open(real, flags).catch((error: unknown) => {
    throw toKnown(error);
  });
  try {
    if ((await pathOf(handle, real)) === real) return handle;
    throw new AppError('file.refused', 'The path has changed while it was opened');
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function pathOf(handle: FileHandle, real: string): Promise<string | undefined> {
  if (HAS_DESCRIPTORS) return readlink(`/proc/self/fd/${handle.fd}`);
  const [opened, there] = [await handle.stat(), await lstat(real)];
  return opened.ino === there.ino && opened.dev === there.dev ? realpath(real) : undefined;
}

export function toText(bytes: Uint8Array): string {
  if (!bytes.includes(0)) {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      // Not UTF-8: told below.
    }
  }
  throw new AppError('tool.failed', 'The file is binary, or no UTF-8 text');
}

function toKnown(error: unknown): unknown {
  if (AppError.is(error)) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR') return new AppError('file.not_found', 'There is no such file');
  if (code === 'ELOOP') return new AppError('file.refused', 'This is a link');
  return new AppError('tool.failed', `The file cannot be opened or written: ${code ?? 'unknown'}`, {
    cause: error,
  });
}
