/**
 * Opens a file that is to be handed out, or says why not. Names come from answers of a model, which repeats what
 * strangers wrote: so only what lies in a directory meant for it, reached without any link, hidden part or file of the
 * agent's own, and nothing is opened before that is known (a lock would be lost by opening its file).
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { AppError } from '../contract/errors.ts';

export interface ServedFile {
  readonly path: string;
  readonly bytes: number;
  /** Another one after every change. */
  readonly version: string;
}

export interface ServedPlaces {
  readonly roots: readonly string[];
  /** Not handed out, nor what lies beside them and begins with their names. */
  readonly privateFiles: readonly string[];
}

const PIECE_BYTES = 64 * 1024;
/** Neither a link nor a pipe nor a terminal is waited for. */
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
/** The agent's own, should a directory that is served hold them. */
const OWN_NAMES = /^openagent\.(?:yaml|yml|db)/i;

/** Throws `file.gone` and `file.refused`. */
export async function findServed(path: string, places: ServedPlaces): Promise<ServedFile> {
  const { handle, file } = await openServed(path, places);
  await handle.close();
  return file;
}

/**
 * Bytes `from` … `to`, both included. Throws, then or in the middle, when it is no longer the file that was found: a
 * client must not get the head of one and the tail of another.
 */
export async function* readServed(
  found: ServedFile,
  places: ServedPlaces,
  { from, to }: { readonly from: number; readonly to: number },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { handle, file } = await openServed(found.path, places);
  try {
    if (file.version !== found.version) throw gone(found.path);
    for (let at = from; at <= to; ) {
      const { bytesRead, buffer } = await handle.read(
        Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, to - at + 1)),
        { position: at },
      );
      if (bytesRead === 0) throw gone(found.path);
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

async function openServed(
  path: string,
  places: ServedPlaces,
): Promise<{ handle: FileHandle; file: ServedFile }> {
  const real = await realPathWithin(path, places);
  const handle = await open(real, FLAGS).catch((error: unknown) => {
    throw refusalOf(error, path);
  });
  try {
    const stat = await handle.stat();
    const there = await lstat(real).catch(() => undefined);
    // What was opened is what was looked at, whatever somebody moved in between.
    if (!stat.isFile() || there?.ino !== stat.ino || there.dev !== stat.dev) throw refused(path);
    if ((await realpath(real).catch(() => '')) !== real) throw refused(path);
    const version = [stat.ino, stat.size, stat.mtimeMs].map((part) => part.toString(36)).join('-');
    return { handle, file: { path, bytes: stat.size, version } };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function realPathWithin(path: string, { roots, privateFiles }: ServedPlaces): Promise<string> {
  if (!isAbsolute(path) || path.includes('\0')) throw refused(path);
  const plain = resolve(path);
  for (const root of roots) {
    const realRoot = await realpath(root).catch(() => undefined);
    if (realRoot === undefined) continue;
    const inside = [root, realRoot].map((each) => relative(each, plain)).find(isInside);
    if (inside === undefined) continue;
    if (inside.split(sep).some((part) => part.startsWith('.') || OWN_NAMES.test(part))) throw refused(path);
    const real = await realpath(plain).catch((error: unknown) => {
      throw refusalOf(error, path);
    });
    if (real !== join(realRoot, inside) || privateFiles.some((own) => plain.startsWith(own))) {
      throw refused(path);
    }
    return real;
  }
  throw refused(path);
}

function isInside(path: string): boolean {
  return path !== '' && path !== '..' && !path.startsWith(`..${sep}`) && !isAbsolute(path);
}

function refusalOf(error: unknown, path: string): AppError {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR' ? gone(path) : refused(path);
}

/** The path stays out of the message: it may be anything. */
function refused(path: string): AppError {
  return new AppError('file.refused', 'The file lies outside of what this agent hands out, or is a link', {
    cause: new Error(`Not served: ${path}`),
  });
}

function gone(path: string): AppError {
  return new AppError('file.gone', 'The file is no longer there, or was changed while it was read', {
    cause: new Error(`Gone: ${path}`),
  });
}
