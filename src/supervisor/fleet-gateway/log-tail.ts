/**
 * One agent's log as it is written, from the moment of the first look on. The file may not be there yet, and is renamed
 * and begun anew while it is read: the one at hand is read to its end first, then those that came after it, in order.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

export interface LogLine {
  readonly event: string;
  /** The entry's JSON, as it was written. */
  readonly json: string;
}

export interface LogTailLimits {
  /** Taken in at one look. */
  readonly tailBytes: number;
  readonly tailLineBytes: number;
}

/** Old files in which the one at hand is looked for; after more rotations than that between two looks, lines are missed. */
const OLD_FILES = 20;
/** A link may lead anywhere, and a pipe would hold a thread. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const NEWLINE = 0x0a;

interface OpenFile {
  readonly handle: FileHandle;
  /** Device and inode: the name is another file's after a rotation. */
  readonly identity: string;
  offset: number;
}

export class LogTail {
  readonly #path: string;
  readonly #limits: LogTailLimits;
  #file: OpenFile | undefined;
  #isFirstLook = true;
  /** The line that goes on in the bytes to come; `undefined`: one that is too long, left out to its end. */
  #rest: Buffer | undefined = Buffer.alloc(0);

  constructor(path: string, limits: LogTailLimits) {
    this.#path = path;
    this.#limits = limits;
  }

  /** What has been written since the last look; nothing at the first one. One at a time. */
  async look(): Promise<readonly LogLine[]> {
    const lines: LogLine[] = [];
    const isFirst = this.#isFirstLook;
    this.#isFirstLook = false;
    if (!this.#file) await this.#open(this.#path, isFirst);
    let bytes = this.#limits.tailBytes;
    while (this.#file && bytes > 0) {
      const taken = await this.#take(this.#file, bytes, lines);
      bytes -= taken;
      if (taken === 0 && !(await this.#goOn(this.#file))) break;
    }
    return lines;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.handle.close();
  }

  async #open(path: string, atEnd: boolean): Promise<void> {
    const opened = await openLog(path);
    if (opened) this.#file = { ...opened, offset: atEnd ? opened.size : 0 };
  }

  async #take(file: OpenFile, bytesMax: number, lines: LogLine[]): Promise<number> {
    const { size } = await file.handle.stat();
    // Cut short by somebody: what is in it now is new.
    if (size < file.offset) file.offset = 0;
    const length = Math.min(size - file.offset, bytesMax);
    if (length === 0) return 0;
    const { buffer, bytesRead } = await file.handle.read(Buffer.allocUnsafe(length), 0, length, file.offset);
    file.offset += bytesRead;
    this.#split(buffer.subarray(0, bytesRead), lines);
    return bytesRead;
  }

  #split(chunk: Buffer, lines: LogLine[]): void {
    let from = 0;
    for (let to = chunk.indexOf(NEWLINE); to >= 0; to = chunk.indexOf(NEWLINE, from)) {
      const end = chunk.subarray(from, to);
      from = to + 1;
      if (this.#rest !== undefined && this.#rest.length + end.length <= this.#limits.tailLineBytes) {
        const line = toLine(this.#rest.length === 0 ? end : Buffer.concat([this.#rest, end]));
        if (line) lines.push(line);
      }
      this.#rest = Buffer.alloc(0);
    }
    const tail = chunk.subarray(from);
    if (this.#rest === undefined || tail.length === 0) return;
    const isTooLong = this.#rest.length + tail.length > this.#limits.tailLineBytes;
    this.#rest = isTooLong ? undefined : Buffer.concat([this.#rest, tail]);
  }

  /** To the file that came after this one, which has been read to its end; false where there is none yet. */
  async #goOn(file: OpenFile): Promise<boolean> {
    const next = await this.#next(file);
    if (next === undefined) return false;
    await file.handle.close();
    this.#file = { ...next, offset: 0 };
    this.#rest = Buffer.alloc(0);
    return true;
  }

  async #next({ identity }: OpenFile): Promise<{ handle: FileHandle; identity: string } | undefined> {
    let newer = await openLog(this.#path);
    if (newer === undefined) return undefined;
    if (newer.identity === identity) {
      await newer.handle.close();
      return undefined;
    }
    for (let n = 1; n <= OLD_FILES; n += 1) {
      const older = await openLog(`${this.#path}.${n}`);
      if (older === undefined || older.identity === identity) {
        await older?.handle.close();
        return newer;
      }
      await newer.handle.close();
      newer = older;
    }
    return newer;
  }
}

async function openLog(
  path: string,
): Promise<{ handle: FileHandle; identity: string; size: number } | undefined> {
  const handle = await open(path, OPEN_FLAGS).catch(() => undefined); // not there yet, or nothing to be read
  if (handle === undefined) return undefined;
  const stats = await handle.stat();
  if (stats.isFile()) return { handle, identity: `${stats.dev}:${stats.ino}`, size: stats.size };
  await handle.close();
  return undefined;
}

function toLine(line: Buffer): LogLine | undefined {
  const json = line.toString('utf8').trim();
  if (json === '') return undefined;
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== 'object' || value === null) return undefined;
    const { ts, event } = value as { readonly ts?: unknown; readonly event?: unknown };
    return typeof ts === 'number' && typeof event === 'string' ? { event, json } : undefined;
  } catch {
    // Torn by a kill, or written by somebody else.
    return undefined;
  }
}
