/**
 * One vault that is watched: all of its folders but the hidden ones, and those that come. A folder is watched before it
 * is told of, so whoever then reads it misses nothing. Events within a short time are told together.
 */
import { lstat, opendir, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Clock, TimerHandle } from '../../contract/clock.ts';
import type { HostNotice } from '../../contract/host-link.ts';
import { codeOf, type FolderWatch, type FolderWatches } from './folder-watches.ts';

export interface WatchedVaultOptions {
  readonly path: string;
  readonly watches: FolderWatches;
  readonly clock: Clock;
  /** Of this vault. */
  readonly foldersMax: number;
  readonly tell: (notice: HostNotice) => void;
  readonly onDefect: (error: unknown, where: string) => void;
}

export interface WatchedVault {
  /** How many folders are watched from now on. Rejects with what the system says; then nothing is. */
  start(): Promise<number>;
  /** Something may have been missed. */
  missed(): void;
  close(): void;
}

const COALESCE_MS = 120;
/** Paths told one by one; with more of them everything is to be read again. */
const PATHS_MAX = 5_000;
/** Entries of a folder read in one go. */
const STEP = 256;
/** Windows: events there are of a whole tree, and a folder that is watched cannot be removed. */
const GONE = ['ENOENT', 'ENOTDIR', 'EPERM'];

export function watchVault(options: WatchedVaultOptions): WatchedVault {
  return new Watched(options);
}

class Watched implements WatchedVault {
  readonly #options: WatchedVaultOptions;
  readonly #folders = new Map<string, FolderWatch>();
  /** To be told, with whether it came or went. */
  #changed = new Map<string, boolean>();
  #isMissed = false;
  #isClosed = false;
  #timer: TimerHandle;
  #telling: Promise<void> | undefined;
  #root = '';

  constructor(options: WatchedVaultOptions) {
    this.#options = options;
  }

  async start(): Promise<number> {
    try {
      this.#root = await realpath(this.#options.path);
      await this.#watchTree('');
      if (!this.#folders.has('')) throw Object.assign(new Error('No such folder'), { code: 'ENOENT' });
      return this.#folders.size;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  missed(): void {
    this.#isMissed = true;
    this.#arm();
  }

  close(): void {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#timer);
    for (const watch of this.#folders.values()) watch.close();
    this.#folders.clear();
  }

  /** The folder first, then what is in it. */
  async #watchTree(from: string): Promise<void> {
    const left = [from];
    for (let path = left.pop(); path !== undefined; path = left.pop()) {
      if (this.#isClosed) return;
      const entered = this.#watchFolder(path);
      if (!entered) continue;
      try {
        for await (const entry of await opendir(join(this.#root, path), { bufferSize: STEP })) {
          if (entry.isDirectory() && !entry.name.startsWith('.')) left.push(joined(path, entry.name));
        }
      } catch (error) {
        if (!isGone(error)) throw error;
        this.#unwatch(path);
      }
    }
  }

  /** False: it is gone already. */
  #watchFolder(path: string): boolean {
    const { watches, foldersMax } = this.#options;
    if (this.#folders.size >= foldersMax) {
      throw Object.assign(new Error(`The vault has more than ${foldersMax} folders`), { code: 'ENOSPC' });
    }
    this.#unwatch(path);
    try {
      const watch = watches.open(
        join(this.#root, path),
        (name, isMoved) => this.#onEvent(path, name, isMoved),
        (reason) => this.#lost(reason),
      );
      this.#folders.set(path, watch);
      return true;
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  }

  #unwatch(path: string): void {
    this.#folders.get(path)?.close();
    this.#folders.delete(path);
  }

  #unwatchTree(path: string): void {
    const below = `${path}/`;
    for (const folder of [...this.#folders.keys()]) {
      if (folder === path || folder.startsWith(below)) this.#unwatch(folder);
    }
  }

  #onEvent(folder: string, name: string | undefined, isMoved: boolean): void {
    if (this.#isClosed || name?.startsWith('.') === true) return;
    if (name === undefined) this.#isMissed = true;
    // What is said of the vault's own folder comes under its name too: it may have been moved away.
    else if (folder === '' && isMoved && name === basename(this.#root)) this.#changed.set('', true);
    if (name !== undefined) {
      const path = joined(folder, name);
      this.#changed.set(path, isMoved || this.#changed.get(path) === true);
    }
    if (this.#changed.size > PATHS_MAX) this.#isMissed = true;
    this.#arm();
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#telling !== undefined || this.#isClosed) return;
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#timer = undefined;
      this.#telling = this.#tellAll().finally(() => {
        this.#telling = undefined;
        if (this.#changed.size > 0 || this.#isMissed) this.#arm();
      });
    }, COALESCE_MS);
  }

  async #tellAll(): Promise<void> {
    const [changed, isMissed] = [this.#changed, this.#isMissed];
    this.#changed = new Map();
    this.#isMissed = false;
    try {
      if (changed.has('') && !(await this.#isSameRoot())) return this.#lost('ENOENT');
      if (isMissed) await this.#watchTreeAnew();
      else for (const [path, isMoved] of changed) if (isMoved && path !== '') await this.#follow(path);
    } catch (error) {
      if (codeOf(error) === String(error)) this.#options.onDefect(error, `watching ${this.#root}`);
      return this.#lost(codeOf(error));
    }
    if (this.#isClosed) return;
    changed.delete('');
    if (isMissed) this.#options.tell({ type: 'vault.rescan' });
    else if (changed.size > 0) this.#options.tell({ type: 'vault.changed', paths: [...changed.keys()] });
  }

  async #watchTreeAnew(): Promise<void> {
    this.#unwatchAll();
    await this.#watchTree('');
  }

  #unwatchAll(): void {
    for (const path of [...this.#folders.keys()]) this.#unwatch(path);
  }

  /** A folder that came is watched; one that went is not any more, nor is one that another has replaced. */
  async #follow(path: string): Promise<void> {
    const isFolder = await isDirectory(join(this.#root, path));
    const wasFolder = this.#folders.has(path);
    if (!isFolder && !wasFolder) return;
    this.#unwatchTree(path);
    if (isFolder) await this.#watchTree(path);
  }

  async #isSameRoot(): Promise<boolean> {
    try {
      return (await realpath(this.#options.path)) === this.#root && (await isDirectory(this.#root));
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  }

  #lost(reason: string): void {
    if (this.#isClosed) return;
    this.close();
    this.#options.tell({ type: 'vault.unwatched', reason });
  }
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return GONE.includes(codeOf(error));
}

function joined(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}
