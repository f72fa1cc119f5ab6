/**
 * Tells when files and folders have changed and have been left alone since. One chokidar for all of them says it at once;
 * a look at each every few seconds says it anyway, where the system has no watches left, a file lies on a network, or an
 * editor that renames was quicker than the watch that follows it. Also what is not there yet can be waited for.
 */
import { stat } from 'node:fs/promises';
import { type FSWatcher, watch } from 'chokidar';
import type { Clock, TimerHandle } from '../../contract/clock.ts';

export interface PathWatchOptions {
  readonly clock: Clock;
  /** How long a path has to be left alone before its change is told. */
  readonly quietMs: number;
  /** Between two looks at what is missing; all others are looked at in every `LOOKS_APART`th. */
  readonly lookMs: number;
  /** `sign`: as it is now; see `signOf`. */
  readonly onChange: (path: string, sign: string) => void;
  /** The system gives no more watches. Told once; changes are noticed later from then on. */
  readonly onShortage: (code: string) => void;
  readonly onDefect: (error: unknown, where: string) => void;
  /** chokidar's own when absent. */
  readonly watch?: typeof watch;
}

export interface PathWatch {
  /** Watched until it was removed as often as it was added: two may be interested in one path. */
  add(path: string): void;
  remove(path: string): void;
  /** A change is told again after this time, unless another one comes before. */
  againIn(path: string, delayMs: number): void;
  close(): Promise<void>;
}

interface Entry {
  readonly path: string;
  users: number;
  /** As it was when it was last looked at; undefined: not yet. */
  sign: string | undefined;
  /** Whether something has changed that nobody was told of. */
  isDirty: boolean;
  timer: TimerHandle | undefined;
  /** Looks in a row at which it was missing. */
  missing: number;
}

const MISSING = 'missing';
const LOOKS_APART = 5;
/** What is missing for longer is looked at as seldom as all others. */
const MISSING_LOOKS = 60;
const SHORTAGES: readonly unknown[] = ['EMFILE', 'ENFILE', 'ENOSPC'];

export function createPathWatch(options: PathWatchOptions): PathWatch {
  return new Paths(options);
}

class Paths implements PathWatch {
  readonly #on: PathWatchOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #watcher: FSWatcher;
  #lookTimer: TimerHandle;
  #looks = 0;
  #isShort = false;
  #isClosed = false;

  constructor(options: PathWatchOptions) {
    this.#on = options;
    this.#watcher = (options.watch ?? watch)([], {
      ignoreInitial: true,
      depth: 0,
      ignorePermissionErrors: true,
      // A folder is watched for what comes and goes in it, not for what its files are.
      ignored: (path, stats) => stats?.isFile() === true && !this.#entries.has(path),
    });
    this.#watcher.on('all', (_event, path) => this.#stir(path));
    this.#watcher.on('error', (error) => this.#failed(error));
    this.#lookTimer = this.#lookLater();
  }

  add(path: string): void {
    if (this.#isClosed) return;
    const known = this.#entries.get(path);
    if (known !== undefined) {
      known.users += 1;
      return;
    }
    const entry: Entry = { path, users: 1, sign: undefined, isDirty: false, timer: undefined, missing: 0 };
    this.#entries.set(path, entry);
    this.#arm(entry, 0);
  }

  remove(path: string): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    entry.users -= 1;
    if (entry.users > 0) return;
    this.#entries.delete(path);
    this.#disarm(entry);
    this.#watcher.unwatch(path);
  }

  againIn(path: string, delayMs: number): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    entry.isDirty = true;
    this.#arm(entry, delayMs);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#on.clock.clearTimeout(this.#lookTimer);
    for (const entry of this.#entries.values()) this.#disarm(entry);
    this.#entries.clear();
    await this.#watcher.close();
  }

  /** Something happened at this path, or to what is in this folder. */
  #stir(path: string): void {
    const known = this.#entries.get(path) ?? this.#entries.get(path.slice(0, path.lastIndexOf('/')));
    if (known !== undefined) this.#arm(known, this.#on.quietMs);
  }

  #arm(entry: Entry, delayMs: number): void {
    if (this.#isClosed) return;
    this.#disarm(entry);
    entry.timer = this.#on.clock.setTimeout(() => {
      entry.timer = undefined;
      this.#settle(entry).catch((error: unknown) => this.#on.onDefect(error, `watch of ${entry.path}`));
    }, delayMs);
  }

  #disarm(entry: Entry): void {
    if (entry.timer !== undefined) this.#on.clock.clearTimeout(entry.timer);
    entry.timer = undefined;
  }

  /** Looks whether it has been left alone since the last look, and says so if there is news. */
  async #settle(entry: Entry): Promise<void> {
    const sign = await signOf(entry.path);
    if (!this.#isPresent(entry) || entry.timer !== undefined) return;
    if (sign === entry.sign) {
      if (!entry.isDirty) return;
      entry.isDirty = false;
      this.#on.onChange(entry.path, sign);
      return;
    }
    this.#noteSign(entry, sign);
    this.#arm(entry, this.#on.quietMs);
  }

  #noteSign(entry: Entry, sign: string): void {
    const isFirst = entry.sign === undefined;
    const isSameFile = inodeOf(entry.sign) === inodeOf(sign);
    entry.sign = sign;
    // Also the first one: between the start that read it and now it may have changed.
    entry.isDirty = true;
    if (sign !== MISSING) entry.missing = 0;
    if (isSameFile) return;
    // The watch is on the file that was replaced. One that is missing is looked for instead: chokidar would watch all
    // that happens in its folder, where the agent's database is.
    if (!isFirst) this.#watcher.unwatch(entry.path);
    if (sign !== MISSING) this.#watcher.add(entry.path);
  }

  #lookLater(): TimerHandle {
    return this.#on.clock.setTimeout(() => {
      this.#look()
        .catch((error: unknown) => this.#on.onDefect(error, 'watch of configurations'))
        .finally(() => {
          if (!this.#isClosed) this.#lookTimer = this.#lookLater();
        });
    }, this.#on.lookMs);
  }

  async #look(): Promise<void> {
    this.#looks += 1;
    for (const entry of [...this.#entries.values()]) {
      if (this.#isClosed) return;
      const isAwaited = entry.sign === MISSING && entry.missing < MISSING_LOOKS;
      if (entry.timer !== undefined || !(isAwaited || this.#looks % LOOKS_APART === 0)) continue;
      const sign = await signOf(entry.path);
      if (sign === MISSING) entry.missing += 1;
      if (this.#isPresent(entry) && entry.timer === undefined && sign !== entry.sign) {
        this.#noteSign(entry, sign);
        this.#arm(entry, this.#on.quietMs);
      }
    }
  }

  #isPresent(entry: Entry): boolean {
    return !this.#isClosed && this.#entries.get(entry.path) === entry;
  }

  #failed(error: unknown): void {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined || !SHORTAGES.includes(code)) {
      // The look at it every few seconds does without.
      this.#on.onDefect(error, 'watch of configurations');
    } else if (!this.#isShort) {
      this.#isShort = true;
      this.#on.onShortage(code);
    }
  }
}

/** Changes with each write and each replacement; of a folder, with what comes and goes. */
export async function signOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs, ctimeMs } = await stat(path);
    return `${ino}:${size}:${mtimeMs}:${ctimeMs}`;
  } catch {
    // Whatever is in its way: who reads it is told what that is.
    return MISSING;
  }
}

function inodeOf(sign: string | undefined): string {
  return sign?.split(':', 1)[0] ?? '';
}
