/**
 * Writes a `.tar.gz` entry by entry, no faster than the disk takes it, and says of each file what went in. The sizes in a
 * tar stand before the contents, so a file that grows or shrinks while it is read must not be able to shift what follows.
 */
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { createGzip, type Gzip } from 'node:zlib';
import { Header, Pax } from 'tar';
import { AppError } from '../../contract/errors.ts';
import type { BackupFile } from './manifest.ts';

const BLOCK = 512;
const END = Buffer.alloc(2 * BLOCK);

export interface FileEntry {
  readonly path: string;
  readonly size: number;
  /** Whether its owner may run it. */
  readonly isProgram: boolean;
  readonly modifiedAt: Date;
  readonly chunks: AsyncIterable<Buffer> | Iterable<Buffer>;
}

export interface ArchiveWriter {
  addDirectory(path: string): Promise<void>;
  addFile(entry: FileEntry): Promise<BackupFile>;
  /** Resolves when all of it is on the disk. */
  end(): Promise<void>;
  /** Nothing more is written; the file stays as it is. */
  abort(): void;
}

/** Writes to `handle`, which stays open. */
export function createArchiveWriter(handle: FileHandle): ArchiveWriter {
  const gzip = createGzip();
  const written = copy(gzip, handle);
  const put = createPut(gzip, written);

  return {
    addDirectory: (path) => put(toHeader({ path: `${path}/`, type: 'Directory', size: 0, mode: 0o700 })),
    addFile: async ({ path, size, isProgram, modifiedAt, chunks }) => {
      const mode = isProgram ? 0o700 : 0o600;
      await put(toHeader({ path, type: 'File', size, mode, mtime: modifiedAt }));
      const hash = createHash('sha256');
      let length = 0;
      for await (const chunk of chunks) {
        const bytes = chunk.subarray(0, size - length);
        length += bytes.length;
        hash.update(bytes);
        await put(bytes);
      }
      if (length < size) throw changed(path);
      const rest = size % BLOCK;
      if (rest > 0) await put(Buffer.alloc(BLOCK - rest));
      return { path, size, sha256: hash.digest('hex') };
    },
    end: async () => {
      await put(END);
      gzip.end();
      await written;
      await handle.sync();
    },
    abort: () => void gzip.destroy(),
  };
}

/** Where it fails, so does the compressor. */
async function copy(gzip: Gzip, handle: FileHandle): Promise<void> {
  for await (const chunk of gzip) await handle.writeFile(chunk as Buffer);
}

/** Takes bytes when there is room again; once the disk has failed, says what the disk said. */
function createPut(gzip: Gzip, written: Promise<void>): (bytes: Buffer) => Promise<void> {
  let wake = (): void => {};
  let hasEnded = false;
  const end = (): void => {
    hasEnded = true;
    wake();
  };
  written.then(end, end);
  return async (bytes) => {
    if (bytes.length === 0) return;
    await new Promise<void>((resolve) => {
      wake = resolve;
      gzip.write(bytes, (error) => {
        // What the disk said is known a little later than that the stream is gone.
        if (!error) resolve();
      });
      if (hasEnded) resolve();
    });
    if (hasEnded) await written;
  };
}

function toHeader(data: {
  readonly path: string;
  readonly type: 'File' | 'Directory';
  readonly size: number;
  readonly mode: number;
  readonly mtime?: Date;
}): Buffer {
  const full = { ...data, uid: 0, gid: 0, mtime: data.mtime ?? new Date() };
  const header = new Header(full);
  const block = Buffer.alloc(BLOCK);
  const needsMore = header.encode(block);
  if (!needsMore) return block;
  return Buffer.concat([new Pax({ path: data.path, size: data.size, mtime: full.mtime }).encode(), block]);
}

function changed(path: string): AppError {
  return new AppError(
    'backup.failed',
    `${path} became shorter while it was read: something writes to it in place. Make the backup again`,
  );
}
