/**
 * Keeps the index of a vault equal to its files. Whatever may have changed becomes a path to look at; what stands there
 * is read after it was named, by one reader, in small steps. Notices, scans and our own writes only name paths: none of
 * them can leave the index with what was true earlier.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { HostNotice, VaultWatching } from '../contract/host-link.ts';
import type { Log } from '../logging/log.ts';
import { sweepCopy } from './file-steps.ts';
import { type IndexedFile, isCorrupt, type NoteChange, type NoteIndex } from './note-index.ts';
import { isNoteName, isServed } from './note-path.ts';
import { nextTurn } from './steps.ts';
import { type Found, lookAt } from './vault-look.ts';
import type { VaultRoot } from './vault-root.ts';
import { type OnHidden, scanVault } from './vault-scan.ts';

export interface VaultSyncOptions {
  readonly root: VaultRoot;
  readonly openIndex: (discard: boolean) => NoteIndex;
  readonly noteBytes: number;
  /** Moves that began earlier are over, whatever they left. */
  readonly startedMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Asks to be told of changes on disk from now on. */
  readonly watch: () => Promise<VaultWatching>;
  /** A note changed on disk, and not by us. */
  readonly onChange: (action: 'updated' | 'deleted', path: string) => void;
  /** Told once until watching works again. */
  readonly onUnwatched: (reason: string) => void;
}

export interface VaultSync {
  /** Throws `vault.unavailable` between the end of a damaged index and the begin of the next. */
  index(): NoteIndex;
  /** Somebody met damage in it: it is made anew from the files. */
  damaged(): void;
  /** The index equals the files, as far as is known. */
  isReady(): boolean;
  /** Resolves when it does, or with false when that takes longer. */
  ready(timeoutMs: number): Promise<boolean>;
  /** Resolves when nothing is left to look at, or with false when that takes longer. */
  caughtUp(timeoutMs: number): Promise<boolean>;
  /** What we wrote ourselves, applied at once. */
  apply(changes: readonly NoteChange[]): void;
  /** Something there may have changed. */
  look(paths: readonly string[]): void;
  notice(notice: HostNotice): void;
  close(): Promise<void>;
}

/** Files read in one go. */
const BATCH = 64;
/** What one change of the index may hold up the thread, about. */
const STEP_MS = 2;
const CHUNK_MAX = 64;
/** One by one up to here: whether a note really changed is then known of each. */
const SINGLES_MAX = 16;
const RETRY_MS = [1_000, 30_000] as const;
/** How often everything is looked through where nobody tells of changes. */
const POLL_MS = 30_000;
/** The same where somebody does: a network drive tells nothing of what others do there. */
const CHECK_MS = 15 * 60_000;
/** Of the above, after which watching is asked for again. */
const ASK_AGAIN_POLLS = 10;
/** There is no vault yet: nothing worth a warning. */
export const ABSENT = 'ENOENT';

export function createVaultSync(options: VaultSyncOptions): VaultSync {
  const sync = new Sync(options);
  sync.start();
  return sync;
}

class Sync implements VaultSync {
  readonly #options: VaultSyncOptions;
  #index: NoteIndex;
  /** Paths to look at; a set, so that a file written a thousand times is read once. */
  readonly #dirty = new Set<string>();
  /** Paths of our own writes while the reader was at work. */
  readonly #touched = new Set<string>();
  #wantsScan = true;
  #isDamaged = false;
  #isReady = false;
  #isClosed = false;
  #isTidying = false;
  #running: Promise<void> | undefined;
  #waiting: (() => void)[] = [];
  #watching: 'asking' | 'yes' | 'no' | 'absent' = 'no';
  #hasWarned = false;
  #hasFailed = false;
  #retryMs: number = RETRY_MS[0];
  #chunk = 8;
  #polls = 0;
  #timer: TimerHandle;

  constructor(options: VaultSyncOptions) {
    this.#options = options;
    this.#index = options.openIndex(false);
  }

  start(): void {
    void this.#watch().then(() => this.#kick());
  }

  index(): NoteIndex {
    if (!this.#isDamaged) return this.#index;
    const message = 'The index of the vault was damaged and is made anew: try again in a moment';
    throw new AppError('vault.unavailable', message);
  }

  damaged(): void {
    this.#isDamaged = true;
    this.#isReady = false;
    this.#kick();
  }

  isReady(): boolean {
    return this.#isReady;
  }

  async ready(timeoutMs: number): Promise<boolean> {
    return this.#isReady || this.#isClosed ? this.#isReady : this.caughtUp(timeoutMs);
  }

  async caughtUp(timeoutMs: number): Promise<boolean> {
    if (!this.#hasWork() && this.#running === undefined) return this.#isReady;
    const { clock } = this.#options;
    await new Promise<void>((resolve) => {
      const timer = clock.setTimeout(resolve, timeoutMs);
      this.#waiting.push(() => {
        clock.clearTimeout(timer);
        resolve();
      });
    });
    return this.#isReady && !this.#hasWork();
  }

  apply(changes: readonly NoteChange[]): void {
    for (const { path } of changes) this.#touched.add(path);
    try {
      this.#index.apply(changes);
    } catch (error) {
      this.#failed(error);
      if (isCorrupt(error)) this.damaged();
      this.look(changes.map(({ path }) => path));
    }
    if (this.#watching === 'absent') void this.#watch().then(() => this.#rescan());
    void this.#tidy();
  }

  look(paths: readonly string[]): void {
    for (const path of paths) this.#dirty.add(path);
    this.#kick();
  }

  notice(notice: HostNotice): void {
    if (notice.type === 'vault.changed') this.look(notice.paths);
    else if (notice.type === 'vault.rescan') this.#rescan();
    else if (notice.type === 'vault.unwatched') {
      this.#setWatching({ watching: false, reason: notice.reason });
      this.#rescan();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#timer);
    await this.#running;
    this.#settle();
    this.#index.close();
  }

  #rescan(): void {
    this.#wantsScan = true;
    this.#kick();
  }

  async #watch(): Promise<void> {
    if (this.#watching === 'asking' || this.#isClosed) return;
    this.#watching = 'asking';
    try {
      this.#setWatching(await this.#options.watch());
    } catch (error) {
      if (!AppError.is(error)) this.#options.log.error('server.defect', { where: 'vault.watch', error });
      this.#setWatching({ watching: false, reason: AppError.toWire(error).message });
    }
  }

  #setWatching(answer: VaultWatching): void {
    const { clock, onUnwatched } = this.#options;
    if (answer.watching) this.#watching = 'yes';
    else this.#watching = answer.reason === ABSENT ? 'absent' : 'no';
    if (answer.watching) this.#hasWarned = false;
    else if (answer.reason !== ABSENT && !this.#hasWarned && !this.#isClosed) {
      this.#hasWarned = true;
      onUnwatched(answer.reason);
    }
    clock.clearTimeout(this.#timer);
    if (this.#isClosed) return;
    this.#timer = clock.setTimeout(() => void this.#poll(), answer.watching ? CHECK_MS : POLL_MS);
  }

  async #poll(): Promise<void> {
    const { clock } = this.#options;
    this.#timer = clock.setTimeout(() => void this.#poll(), this.#watching === 'yes' ? CHECK_MS : POLL_MS);
    this.#polls += 1;
    const asksAgain = this.#watching === 'absent' || this.#polls % ASK_AGAIN_POLLS === 0;
    if (this.#watching !== 'yes' && asksAgain) await this.#watch();
    this.#rescan();
  }

  #kick(): void {
    if (this.#isClosed || this.#running !== undefined || this.#watching === 'asking') return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#hasWork()) this.#kick();
      else this.#settle();
      void this.#tidy();
    });
  }

  async #run(): Promise<void> {
    while (!this.#isClosed && this.#hasWork()) {
      try {
        if (this.#isDamaged) this.#beginAnew();
        else if (this.#wantsScan) await this.#scan();
        else await this.#readSome();
        this.#hasFailed = false;
        this.#retryMs = RETRY_MS[0];
      } catch (error) {
        await this.#recover(error);
      }
    }
    if (!this.#isClosed) this.#isReady = true;
  }

  #hasWork(): boolean {
    return this.#isDamaged || this.#wantsScan || this.#dirty.size > 0;
  }

  /** May throw, as a full disk does: then it is tried again. */
  #beginAnew(): void {
    this.#index.close();
    this.#index = this.#options.openIndex(true);
    this.#isDamaged = false;
    this.#wantsScan = true;
  }

  #settle(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #failed(error: unknown): void {
    const { log } = this.#options;
    if (!AppError.is(error)) log.error('server.defect', { where: 'vault index', error });
    else if (!this.#hasFailed) log.warn('vault.index_failed', { error });
    this.#hasFailed = true;
  }

  /** A full disk, another program's lock, no descriptors left: later. A damaged index is made anew. */
  async #recover(error: unknown): Promise<void> {
    this.#failed(error);
    if (isCorrupt(error)) {
      this.#isDamaged = true;
      this.#isReady = false;
    }
    const { clock } = this.#options;
    const delayMs = this.#retryMs;
    this.#retryMs = Math.min(delayMs * 2, RETRY_MS[1]);
    for (let waited = 0; waited < delayMs && !this.#isClosed; waited += 100) {
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, Math.min(100, delayMs)));
    }
  }

  /** What differs between index and disk is only named here; reading it is the reader's part, and goes on in between. */
  async #scan(): Promise<void> {
    this.#wantsScan = false;
    try {
      const known = new Map<string, IndexedFile>();
      let count = 0;
      for (const file of this.#index.files()) {
        known.set(file.path, file);
        count += 1;
        if (count % CHUNK_MAX === 0) await nextTurn();
        if (this.#isClosed) return;
      }
      const { root, startedMs } = this.#options;
      const sweep: OnHidden = (folder, name) => sweepCopy(folder, name, startedMs);
      for await (const { files } of scanVault(root, '', sweep)) {
        if (this.#isClosed) return;
        for (const { path, mtimeMs, size } of files) {
          const before = known.get(path);
          if (before?.mtimeMs !== mtimeMs || before.size !== size) this.#dirty.add(path);
          known.delete(path);
        }
        if (this.#dirty.size >= BATCH) await this.#readSome();
      }
      for (const path of known.keys()) this.#dirty.add(path);
    } catch (error) {
      this.#wantsScan = true;
      throw error;
    }
  }

  async #readSome(): Promise<void> {
    const paths: string[] = [];
    for (const path of this.#dirty) {
      if (paths.length >= BATCH) break;
      paths.push(path);
    }
    for (const path of paths) this.#dirty.delete(path);
    this.#touched.clear();
    try {
      const wanted = paths.filter((path) => isServed(path));
      const found = await lookAt(this.#options.root, wanted, this.#options.noteBytes);
      const changes = wanted.flatMap((path, at) => this.#toChanges(path, found[at] as Found));
      await this.#applySlowly(changes, paths.length <= SINGLES_MAX);
    } catch (error) {
      for (const path of paths) this.#dirty.add(path);
      throw error;
    }
  }

  #toChanges(path: string, found: Found): readonly NoteChange[] {
    if (found.kind === 'note') return isNoteName(path) ? [{ ...found, kind: 'put', path }] : [];
    // A folder that was made, moved to here or moved away; or a file where a folder was.
    const below = this.#index.list({ folder: path, limit: Number.MAX_SAFE_INTEGER });
    if (found.kind === 'folder') {
      for (const note of below) this.#dirty.add(note.path);
      for (const note of found.notes) this.#dirty.add(note);
      return isNoteName(path) ? [{ kind: 'delete', path }] : [];
    }
    const gone = below.map((note) => ({ kind: 'delete', path: note.path }) as const);
    return isNoteName(path) ? [{ kind: 'delete', path }, ...gone] : gone;
  }

  async #applySlowly(changes: readonly NoteChange[], isOneByOne: boolean): Promise<void> {
    const { clock } = this.#options;
    for (let at = 0; at < changes.length && !this.#isClosed; ) {
      const chunk = changes.slice(at, at + (isOneByOne ? 1 : this.#chunk));
      at += chunk.length;
      // What we wrote ourselves meanwhile is newer than what was read.
      const current = chunk.filter(({ path }) => !this.#touched.has(path));
      for (const { path } of chunk) if (this.#touched.has(path)) this.#dirty.add(path);
      const version = this.#index.version();
      const startMs = clock.monotonicMs();
      this.#applyChunk(current);
      const tookMs = clock.monotonicMs() - startMs;
      if (tookMs > STEP_MS) this.#chunk = Math.max(1, this.#chunk >> 1);
      else if (tookMs < STEP_MS / 2 && chunk.length === this.#chunk)
        this.#chunk = Math.min(CHUNK_MAX, this.#chunk * 2);
      if (this.#index.version() !== version && this.#isReady) this.#tell(current);
      await nextTurn();
      if (this.#isClosed) return;
      this.#index.tidy();
      await nextTurn();
    }
  }

  /** A note that breaks the index is left out; it must not keep the others from getting in. */
  #applyChunk(changes: readonly NoteChange[]): void {
    try {
      this.#index.apply(changes);
    } catch (error) {
      if (AppError.is(error)) throw error;
      if (changes.length > 1) {
        for (const change of changes) this.#applyChunk([change]);
        return;
      }
      this.#options.log.error('server.defect', { where: `vault index, ${changes[0]?.path}`, error });
    }
  }

  /** While nothing else is to do. */
  async #tidy(): Promise<void> {
    if (this.#isTidying) return;
    this.#isTidying = true;
    try {
      await nextTurn();
      while (!this.#isClosed && !this.#isDamaged && this.#running === undefined && this.#index.tidy())
        await nextTurn();
    } catch (error) {
      this.#failed(error);
      if (isCorrupt(error)) this.damaged();
    } finally {
      this.#isTidying = false;
    }
  }

  #tell(changes: readonly NoteChange[]): void {
    for (const { kind, path } of changes)
      this.#options.onChange(kind === 'put' ? 'updated' : 'deleted', path);
  }
}
