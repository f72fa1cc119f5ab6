/**
 * Reads a `.tar.gz` that anybody may have made: nothing but plain files and directories with plain relative paths, each
 * once, and no more bytes than there is room for. What becomes of them is the reader's business; nothing is written here.
 */
import type { FileHandle } from 'node:fs/promises';
import { Parser, type ReadEntry } from 'tar';
import { AppError } from '../../contract/errors.ts';
import { isPlainPath } from './manifest.ts';

export interface ArchiveEntry {
  readonly path: string;
  readonly isDirectory: boolean;
  readonly isProgram: boolean;
  readonly size: number;
  readonly chunks: AsyncIterable<Buffer>;
}

const ENTRIES_MAX = 1_000_000;
const OWNER_RUNS = 0o100;

/** `onEntry` reads all chunks of a file, and is waited for. */
export async function readArchive(
  handle: FileHandle,
  bytesMax: number,
  signal: AbortSignal,
  onEntry: (entry: ArchiveEntry) => Promise<void>,
): Promise<void> {
  const source = handle.createReadStream({ start: 0, autoClose: false });
  const gate = createGate(bytesMax);
  await new Promise<void>((resolve, reject) => {
    let last = Promise.resolve();
    const fail = (error: unknown): void => {
      source.destroy();
      reject(error);
    };
    const take = (entry: ReadEntry): void => {
      last = last.then(async () => {
        signal.throwIfAborted();
        await onEntry(gate(entry));
        // The next one comes when this one has been read to its end, and be it empty.
        entry.resume();
      });
      last.catch(fail);
    };
    const parser = new Parser({ strict: true, maxDecompressionRatio: Infinity, onReadEntry: take });
    parser.on('ignoredEntry', (entry: ReadEntry) => fail(refusedType(entry)));
    parser.on('error', (error: Error) => fail(broken(error)));
    // Behind the last entry: all of them have been handed on by then.
    parser.on('end', () => void last.then(resolve, fail));
    source.on('error', fail);
    source.pipe(parser);
  });
}

/** Looks at an entry before a byte of it is read. */
function createGate(bytesMax: number): (entry: ReadEntry) => ArchiveEntry {
  const seen = new Set<string>();
  let bytes = 0;
  return (entry) => {
    const isDirectory = entry.type === 'Directory';
    if (!isDirectory && entry.type !== 'File' && entry.type !== 'OldFile') throw refusedType(entry);
    const path = isDirectory ? entry.path.replace(/\/$/, '') : entry.path;
    if (!isPlainPath(path)) throw invalid(`it holds ${shown(entry.path)}, which leads elsewhere`);
    if (seen.has(path)) throw invalid(`it holds ${shown(path)} twice`);
    seen.add(path);
    if (seen.size > ENTRIES_MAX) throw invalid(`it holds more than ${ENTRIES_MAX} files`);
    bytes += entry.size;
    if (bytes > bytesMax) throw tooLarge(bytesMax);
    const isProgram = ((entry.mode ?? 0) & OWNER_RUNS) !== 0;
    return { path, isDirectory, isProgram, size: entry.size, chunks: entry };
  };
}

function refusedType({ path, type }: ReadEntry): AppError {
  return invalid(`it holds ${shown(path)}, which is no file but of the kind ${type}`);
}

function broken(error: Error): AppError {
  return invalid(`it is damaged or was cut off (${error.message})`, error);
}

function tooLarge(bytesMax: number): AppError {
  return new AppError(
    'storage.full',
    `The backup holds more than the ${Math.floor(bytesMax / 1024 / 1024)} MiB that are free there. Make room, or choose another place`,
  );
}

export function invalid(why: string, cause?: unknown): AppError {
  return new AppError('backup.invalid', `This backup is refused: ${why}`, { cause });
}

function shown(path: string): string {
  return JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);
}
