/**
 * The newest entries of an event log, read from its end: backwards, block by block, on into the rotated files, and no
 * further than it takes. The log may be rotated meanwhile: a file is told by what it is, not by its name.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { LOG_CLEARED } from './log-cleared.ts';

export interface LogEntry {
  readonly ts: number;
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface LogQuery {
  readonly entries: number;
  /** Of the event's name; '' for all. */
  readonly prefix: string;
  /** Bytes of the entries together. */
  readonly answerBytes: number;
  /** Bytes of files that are looked through. */
  readonly scanBytes: number;
  /** The first one that is older ends the search. */
  readonly sinceTs?: number;
}

const BLOCK_BYTES = 64 * 1024;
/** Ours are far shorter; whatever else stands in the file must not fill the memory. */
const LINE_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/** Oldest first. Lines that are no entries are left out. `path` is the newest file, `<path>.1` … the older ones. */
export async function readLog(path: string, keepFiles: number, query: LogQuery): Promise<LogEntry[]> {
  const found = new Found(query);
  const seen = new Set<string>();
  for (let n = 0; n <= keepFiles && !found.isComplete; n += 1) {
    const file = await openIfThere(n === 0 ? path : `${path}.${n}`);
    if (file === undefined) break;
    try {
      const { ino, dev, size } = await file.stat();
      // Renamed since it was read: what follows are still the older ones.
      if (!seen.has(`${dev}:${ino}`)) await readBackwards(file, size, found);
      seen.add(`${dev}:${ino}`);
    } finally {
      await file.close();
    }
  }
  return found.entries.reverse();
}

class Found {
  /** Newest first. */
  readonly entries: LogEntry[] = [];
  isComplete = false;
  readonly #query: LogQuery;
  readonly #mustHold: string;
  readonly #sinceTs: number;
  #answerBytes = 0;
  #scannedBytes = 0;

  constructor(query: LogQuery) {
    this.#query = query;
    this.#sinceTs = query.sinceTs ?? Number.NEGATIVE_INFINITY;
    // What every matching line holds: most others are then not even parsed. Other writers may escape other characters.
    this.#mustHold = /^[\w.-]*$/.test(query.prefix) ? query.prefix : '';
  }

  scanned(bytes: number): void {
    this.#scannedBytes += bytes;
    if (this.#scannedBytes >= this.#query.scanBytes) this.isComplete = true;
  }

  take(line: Buffer): void {
    if (this.isComplete || line.length === 0) return;
    const { entries: max, prefix, answerBytes } = this.#query;
    const isMark = line.includes(LOG_CLEARED);
    if (!isMark && !line.includes(this.#mustHold)) return;
    const entry = toEntry(line);
    if (entry === undefined) return;
    if (entry.event === LOG_CLEARED || entry.ts < this.#sinceTs) this.isComplete = true;
    else if (entry.event.startsWith(prefix)) {
      this.#answerBytes += line.length;
      if (this.#answerBytes <= answerBytes) this.entries.push(entry);
      if (this.#answerBytes >= answerBytes || this.entries.length >= max) this.isComplete = true;
    }
  }
}

async function readBackwards(file: FileHandle, size: number, found: Found): Promise<void> {
  // Of the line that goes on into the block before: its end, unless it is too long to be one.
  let rest: Buffer = Buffer.alloc(0);
  let isTooLong = false;
  for (let to = size; to > 0 && !found.isComplete; ) {
    const from = Math.max(0, to - BLOCK_BYTES);
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(to - from), { position: from });
    // Cut short meanwhile.
    if (bytesRead < to - from) return;
    to = from;
    let end = buffer.length;
    for (
      let at = buffer.lastIndexOf(NEWLINE);
      at >= 0;
      at = at === 0 ? -1 : buffer.lastIndexOf(NEWLINE, at - 1)
    ) {
      const line = buffer.subarray(at + 1, end);
      if (!isTooLong) found.take(rest.length === 0 ? line : Buffer.concat([line, rest]));
      [rest, isTooLong, end] = [Buffer.alloc(0), false, at];
    }
    found.scanned(bytesRead);
    const head = buffer.subarray(0, end);
    isTooLong ||= head.length + rest.length > LINE_BYTES;
    rest = isTooLong ? Buffer.alloc(0) : Buffer.concat([head, rest]);
  }
  if (!isTooLong) found.take(rest);
}

function toEntry(line: Buffer): LogEntry | undefined {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    const { ts, event } = value as Partial<LogEntry>;
    return typeof ts === 'number' && typeof event === 'string' ? (value as LogEntry) : undefined;
  } catch {
    // Torn by a kill, or written by somebody else.
    return undefined;
  }
}

async function openIfThere(path: string): Promise<FileHandle | undefined> {
  try {
    // Without O_NONBLOCK a pipe in its place would hold a thread that other files wait for.
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
