/**
 * Which files of an agent's directory go into a backup: everything that is the agent's or its user's, nothing that
 * belongs to a run of it or that can be made anew. Only names are read here; locks are never opened.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isPlainPath } from './manifest.ts';

export interface Selection {
  readonly secrets: boolean;
  readonly uploads: boolean;
  readonly logs: boolean;
}

export interface FoundFile {
  /** Within the backup. */
  readonly path: string;
  readonly absolute: string;
}

export interface Found {
  readonly files: readonly FoundFile[];
  readonly directories: readonly string[];
  /** Links, pipes, sockets, and what has a name that no file may have elsewhere. */
  readonly skipped: readonly string[];
}

/** Of a run, directly in the directory: the port, what is under way; and our own manifest's place in the archive. */
const OF_A_RUN = /^\.(?:port|crumb|children\.json|backup)$|\.tmp$/;
/** Wherever they are: locks, which nobody else may even open, and what is half-written. */
const NEVER = /^(?:\.lock|\.writer)(?:$|[.-])|^\.(?:.*\.)?tmp$/;
const INCOMING = 'uploads/.incoming';
/** Made anew from what is there: the vault's index, packages of bridges. */
const MADE_ANEW = /^(?:vault-index\.db(?:-\w+)?|node_modules)$/;
const SECRETS = /^(?:\.config-versions|\.env(?:\..*)?)$/;
const UPLOADS = ['uploads', 'outputs'];
const LOGS = 'logs';
/** A note that is deleted meanwhile goes there: looked at last, it is found in one place at least. */
const TRASH = '.trash';

/** Files the caller brings by itself: the configuration and the database with its companions. */
export function isChosen(path: string, selection: Selection, own: ReadonlySet<string>): boolean {
  const parts = path.split('/');
  const [first = ''] = parts;
  if (own.has(path)) return false;
  if (path === INCOMING || (parts.length === 1 && OF_A_RUN.test(first))) return false;
  if (parts.some((part) => NEVER.test(part) || MADE_ANEW.test(part))) return false;
  if (!selection.secrets && parts.some((part) => SECRETS.test(part))) return false;
  if (!selection.uploads && UPLOADS.includes(first)) return false;
  return selection.logs || first !== LOGS;
}

/** What is below a directory, as far as `take` wants it. One that disappears meanwhile has nothing in it. */
export async function findFiles(
  root: string,
  prefix: string,
  take: (path: string) => boolean,
): Promise<Found> {
  const found = { files: [] as FoundFile[], directories: [] as string[], skipped: [] as string[] };
  const walk = async (absolute: string, path: string): Promise<void> => {
    for (const entry of await entriesOf(absolute)) {
      const inside = path === '' ? entry.name : `${path}/${entry.name}`;
      if (!take(inside)) continue;
      const place = join(absolute, entry.name);
      // A name that is no text, or none everywhere, could not be made again.
      if (!isPlainPath(inside) || inside.includes('\u{fffd}')) found.skipped.push(inside);
      else if (entry.isFile()) found.files.push({ path: inside, absolute: place });
      else if (!entry.isDirectory()) found.skipped.push(inside);
      else {
        found.directories.push(inside);
        await walk(place, inside);
      }
    }
  };
  await walk(root, prefix);
  return found;
}

async function entriesOf(dir: string) {
  try {
    const entries = await readdir(dir, { withFileTypes: true });
    return entries.sort((a, b) => {
      const isLater = Number(a.name === TRASH) - Number(b.name === TRASH);
      return isLater === 0 ? (a.name < b.name ? -1 : 1) : isLater;
    });
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

export function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

export interface OpenedFile {
  readonly size: number;
  readonly isProgram: boolean;
  readonly modifiedAt: Date;
  readonly chunks: AsyncIterable<Buffer>;
  close(): Promise<void>;
}

/** Small enough to be read at once, and again if somebody wrote into it meanwhile. */
const WHOLE_BYTES_MAX = 8 * 1024 * 1024;
const ATTEMPTS_MAX = 5;
const CHUNK_BYTES = 256 * 1024;
const OWNER_RUNS = 0o100;

/** Undefined: gone, or no file any more. */
export async function openFile(path: string): Promise<OpenedFile | undefined> {
  const handle = await openHandle(path);
  if (handle === undefined) return undefined;
  let isHandedOn = false;
  try {
    for (let attempt = 1; ; attempt += 1) {
      const before = await handle.stat();
      if (!before.isFile()) return undefined;
      const { size, mode, mtimeMs } = before;
      const about = { isProgram: (mode & OWNER_RUNS) !== 0, modifiedAt: new Date(mtimeMs) };
      if (size > WHOLE_BYTES_MAX) {
        isHandedOn = true;
        return { ...about, size, chunks: chunksOf(handle, size), close: () => handle.close() };
      }
      const bytes = await readWhole(chunksOf(handle, size));
      const after = await handle.stat();
      const isSame = after.size === bytes.length && after.mtimeMs === mtimeMs;
      // Somebody writes into it in place and without end: then as it was for a moment.
      if (!isSame && attempt < ATTEMPTS_MAX) continue;
      return { ...about, size: bytes.length, chunks: once(bytes), close: async () => {} };
    }
  } finally {
    if (!isHandedOn) await handle.close();
  }
}

async function openHandle(path: string): Promise<FileHandle | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    // A pipe of that name would wait for its writer, a link could lead anywhere.
    return await open(path, O_RDONLY | (O_NOFOLLOW ?? 0) | (O_NONBLOCK ?? 0));
  } catch (error) {
    if (isGone(error)) return undefined;
    const now = await lstat(path).catch(() => undefined);
    if (now !== undefined && !now.isFile()) return undefined;
    throw error;
  }
}

async function* chunksOf(handle: FileHandle, size: number): AsyncGenerator<Buffer> {
  let position = 0;
  while (position < size) {
    const length = Math.min(CHUNK_BYTES, size - position);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

async function readWhole(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
