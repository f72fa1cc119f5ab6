/**
 * The vault of an agent as everybody else sees it: notes by path, with an index that is opened when somebody first wants
 * it and follows the files from then on. Every path is checked here, whoever calls. Our own writes are in the index
 * before they are answered.
 */
import { randomBytes } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import type { Clock, TimerHandle } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { HostNotice, VaultWatching } from '../contract/host-link.ts';
import type { Log } from '../logging/log.ts';
import { createGate, createKeyedLocks } from './keyed-locks.ts';
import { createNoteFiles, type NoteFile, type NoteFiles, type Precondition, toText } from './note-files.ts';
import {
  type IndexAnswer,
  isCorrupt,
  type ListOptions,
  type NoteChange,
  type NoteIndex,
  openNoteIndex,
} from './note-index.ts';
import { isNoteName, toNotePath } from './note-path.ts';
import { parseNote, wikilinkTexts } from './parse-note.ts';
import { inSteps, type Steps } from './steps.ts';
import { createTrash, type Trash } from './trash.ts';
import { type Movers, moveFolder, moveNote, type Wanted } from './vault-moves.ts';
import { createVaultRoot, type VaultRoot } from './vault-root.ts';
import { scanVault } from './vault-scan.ts';
import { createVaultSync, type VaultSync } from './vault-sync.ts';

export interface VaultOptions {
  readonly path: string;
  /** A vault that holds this serves notes only: configuration, databases and logs are nobody's notes. */
  readonly agentDir: string;
  /** Of the index; its folder exists. */
  readonly indexFile: string;
  readonly noteBytes: number;
  readonly trashDays: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Asks the main thread to tell of changes on disk. */
  readonly watch: () => Promise<VaultWatching>;
  readonly onNotice: (listener: (notice: HostNotice) => void) => () => void;
  readonly onChange: (action: 'created' | 'updated' | 'deleted', path: string) => void;
  readonly onUnwatched: (reason: string) => void;
}

/** What requests wait for an index that has just been opened before they are answered what there is. */
const WAIT_MS = 1_000;
const DAY_MS = 86_400_000;
const EXPIRE_EVERY_MS = 6 * 3_600_000;
const LEFTOVER_MS = 3_600_000;
/** Of a question that takes several turns of the event loop, in which the index may begin anew. */
const QUESTION_TRIES = 3;
const HOLDS_AGENT =
  'This path is not possible: the vault holds the directory of its agent, so only *.md is served';
const INDEXING = Buffer.from(',"indexing":true}');

export type Vault = ReturnType<typeof createVault>;

export function createVault(options: VaultOptions) {
  return new OpenVault(options);
}

class OpenVault {
  readonly #options: VaultOptions;
  readonly #root: VaultRoot;
  readonly #files: NoteFiles;
  readonly #trash: Trash;
  readonly #answers = createKeyedLocks();
  readonly #gate = createGate();
  readonly #movers: Movers;
  /** Tells versions of this index from those of an earlier one. */
  readonly #era = randomBytes(6).toString('hex');
  #sync: VaultSync | undefined;
  readonly #startedMs: number;
  #openedMs = 0;
  #stopListening = (): void => {};
  #expiry: TimerHandle;
  #isClosed = false;

  constructor(options: VaultOptions) {
    this.#options = options;
    this.#root = createVaultRoot(options.path);
    this.#startedMs = options.clock.wallMs();
    const locks = createKeyedLocks();
    const { noteBytes, clock } = options;
    this.#files = createNoteFiles({ root: this.#root, locks, noteBytes });
    this.#trash = createTrash({ root: this.#root, locks, wallMs: clock.wallMs, read: this.#files.read });
    this.#movers = {
      ...{ root: this.#root, files: this.#files, gate: this.#gate, onChange: options.onChange },
      sync: () => this.#opened(),
      plan: (sync, moves) => this.#askSlowly(sync, (index) => index.movePlanSteps(moves)),
      notesIn: async (sync, folder) =>
        this.#ask(sync, (index) => index.list({ folder, limit: Number.MAX_SAFE_INTEGER })),
      write: (path, content, guard) => this.write(path, content, guard),
      gone: (path) => this.#wrote([{ kind: 'delete', path }]),
      came: (path) => this.#cameTo(path),
    };
    this.#expiry = clock.setTimeout(() => void this.#expire(), LEFTOVER_MS / 60);
  }

  /** Opens the index and lets it catch up with the files, in the background. */
  open(): void {
    this.#opened();
  }

  /** The index equals the files, or that takes longer. */
  ready(timeoutMs: number): Promise<boolean> {
    return this.#opened().ready(timeoutMs);
  }

  async list({ limit, offset, folder, tag }: Listing): Promise<{ json: Uint8Array; etag: string }> {
    const wanted: ListOptions = {
      ...{ limit, offset },
      ...(folder === undefined ? {} : { folder: await this.#root.locate(toNotePath(folder)) }),
      ...(tag === undefined ? {} : { tag }),
    };
    return this.#encoded((index) => index.listSteps(wanted));
  }

  graph(options: { readonly limit: number }): Promise<{ json: Uint8Array; etag: string }> {
    return this.#encoded((index) => index.graphSteps(options));
  }

  async search(query: string, limit: number) {
    const sync = await this.#waited();
    const flag = flagOf(sync);
    if (query.trim() === '') return { results: [], ...flag };
    const results = await this.#askSlowly(sync, (index) => index.searchSteps(query, { limit }));
    return { results: results.map((hit) => ({ ...hit, tags: [...hit.tags] })), ...flag };
  }

  async backlinks(given: string, limit: number) {
    const path = await this.#root.locate(toNotePath(given));
    const sync = await this.#waited();
    const found = this.#ask(sync, (index) => index.backlinks(path)).slice(0, limit);
    return {
      backlinks: found.map(({ source, kind, target }) => ({ path: source, kind, target })),
      ...flagOf(sync),
    };
  }

  async read(given: string) {
    const note = await this.#files.read(await this.#checked(given));
    const { text, isExact } = toText(note.bytes);
    const parsed = parseNote(text);
    return {
      path: note.path,
      content: text,
      frontmatter: { ...parsed.frontmatter },
      body: parsed.body,
      links: [...wikilinkTexts(parsed)],
      modified: note.mtimeMs / 1000,
      tags: [...parsed.tags],
      size: note.size,
      etag: note.etag,
      ...(isExact ? {} : { utf8: false as const }),
    };
  }

  write(given: string, content: string, precondition: Precondition = {}) {
    return this.#gate.shared(() => this.#write(given, content, precondition));
  }

  async #write(given: string, content: string, precondition: Precondition) {
    const { path, etag, mtimeMs, size, change } = await this.#files.write(
      await this.#checked(given),
      content,
      precondition,
    );
    if (change !== 'none') {
      this.#wrote([{ kind: 'put', path, mtimeMs, size, content }]);
      this.#options.onChange(change, path);
    }
    return { ok: true as const, path, etag, created: change === 'created', modified: mtimeMs / 1000 };
  }

  remove(given: string, precondition: Precondition = {}): Promise<{ trashId: string }> {
    return this.#gate.shared(async () => {
      const { id, path } = await this.#trash.add(await this.#checked(given), precondition);
      this.#wrote([{ kind: 'delete', path }]);
      this.#options.onChange('deleted', path);
      return { trashId: id };
    });
  }

  /** A note, or a folder with all that is in it. */
  async rename(from: string, to: string, updateLinks: boolean) {
    const wanted: Wanted = { from: toNotePath(from), to: toNotePath(to), updateLinks };
    if (!(await this.#files.isFolder(wanted.from)))
      return moveNote(this.#movers, await this.#checkedMove(wanted));
    if (!(await this.#holdsAgent())) return moveFolder(this.#movers, wanted);
    throw new AppError('vault.path_invalid', HOLDS_AGENT);
  }

  async folders(limit: number): Promise<string[]> {
    const found: string[] = [];
    for await (const { folders } of scanVault(this.#root, '')) {
      found.push(...folders);
      if (found.length >= limit) break;
    }
    return found.slice(0, limit).sort();
  }

  async createFolder(given: string): Promise<{ path: string; created: boolean }> {
    const { created } = await this.#files.createFolder(toNotePath(given));
    return { path: await this.#root.locate(toNotePath(given)), created };
  }

  removeFolder(given: string): Promise<void> {
    return this.#files.removeFolder(toNotePath(given));
  }

  async trash(limit: number) {
    const notes = await this.#trash.list(limit);
    return {
      notes: notes.map(({ id, path, deletedAtMs, size }) => ({
        id,
        path,
        deleted_at: deletedAtMs / 1000,
        size,
      })),
    };
  }

  restore(id: string, given?: string): Promise<{ path: string }> {
    return this.#gate.shared(async () => {
      const to = given === undefined ? undefined : await this.#checked(given);
      const { path } = await this.#trash.restore(id, to);
      await this.#cameTo(path);
      this.#options.onChange('created', path);
      return { path };
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#expiry);
    this.#stopListening();
    await this.#sync?.close();
  }

  async #checked(given: string): Promise<string> {
    const path = toNotePath(given);
    if (isNoteName(path) || !(await this.#holdsAgent())) return path;
    throw new AppError('vault.path_invalid', HOLDS_AGENT);
  }

  async #holdsAgent(): Promise<boolean> {
    const { path, agentDir } = this.#options;
    const [vault, agent] = await Promise.all([path, agentDir].map(realOrSame));
    const way = relative(vault as string, agent as string);
    return !isAbsolute(way) && way.split(sep)[0] !== '..';
  }

  #opened(): VaultSync {
    if (this.#sync) return this.#sync;
    if (this.#isClosed) throw stopping();
    const { indexFile: file, noteBytes, clock, log, watch, onChange, onUnwatched, onNotice } = this.#options;
    const sync = createVaultSync({
      ...{
        root: this.#root,
        noteBytes,
        clock,
        log,
        watch,
        onChange,
        onUnwatched,
        startedMs: this.#startedMs,
      },
      openIndex: (discard) => openNoteIndex({ file, discard }),
    });
    this.#stopListening = onNotice((notice) => sync.notice(notice));
    this.#sync = sync;
    this.#openedMs = clock.monotonicMs();
    return sync;
  }

  /** A short wait, once: a client that does not know `indexing` should see all of a small vault at once. */
  async #waited(): Promise<VaultSync> {
    const sync = this.#opened();
    const leftMs = this.#openedMs + WAIT_MS - this.#options.clock.monotonicMs();
    if (!sync.isReady() && leftMs > 0) await sync.ready(leftMs);
    return sync;
  }

  async #encoded(
    answer: (index: NoteIndex) => Steps<IndexAnswer>,
  ): Promise<{ json: Uint8Array; etag: string }> {
    const sync = await this.#waited();
    // One after the other: who asks for the same meanwhile gets the same.
    const [found, isWhole] = await this.#answers.run([''], async () => {
      const isReady = sync.isReady();
      return [await this.#askSlowly(sync, answer), isReady] as const;
    });
    const etag = `${this.#era}-${found.version}`;
    if (isWhole) return { json: found.bytes, etag };
    return { json: Buffer.concat([found.bytes.subarray(0, -1), INDEXING]), etag: `${etag}-i` };
  }

  /** The conversations of the agent go on in between. */
  async #askSlowly<T>(sync: VaultSync, question: (index: NoteIndex) => Steps<T>): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      const index = sync.index();
      const check = (): void => {
        if (this.#isClosed) throw stopping();
        if (sync.index() === index) return;
        throw new AppError('vault.unavailable', 'The index of the vault was made anew meanwhile: ask again');
      };
      try {
        return await inSteps(question(index), this.#options.clock, check);
      } catch (error) {
        if (sync.index() === index) this.#damaged(sync, error);
        if (tries === QUESTION_TRIES) throw error;
      }
    }
  }

  /** Damage in the middle of the file shows only when somebody reads just there. */
  #ask<T>(sync: VaultSync, question: (index: NoteIndex) => T): T {
    try {
      return question(sync.index());
    } catch (error) {
      this.#damaged(sync, error);
      return question(sync.index());
    }
  }

  #damaged(sync: VaultSync, error: unknown): void {
    if (!isCorrupt(error)) throw error;
    this.#options.log.warn('vault.index_failed', { error });
    sync.damaged();
  }

  #wrote(changes: readonly NoteChange[]): void {
    const notes = changes.filter(({ path }) => isNoteName(path));
    if (notes.length > 0) this.#sync?.apply(notes);
  }

  /** It is there whatever reading it says: too large a note is listed without its words. */
  async #cameTo(path: string): Promise<void> {
    if (!isNoteName(path) || this.#sync === undefined) return;
    try {
      this.#wrote([toChange(await this.#files.read(path))]);
    } catch (error) {
      if (!AppError.is(error)) throw error;
      this.#sync.look([path]);
    }
  }

  async #checkedMove({ from, to, updateLinks }: Wanted): Promise<Wanted> {
    return { from: await this.#checked(from), to: await this.#checked(to), updateLinks };
  }

  async #expire(): Promise<void> {
    const { clock, log, trashDays } = this.#options;
    try {
      const count = await this.#trash.expire(clock.wallMs() - trashDays * DAY_MS);
      await this.#files.removeLeftovers(clock.wallMs() - LEFTOVER_MS);
      if (count > 0) log.info('vault.trash_expired', { count });
    } catch (error) {
      log.warn('vault.expiry_failed', { error });
    }
    if (!this.#isClosed) this.#expiry = clock.setTimeout(() => void this.#expire(), EXPIRE_EVERY_MS);
  }
}

function stopping(): AppError {
  return new AppError('agent.stopping', 'The agent is already stopping or restarting.');
}

interface Listing {
  readonly limit: number;
  readonly offset: number;
  readonly folder?: string | undefined;
  readonly tag?: string | undefined;
}

/** What is not there yet holds nothing. */
function realOrSame(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path));
}

function flagOf(sync: VaultSync): { indexing?: true } {
  return sync.isReady() ? {} : { indexing: true };
}

function toChange({ path, mtimeMs, size, bytes }: NoteFile): NoteChange {
  return { kind: 'put', path, mtimeMs, size, content: toText(bytes).text };
}
