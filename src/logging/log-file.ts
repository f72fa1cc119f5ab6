/**
 * The file under the event log: batches whole lines, appends them, rotates by rename and reopen. It never throws and
 * never holds more than `bufferBytes`, or a full disk would take the agent down with it.
 *
 * Batches are written synchronously. An asynchronous write that is in flight when its thread ends may be cancelled,
 * and `sonic-boom` (what pino would use) retries a failing `flushSync` for ever: on a full disk the thread could not
 * exit. One append of a batch costs some 15 µs every few hundred lines, far less than a commit of the journal.
 */
import {
  closeSync,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { Clock, TimerHandle } from '../contract/clock.ts';

export interface LogFileOptions {
  readonly path: string;
  readonly rotateBytes: number;
  /** Old files that stay, as `<path>.1` (newest) … `<path>.N`. */
  readonly keepFiles: number;
  readonly clock: Clock;
  /** Told once when writing begins to fail, and again only after it has worked in between. */
  readonly onProblem: (error: unknown) => void;
  /** Makes the line that tells a reader how many lines are missing at this place. */
  readonly lostLine: (count: number) => string;
  /** Most that waits in memory while the disk refuses; further lines are dropped and counted. */
  readonly bufferBytes?: number;
}

export interface LogFile {
  /** `line` ends with a newline. */
  append(line: string): void;
  /** Writes what waits; what the disk refuses stays for the next attempt. */
  flush(): void;
  /** Begins a new file, whatever the size of this one. Throws when it cannot. */
  rotate(): void;
  /** Flushes and gives the handle back; later lines are ignored. */
  close(): void;
}

const BATCH_BYTES = 32 * 1024;
/** `tail -f` sees a line this late at most. */
const FLUSH_MS = 250;
const RETRY_MS = 1_000;
const ROTATE_RETRY_MS = 60_000;
const BUFFER_BYTES = 4 * 1024 * 1024;
const NEWLINE = 0x0a;
const NOTHING = Buffer.alloc(0);

export function openLogFile(options: LogFileOptions): LogFile {
  return new BatchedLogFile(options);
}

class BatchedLogFile implements LogFile {
  readonly #options: LogFileOptions;
  readonly #bufferBytes: number;
  #fd: number | undefined;
  /** Lines not yet turned into bytes, and bytes a failed write left over. */
  #text = '';
  #textBytes = 0;
  #rest: Buffer = NOTHING;
  #isMidLine = false;
  #isFailing = false;
  #isClosed = false;
  #lostCount = 0;
  #rotateNotBeforeMs = Number.NEGATIVE_INFINITY;
  #timer: TimerHandle;

  constructor(options: LogFileOptions) {
    this.#options = options;
    this.#bufferBytes = options.bufferBytes ?? BUFFER_BYTES;
    this.#attempt(() => this.#handle());
  }

  append(line: string): void {
    if (this.#isClosed) return;
    // Characters stand for bytes here: the bound need not be exact, and counting costs as much as the rest.
    const bytes = line.length;
    if (this.#rest.length + this.#textBytes + bytes > this.#bufferBytes) {
      this.#lostCount += 1;
      return;
    }
    this.#text += line;
    this.#textBytes += bytes;
    // While the disk refuses, the timer alone tries again: not every line pays for a failing call.
    if (this.#textBytes >= BATCH_BYTES && !this.#isFailing) this.flush();
    else this.#arm();
  }

  flush(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isClosed) return;
    this.#attempt(() => {
      this.#write();
      if (this.#lostCount === 0) return;
      const line = this.#options.lostLine(this.#lostCount);
      this.#lostCount = 0;
      this.#text = line;
      this.#textBytes = line.length;
      this.#write();
    });
    if (this.#rest.length > 0 || this.#textBytes > 0) this.#arm();
  }

  rotate(): void {
    this.flush();
    const there = statSync(this.#options.path, { throwIfNoEntry: false });
    if (this.#isClosed || there?.isFile() !== true || there.size === 0) return;
    this.#rotate();
  }

  close(): void {
    this.flush();
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#timer);
    this.#attempt(() => this.#release());
  }

  #arm(): void {
    if (this.#timer !== undefined) return;
    const timer = this.#options.clock.setTimeout(() => this.flush(), this.#isFailing ? RETRY_MS : FLUSH_MS);
    // A log that waits must not keep a thread alive; its exit hook writes what is left.
    (timer as { unref?: () => void }).unref?.();
    this.#timer = timer;
  }

  #attempt(work: () => void): void {
    try {
      work();
      this.#isFailing = false;
    } catch (error) {
      if (this.#isFailing) return;
      this.#isFailing = true;
      try {
        this.#options.onProblem(error);
      } catch {
        // Whoever listens for problems of the log has one of its own: there is nobody left to tell.
      }
    }
  }

  #write(): void {
    if (this.#textBytes > 0) {
      const fresh = Buffer.from(this.#text);
      this.#rest = this.#rest.length === 0 ? fresh : Buffer.concat([this.#rest, fresh]);
      this.#text = '';
      this.#textBytes = 0;
    }
    if (this.#rest.length === 0) return;
    const fd = this.#place(this.#rest.length);
    while (this.#rest.length > 0) {
      const written = writeSync(fd, this.#rest, 0, this.#rest.length);
      if (written > 0) this.#isMidLine = this.#rest[written - 1] !== NEWLINE;
      this.#rest = this.#rest.subarray(written);
    }
    this.#rest = NOTHING;
  }

  /** The handle the next `bytes` belong to: after a rotation, a deletion or somebody else's rename, a new one. */
  #place(bytes: number): number {
    const { path, rotateBytes, clock } = this.#options;
    const fd = this.#handle();
    const there = statSync(path, { throwIfNoEntry: false });
    const mine = fstatSync(fd);
    if (!mine.isFile()) return fd;
    if (there === undefined || there.ino !== mine.ino || there.dev !== mine.dev) {
      // The head of a half written line went with the old file.
      if (this.#isMidLine) this.#rest = this.#rest.subarray(this.#rest.indexOf(NEWLINE) + 1);
      this.#release();
      return this.#handle();
    }
    const isFull = mine.size > 0 && mine.size + bytes > rotateBytes;
    if (!isFull || this.#isMidLine || clock.monotonicMs() < this.#rotateNotBeforeMs) return fd;
    try {
      this.#rotate();
    } catch (error) {
      // A file that grows too large is better than lines that are lost.
      this.#rotateNotBeforeMs = clock.monotonicMs() + ROTATE_RETRY_MS;
      this.#options.onProblem(error);
    }
    return this.#handle();
  }

  #rotate(): void {
    const { path, keepFiles } = this.#options;
    for (let n = keepFiles; n >= 1; n -= 1) {
      const older = n === 1 ? path : `${path}.${n - 1}`;
      if (statSync(older, { throwIfNoEntry: false }) !== undefined) renameSync(older, `${path}.${n}`);
    }
    if (keepFiles === 0) rmSync(path);
    this.#release();
  }

  #handle(): number {
    if (this.#fd !== undefined) return this.#fd;
    const { path } = this.#options;
    makeFolder(dirname(path));
    const fd = openSync(path, 'a+', 0o600);
    this.#fd = fd;
    this.#isMidLine = false;
    const stat = fstatSync(fd);
    if (!stat.isFile()) return fd;
    try {
      fchmodSync(fd, 0o600);
    } catch {
      // The file belongs to somebody else who lets us write: its mode is theirs to choose.
    }
    // A kill in the middle of a write leaves a torn last line; ours must not be glued to it.
    const last = Buffer.alloc(1);
    if (stat.size > 0 && readSync(fd, last, 0, 1, stat.size - 1) === 1 && last[0] !== NEWLINE)
      writeSync(fd, '\n');
    return fd;
  }

  #release(): void {
    if (this.#fd === undefined) return;
    const fd = this.#fd;
    this.#fd = undefined;
    this.#isMidLine = false;
    closeSync(fd);
  }
}

/** Not what it stands in: an agent whose directory was removed must not bring a part of it back with its last words. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
