/**
 * A backup as a directory again. The archive is read twice: first nothing is written, and everything in it is compared
 * with its manifest; then it is written beside the target, compared again, and takes the target's name when all of it is
 * on the disk. So an archive that somebody made for harm costs time, and never a byte outside of a directory of our own.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readdir, realpath, rename, rm, statfs } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import PQueue from 'p-queue';
import { AppError } from '../../contract/errors.ts';
import { MIGRATIONS } from '../../storage/migrations.ts';
import { CONFIG_NAME } from '../config/read-config.ts';
import { type ArchiveEntry, invalid, readArchive } from './archive-reader.ts';
import { FORMAT, MANIFEST_BYTES_MAX, MANIFEST_NAME, Manifest } from './manifest.ts';
import { type Settled, settleCopy } from './settle-copy.ts';
import { makeTemporaryPlace, syncDirectory, toWriteError } from './temporary-place.ts';

export interface RestoreRequest {
  readonly file: string;
  /** Absolute; does not exist, or is empty. */
  readonly dir: string;
  readonly resume: boolean;
  readonly nowMs: number;
  readonly signal: AbortSignal;
  onProgress(progress: { readonly what: string; readonly files: number; readonly bytes: number }): void;
}

export interface RestoreResult {
  readonly manifest: Manifest;
  readonly settled: Settled;
}

/** Throws AppError: `backup.invalid`, `backup.refused`, `storage.*`. */
export async function restoreBackup(request: RestoreRequest): Promise<RestoreResult> {
  await refuseTaken(request.dir);
  const handle = await openArchive(request.file);
  try {
    const manifest = await examine(handle, request);
    const place = await makeTemporaryPlace(request.dir);
    try {
      const settled = await build(handle, manifest, place, request);
      request.signal.throwIfAborted();
      await rename(join(place, 'agent'), request.dir);
      await syncDirectory(dirname(request.dir));
      return { manifest, settled };
    } catch (error) {
      throw toWriteError(error, request.dir);
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  } finally {
    await handle.close();
  }
}

async function refuseTaken(dir: string): Promise<void> {
  const found = await lstat(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw toWriteError(error, dir);
  });
  if (found === undefined) return;
  if (found.isDirectory() && (await readdir(dir)).length === 0) return;
  const why = found.isDirectory() ? 'it is not empty' : 'something that is no directory has this name';
  throw new AppError(
    'backup.refused',
    `${dir} cannot be restored to: ${why}. Nothing is ever overwritten: choose another directory`,
  );
}

async function openArchive(file: string): Promise<FileHandle> {
  try {
    const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
  } catch (error) {
    const { message } = error as NodeJS.ErrnoException;
    throw new AppError('backup.refused', `${file} cannot be read: ${message}`, { cause: error });
  }
  throw new AppError('backup.refused', `${file} is no regular file`);
}

interface Read {
  readonly size: number;
  readonly sha256: string;
}

/** Reads all of it and keeps nothing; what is not as its manifest says is refused. */
async function examine(handle: FileHandle, { dir, signal, onProgress }: RestoreRequest): Promise<Manifest> {
  const files = new Map<string, Read>();
  const directories = new Set<string>();
  let text: string | undefined;
  let bytes = 0;
  await readArchive(handle, await roomFor(dir), signal, async (entry) => {
    if (text !== undefined) throw invalid('something follows its manifest');
    if (entry.path === MANIFEST_NAME) text = await readText(entry);
    else if (entry.isDirectory) directories.add(entry.path);
    else {
      files.set(entry.path, await readThrough(entry, async () => {}));
      bytes += entry.size;
      onProgress({ what: `checking ${entry.path}`, files: files.size, bytes });
    }
  });
  if (text === undefined) throw invalid('it has no manifest: it was cut off, or never was a backup');
  const manifest = toManifest(text);
  compare(manifest, files, directories);
  return manifest;
}

async function roomFor(dir: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(dirname(dir));
    return bavail * bsize;
  } catch (error) {
    throw toWriteError(error, dir);
  }
}

async function readText(entry: ArchiveEntry): Promise<string> {
  if (entry.isDirectory || entry.size > MANIFEST_BYTES_MAX) throw invalid('its manifest is none');
  const parts: Buffer[] = [];
  for await (const chunk of entry.chunks) parts.push(chunk);
  return Buffer.concat(parts).toString('utf8');
}

async function readThrough(entry: ArchiveEntry, onChunk: (chunk: Buffer) => Promise<unknown>): Promise<Read> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of entry.chunks) {
    hash.update(chunk);
    size += chunk.length;
    await onChunk(chunk);
  }
  return { size, sha256: hash.digest('hex') };
}

function toManifest(text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid('its manifest is no JSON', cause);
  }
  // Before all else is looked at: a newer format may look different altogether.
  const { format, version } = (value ?? {}) as { format?: unknown; version?: unknown };
  if (typeof format === 'number' && format > FORMAT) {
    throw invalid(
      `openagent-supervisor ${String(version)} made it in a newer format (${format}); restore it with that one`,
    );
  }
  const parsed = Manifest.safeParse(value);
  if (!parsed.success || parsed.data.format !== FORMAT) {
    const where = parsed.error?.issues[0]?.path.join('.') ?? 'format';
    throw invalid(`its manifest is none of this program's (${where})`);
  }
  const { schema } = parsed.data;
  if (schema !== null && schema > MIGRATIONS.length) {
    throw new AppError(
      'storage.version',
      `A newer version (${parsed.data.version}) wrote the database in this backup (schema ${schema}, this one knows ${MIGRATIONS.length}): install that version`,
    );
  }
  return parsed.data;
}

function compare(
  manifest: Manifest,
  files: ReadonlyMap<string, Read>,
  directories: ReadonlySet<string>,
): void {
  const named = new Map(manifest.files.map((file) => [file.path, file]));
  if (named.size !== manifest.files.length) throw invalid('its manifest names a file twice');
  for (const { path, size, sha256 } of manifest.files) {
    const found = files.get(path);
    if (found === undefined) throw invalid(`${JSON.stringify(path)} is missing in it`);
    if (found.size !== size || found.sha256 !== sha256) {
      throw invalid(`${JSON.stringify(path)} is not what it was when the backup was made`);
    }
  }
  const known = new Set(manifest.directories);
  const stray =
    [...files.keys()].find((path) => !named.has(path)) ?? [...directories].find((path) => !known.has(path));
  if (stray !== undefined) throw invalid(`its manifest does not know ${JSON.stringify(stray)}`);
  if (!named.has(CONFIG_NAME)) throw invalid(`it has no ${CONFIG_NAME}`);
  const { database } = manifest;
  if (database !== null && !named.has(database))
    throw invalid(`its database ${JSON.stringify(database)} is missing`);
}

const SYNCED_AT_ONCE = 16;

async function build(
  handle: FileHandle,
  manifest: Manifest,
  place: string,
  { dir, resume, nowMs, signal, onProgress }: RestoreRequest,
): Promise<Settled> {
  const root = join(place, 'agent');
  await mkdir(root, { mode: 0o700 });
  const made = new Set<string>([root]);
  const total = manifest.files.reduce((sum, { size }) => sum + size, MANIFEST_BYTES_MAX);
  const expected = new Map(manifest.files.map((file) => [file.path, file.sha256]));
  const written: string[] = [];
  let bytes = 0;
  await readArchive(handle, total, signal, async (entry) => {
    const target = join(root, entry.path);
    if (entry.path === MANIFEST_NAME) return void (await readText(entry));
    await makeDirectories(root, entry.isDirectory ? target : dirname(target), made);
    if (entry.isDirectory) return;
    const { sha256 } = await writeFile(target, entry);
    // Changed since it was examined.
    if (sha256 !== expected.get(entry.path)) throw invalid('it changes while it is read');
    written.push(target);
    bytes += entry.size;
    onProgress({ what: entry.path, files: written.length, bytes });
  });
  const to = join(await realpath(dirname(dir)), basename(dir));
  const settled =
    manifest.database === null
      ? { turns: 0, taskRuns: 0, tasksMoved: 0 }
      : await settleCopy(join(root, manifest.database), { resume, nowMs, from: manifest.dir, to });
  onProgress({ what: 'waiting for the disk', files: written.length, bytes });
  const queue = new PQueue({ concurrency: SYNCED_AT_ONCE });
  await queue.addAll(written.map((path) => () => syncFile(path)));
  for (const path of made) await syncDirectory(path);
  return settled;
}

/** `target` and what is above it, down from `root`. */
async function makeDirectories(root: string, target: string, made: Set<string>): Promise<void> {
  if (made.has(target) || target.length <= root.length) return;
  await makeDirectories(root, dirname(target), made);
  await mkdir(target, { mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EEXIST')
      throw invalid(`${JSON.stringify(basename(target))} is a file and a directory`);
    throw cause;
  });
  made.add(target);
}

async function writeFile(target: string, entry: ArchiveEntry): Promise<Read> {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const mode = entry.isProgram ? 0o700 : 0o600;
  const handle = await open(target, O_WRONLY | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0), mode);
  try {
    return await readThrough(entry, (chunk) => handle.writeFile(chunk));
  } finally {
    await handle.close();
  }
}

async function syncFile(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
