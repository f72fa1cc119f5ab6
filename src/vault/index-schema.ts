/**
 * The file an index lives in: `vault-index.db` beside `openagent.db`, so that its checkpoints never hold up the
 * journal's commits. All of it can be read from the notes again: a damaged file, or one of another version, is deleted.
 */
import { readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import type BetterSqlite3 from 'better-sqlite3';
import { AppError, type ErrorCode } from '../contract/errors.ts';

export type IndexDatabase = BetterSqlite3.Database;

/** Raised with every change of the tables, or of what is read from a note. */
const SCHEMA_VERSION = 2;
/** `OAvi`: another program's database is not deleted because its version differs. */
const APPLICATION_ID = 0x4f417669;
/** Memory for pages, in KiB: an agent thread has 1 KB for each of its notes. */
const CACHE_KIB = 512;
/** Copied into the file by the write that reaches this: little enough not to be felt. */
const WAL_PAGES_MAX = 250;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/**
 * `sort` is the path with `/` before every other character, so that folders stay together; `folded` and `name` are what
 * links look for (link-resolution.ts). `summary` is the note as a
 * list answers it and `node` as the graph does, both as JSON text: lists are put together without reading them.
 * A link whose `name` is empty leads to no note by its nature: an attachment, or its own note.
 *
 * Words are merged in steps of their own (`NoteIndex.tidy`), not by the write that happens to be the eighth; where that
 * does not get on, the 64th does it after all. `opened` holds a row as long as not all that was written is on the disk.
 */
const SCHEMA = `
  CREATE TABLE notes (
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, sort TEXT NOT NULL, folded TEXT NOT NULL, name TEXT NOT NULL,
    mtime_ms REAL NOT NULL, size INTEGER NOT NULL, hash TEXT NOT NULL, summary TEXT NOT NULL, node TEXT NOT NULL);
  CREATE INDEX notes_sort ON notes(sort);
  CREATE INDEX notes_folded ON notes(folded);
  CREATE INDEX notes_name ON notes(name, length(path), path);
  CREATE TABLE tags (note INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (tag, note)) WITHOUT ROWID;
  CREATE INDEX tags_note ON tags(note);
  CREATE TABLE links (
    note INTEGER NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, target TEXT NOT NULL, written TEXT NOT NULL,
    name TEXT NOT NULL, folder TEXT NOT NULL, leads_to INTEGER, PRIMARY KEY (note, position)) WITHOUT ROWID;
  CREATE INDEX links_name ON links(name, target, folder) WHERE name <> '';
  CREATE INDEX links_to ON links(leads_to) WHERE leads_to IS NOT NULL;
  CREATE INDEX links_open ON links(note) WHERE leads_to IS NULL AND name <> '';
  CREATE VIRTUAL TABLE words USING fts5(
    name, title, tags, body, tokenize = "unicode61 remove_diacritics 2", prefix = '2');
  INSERT INTO words(words, rank) VALUES ('rank', 'bm25(8.0, 8.0, 4.0, 1.0)');
  INSERT INTO words(words, rank) VALUES ('automerge', 0);
  INSERT INTO words(words, rank) VALUES ('usermerge', 4);
  INSERT INTO words(words, rank) VALUES ('crisismerge', 64);
  CREATE TABLE opened (boot TEXT NOT NULL);
`;

const require = createRequire(import.meta.url);

/** `discard`: begin with an empty index whatever the file holds. Throws AppError where the disk refuses. */
export function openIndexDatabase(file: string, discard: boolean): IndexDatabase {
  return withIndexErrors(file, () => {
    if (!discard) {
      try {
        return openOnce(file);
      } catch (cause) {
        if (!isUseless(cause)) throw cause;
      }
    }
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true });
    return openOnce(file);
  });
}

class OtherSchema extends Error {}

function openOnce(file: string): IndexDatabase {
  // better-sqlite3 is native and stays outside the bundle.
  const SqliteDatabase = require('better-sqlite3') as typeof BetterSqlite3;
  const db = new SqliteDatabase(file, { timeout: 0 });
  try {
    db.pragma('journal_mode = WAL');
    db.pragma(`cache_size = -${CACHE_KIB}`);
    db.pragma('temp_store = MEMORY');
    db.pragma(`wal_autocheckpoint = ${WAL_PAGES_MAX}`);
    const version = db.pragma('user_version', { simple: true }) as number;
    if (version === SCHEMA_VERSION && db.pragma('application_id', { simple: true }) === APPLICATION_ID) {
      markOpen(db);
      return db;
    }
    const tables = db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get() as number;
    if (tables > 0) throw new OtherSchema(`schema ${version}`);
    db.transaction(() => {
      db.exec(SCHEMA);
      db.pragma(`application_id = ${APPLICATION_ID}`);
      db.pragma(`user_version = ${SCHEMA_VERSION}`);
    })();
    markOpen(db);
    return db;
  } catch (cause) {
    db.close();
    throw cause;
  }
}

/**
 * The thread that writes the index is the one that answers: it must not wait for the disk over what can be read again.
 * So nothing is synced until the end, and an index that was open when the machine went down begins anew. Where a system
 * does not say which of its lives this is, checkpoints are synced.
 */
function markOpen(db: IndexDatabase): void {
  const boot = bootId();
  const known = db.prepare<[], string>('SELECT boot FROM opened').pluck().get();
  if (known !== undefined && known !== boot) throw new OtherSchema('the machine went down meanwhile');
  if (known === undefined && boot !== undefined) {
    db.pragma('synchronous = FULL');
    db.prepare('INSERT INTO opened VALUES (?)').run(boot);
  }
  db.pragma(`synchronous = ${boot === undefined ? 'NORMAL' : 'OFF'}`);
}

function bootId(): string | undefined {
  try {
    return readFileSync(BOOT_ID, 'utf8').trim();
  } catch {
    return undefined; // only Linux has it
  }
}

/** The mark goes once all before it is on the disk. Where that fails, the index begins anew after the next boot. */
export function closeIndexDatabase(db: IndexDatabase): void {
  try {
    db.pragma('synchronous = FULL');
    // A checkpoint without anything to copy would sync nothing
    db.prepare('UPDATE opened SET boot = boot').run();
    const [{ busy } = { busy: 1 }] = db.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[];
    if (busy === 0) db.prepare('DELETE FROM opened').run();
  } catch {
    // A full or broken disk, or a damaged index: the mark stays, which is what it is for.
  } finally {
    db.close();
  }
}

/** The index as it is now, for reading while it changes. Close it soon: until then its log only grows. */
export function openSnapshot(file: string): IndexDatabase {
  const SqliteDatabase = require('better-sqlite3') as typeof BetterSqlite3;
  const db = new SqliteDatabase(file, { readonly: true, fileMustExist: true, timeout: 0 });
  try {
    db.pragma(`cache_size = -${CACHE_KIB}`);
    db.exec('BEGIN; SELECT count(*) FROM opened');
    return db;
  } catch (cause) {
    db.close();
    throw cause;
  }
}

function isUseless(cause: unknown): boolean {
  return cause instanceof OtherSchema || codeOf(cause)?.startsWith('storage.corrupt') === true;
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  SQLITE_BUSY: 'storage.locked',
  SQLITE_LOCKED: 'storage.locked',
  SQLITE_CORRUPT: 'storage.corrupt',
  SQLITE_NOTADB: 'storage.corrupt',
  SQLITE_FULL: 'storage.full',
};

function codeOf(cause: unknown): ErrorCode | undefined {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const known = Object.keys(CODES).find((prefix) => code.startsWith(prefix));
  if (known !== undefined) return CODES[known];
  return code.startsWith('SQLITE_') || code.startsWith('E') ? 'storage.unavailable' : undefined;
}

const ADVICE: Readonly<Partial<Record<ErrorCode, string>>> = {
  'storage.locked': 'is locked by another program; close it, or wait',
  'storage.corrupt': 'is damaged; it is made anew from the notes',
  'storage.full': 'cannot grow: the disk is full; free some space',
};

/** What SQLite and the disk throw, as AppError that names the file. Anything else is a defect and passes. */
export function withIndexErrors<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const code = AppError.is(cause) ? undefined : codeOf(cause);
    if (code === undefined) throw cause;
    const what = ADVICE[code] ?? `cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`;
    throw new AppError(code, `${file} ${what}`, { cause });
  }
}
