/**
 * `<agent>/uploads/`: a directory of its own for each file, named by the file's id. A file is written under `.incoming/`
 * and moved when it is whole and on disk, so that whatever ends the agent leaves it whole or not at all; what is found
 * under `.incoming/` at the next start belongs to nobody.
 */
import { randomUUID } from 'node:crypto';
import { lstat, mkdir, open, readdir, realpath, rename, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Limits } from '../contract/limits.ts';
import { diskName, shownName } from './file-name.ts';
import { diskFull, tooLarge } from './upload-errors.ts';

export type UploadLimits = Pick<Limits, 'uploadFileBytes' | 'uploadTotalBytes' | 'uploadReserveBytes'>;

export interface StoredFile {
  readonly id: string;
  /** Real and absolute. */
  readonly path: string;
  readonly filename: string;
  readonly bytes: number;
}

/** The files of one request: all of them, or none. */
export interface Incoming {
  add(sentName: string, content: AsyncIterable<Uint8Array>): Promise<void>;
  /** In the order in which they came. */
  commit(): Promise<readonly StoredFile[]>;
  /** Harmless after `commit`. */
  discard(): Promise<void>;
}

const INCOMING = '.incoming';
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
/** Written between two looks at the free space. */
const LOOK_BYTES = 32 * 1024 * 1024;
/** Written before the disk has to follow: the commit of a turn waits behind what is being flushed. */
const FLUSH_BYTES = 1024 * 1024;

export class UploadDirectory {
  readonly #dir: string;
  readonly #limits: UploadLimits;
  /** Everything under the directory; undefined until it was counted. */
  #totalBytes: number | undefined;

  constructor(dir: string, limits: UploadLimits) {
    this.#dir = dir;
    this.#limits = limits;
  }

  /** What an end of the agent left half-written. Before anything is received. */
  async sweep(): Promise<void> {
    await rm(join(this.#dir, INCOMING), { recursive: true, force: true });
  }

  /** `announcedBytes`: of the whole request; 0 when it was not said. */
  async begin(announcedBytes: number): Promise<Incoming> {
    await mkdir(join(this.#dir, INCOMING), { recursive: true, mode: DIRECTORY_MODE });
    const root = await realpath(this.#dir);
    await this.#makeSure(root, announcedBytes);
    const dir = join(root, INCOMING, newId());
    await mkdir(dir, { mode: DIRECTORY_MODE });
    return new IncomingFiles(root, dir, this.#limits.uploadFileBytes, {
      take: (bytes) => this.#take(bytes),
      give: (bytes) => this.#give(bytes),
      hasRoom: () => this.#hasRoom(root, 0),
    });
  }

  async remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const dir = join(this.#dir, id);
      const bytes = await bytesUnder(dir);
      await rm(dir, { recursive: true, force: true });
      this.#give(bytes);
    }
  }

  /** Removes what was uploaded before that time; the ids of what is gone. */
  async expire(beforeMs: number): Promise<readonly string[]> {
    const gone: string[] = [];
    for (const entry of await entriesOf(this.#dir)) {
      if (!/^[0-9a-f]{32}$/.test(entry)) continue;
      const stat = await lstat(join(this.#dir, entry)).catch(() => undefined);
      // Of the directory: it has not changed since its file was moved in, whatever somebody does to the file.
      if (stat?.isDirectory() && stat.mtimeMs < beforeMs) gone.push(entry);
    }
    if (gone.length > 0) await this.remove(gone);
    return gone;
  }

  async #makeSure(root: string, announcedBytes: number): Promise<void> {
    const { uploadTotalBytes: max } = this.#limits;
    this.#totalBytes ??= await bytesUnder(root);
    // Somebody may have made room meanwhile.
    if (this.#totalBytes + announcedBytes > max) this.#totalBytes = await bytesUnder(root);
    if (this.#totalBytes + announcedBytes > max) throw this.#noRoom();
    if (!(await this.#hasRoom(root, announcedBytes))) throw diskFull();
  }

  #take(bytes: number): void {
    const total = (this.#totalBytes ?? 0) + bytes;
    if (total > this.#limits.uploadTotalBytes) throw this.#noRoom();
    this.#totalBytes = total;
  }

  #give(bytes: number): void {
    if (this.#totalBytes !== undefined) this.#totalBytes = Math.max(0, this.#totalBytes - bytes);
  }

  #noRoom(): Error {
    return tooLarge('uploadTotalBytes', this.#limits.uploadTotalBytes, 'uploads/ would hold more');
  }

  async #hasRoom(root: string, bytes: number): Promise<boolean> {
    const { bavail, bsize } = await statfs(root);
    return bavail * bsize - bytes >= this.#limits.uploadReserveBytes;
  }
}

interface Space {
  take(bytes: number): void;
  give(bytes: number): void;
  hasRoom(): Promise<boolean>;
}

class IncomingFiles implements Incoming {
  readonly #root: string;
  readonly #dir: string;
  readonly #fileBytesMax: number;
  readonly #space: Space;
  #files: StoredFile[] = [];
  #bytes = 0;
  #lookedAtBytes = 0;

  constructor(root: string, dir: string, fileBytesMax: number, space: Space) {
    this.#root = root;
    this.#dir = dir;
    this.#fileBytesMax = fileBytesMax;
    this.#space = space;
  }

  async add(sentName: string, content: AsyncIterable<Uint8Array>): Promise<void> {
    const [id, name] = [newId(), diskName(sentName)];
    await mkdir(join(this.#dir, id), { mode: DIRECTORY_MODE });
    const file = await open(join(this.#dir, id, name), 'wx', FILE_MODE);
    let bytes = 0;
    let flushedBytes = 0;
    try {
      for await (const chunk of content) {
        bytes += chunk.byteLength;
        if (bytes > this.#fileBytesMax) {
          throw tooLarge('uploadFileBytes', this.#fileBytesMax, 'A file is larger');
        }
        await this.#makeRoom(chunk.byteLength);
        for (let at = 0; at < chunk.byteLength; ) at += (await file.write(chunk, at)).bytesWritten;
        if (bytes - flushedBytes < FLUSH_BYTES) continue;
        flushedBytes = bytes;
        await file.datasync();
      }
      await file.sync();
    } finally {
      await file.close();
    }
    this.#files.push({ id, path: join(this.#root, id, name), filename: shownName(sentName), bytes });
  }

  async commit(): Promise<readonly StoredFile[]> {
    // The names in them, before the directories appear where anybody looks.
    for (const { id } of this.#files) await syncDirectory(join(this.#dir, id));
    for (const { id } of this.#files) await rename(join(this.#dir, id), join(this.#root, id));
    await syncDirectory(this.#root);
    const stored = this.#files;
    this.#files = [];
    this.#bytes = 0;
    await rm(this.#dir, { recursive: true, force: true });
    return stored;
  }

  async discard(): Promise<void> {
    for (const { id } of this.#files) await rm(join(this.#root, id), { recursive: true, force: true });
    await rm(this.#dir, { recursive: true, force: true });
    this.#space.give(this.#bytes);
    this.#bytes = 0;
  }

  async #makeRoom(bytes: number): Promise<void> {
    this.#space.take(bytes);
    this.#bytes += bytes;
    if (this.#bytes - this.#lookedAtBytes < LOOK_BYTES) return;
    this.#lookedAtBytes = this.#bytes;
    if (!(await this.#space.hasRoom())) throw diskFull();
  }
}

function newId(): string {
  return randomUUID().replaceAll('-', '');
}

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Of files only, wherever they lie below; links count as nothing. */
async function bytesUnder(dir: string): Promise<number> {
  let bytes = 0;
  for (const name of await entriesOf(dir)) {
    const path = join(dir, name);
    const stat = await lstat(path).catch(() => undefined);
    if (stat?.isDirectory()) bytes += await bytesUnder(path);
    else if (stat?.isFile()) bytes += stat.size;
  }
  return bytes;
}

async function entriesOf(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch {
    // Not there yet, removed meanwhile, or no directory: nothing is in it.
    return [];
  }
}
