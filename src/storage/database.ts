/**
 * Opens an agent's `openagent.db` and brings it up to date. One writer, the agent's own thread; every other program
 * that locks the file is answered with patience that never blocks the thread (busy timeout 0, retried through the
 * clock by the callers).
 */
import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import BetterSqlite3 from 'better-sqlite3';
import type { Clock } from '../contract/clock.ts';
import { AppError, type ErrorCode } from '../contract/errors.ts';
import { MIGRATIONS } from './migrations.ts';

export type Database = BetterSqlite3.Database;

const OPEN_ATTEMPTS_MAX = 40;
const OPEN_RETRY_MS = 50;
/**
 * Pages of WAL after which a commit checkpoints by itself: 4 MiB. A small WAL is soon overwritten in place, and the disk
 * then syncs a third faster than while the file grows; the checkpoint at rest usually comes first anyway.
 */
const WAL_PAGES_MAX = 1_000;

const require = createRequire(import.meta.url);

/**
 * Throws AppError: `storage.locked` after two seconds of another program's lock, `storage.corrupt`, `storage.full`,
 * `storage.version` (written by a newer version), `storage.unavailable`.
 */
export async function openDatabase(path: string, clock: Clock): Promise<Database> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return openOnce(path);
    } catch (cause) {
      const error = toStorageError(cause, path);
      if (error.code !== 'storage.locked' || attempt >= OPEN_ATTEMPTS_MAX) throw error;
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, OPEN_RETRY_MS));
    }
  }
}

function openOnce(path: string): Database {
  const db = createDatabase(path);
  try {
    db.pragma('journal_mode = WAL');
    // Until the journal says FULL: nothing that is written before its first commit needs to outlive a power cut alone,
    // and that commit syncs it too. Fifty agents that start at once would otherwise wait for each other's disk.
    db.pragma('synchronous = NORMAL');
    db.pragma('foreign_keys = ON');
    db.pragma(`wal_autocheckpoint = ${WAL_PAGES_MAX}`);
    withoutSyncs(db, () => migrate(db, path));
    // The journal's first write follows: better to wait here for a lock that another program holds than to fail there.
    db.exec('BEGIN IMMEDIATE; ROLLBACK');
    return db;
  } catch (cause) {
    db.close();
    throw cause;
  }
}

/**
 * What `work` writes needs to outlive a power cut only together with a later, synced commit, which syncs all of the WAL.
 * The first commit to a new WAL would otherwise sync it and its directory at once, which fifty agents that start together
 * wait for. A WAL that holds older pages is left alone: its new header must be on disk before them, or a power cut could
 * bring some of them back.
 */
export function withoutSyncs<T>(db: Database, work: () => T): T {
  if (hasWal(db)) return work();
  const safety = db.pragma('synchronous', { simple: true }) as number;
  db.pragma('synchronous = OFF');
  // A checkpoint without syncs would break the database itself.
  db.pragma('wal_autocheckpoint = 0');
  try {
    return work();
  } finally {
    db.pragma(`wal_autocheckpoint = ${WAL_PAGES_MAX}`);
    db.pragma(`synchronous = ${safety}`);
  }
}

function hasWal(db: Database): boolean {
  return (statSync(`${db.name}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/**
 * The bundle holds the library's JavaScript, which as a dozen files takes each thread 4 ms to find and compile; its
 * native part is where it was built. Where it is not found, the library as installed looks for it itself.
 */
function createDatabase(path: string): Database {
  const nativeBinding = join(
    dirname(require.resolve('better-sqlite3')),
    '../build/Release/better_sqlite3.node',
  );
  if (existsSync(nativeBinding)) return new BetterSqlite3(path, { timeout: 0, nativeBinding });
  return new (require('better-sqlite3') as typeof BetterSqlite3)(path, { timeout: 0 });
}

function migrate(db: Database, path: string): void {
  const version = db.pragma('user_version', { simple: true }) as number;
  if (version > MIGRATIONS.length) {
    throw new AppError(
      'storage.version',
      `${path} was written by a newer version (schema ${version}, this one knows ${MIGRATIONS.length}): run that version, or restore a backup`,
    );
  }
  if (version === MIGRATIONS.length) return;
  const run = db.transaction(() => {
    for (const migration of MIGRATIONS.slice(version)) db.exec(migration.sql);
    db.pragma(`user_version = ${MIGRATIONS.length}`);
  });
  run.immediate();
}

const CODES: Readonly<Record<string, { code: ErrorCode; what: string }>> = {
  SQLITE_BUSY: { code: 'storage.locked', what: 'is locked by another program; close it, or wait' },
  SQLITE_LOCKED: { code: 'storage.locked', what: 'is locked by another program; close it, or wait' },
  SQLITE_CORRUPT: {
    code: 'storage.corrupt',
    what: 'is damaged; restore a backup, or move the file away to begin with an empty one',
  },
  SQLITE_NOTADB: {
    code: 'storage.corrupt',
    what: 'is not an SQLite database; restore a backup, or move the file away to begin with an empty one',
  },
  SQLITE_FULL: { code: 'storage.full', what: 'cannot grow: the disk is full; free some space' },
};

/** Names the file and what to do; anything SQLite says that is not in the table is `storage.unavailable`. */
export function toStorageError(cause: unknown, path: string): AppError {
  if (AppError.is(cause)) return cause;
  const sqliteCode = sqliteCodeOf(cause);
  if (sqliteCode === undefined) {
    return new AppError('storage.unavailable', `${path} cannot be opened: ${messageOf(cause)}`, { cause });
  }
  const known = Object.entries(CODES).find(([prefix]) => sqliteCode.startsWith(prefix))?.[1];
  const code = known?.code ?? 'storage.unavailable';
  const what = known?.what ?? `cannot be used: ${messageOf(cause)} (${sqliteCode})`;
  return new AppError(code, `${path} ${what}`, { cause });
}

/** What SQLite throws, told as `toStorageError` tells it. */
export function withStorageErrors<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw toStorageError(cause, path);
  }
}

/** `SQLITE_…` of an error of better-sqlite3, by shape; undefined for everything else. */
export function sqliteCodeOf(cause: unknown): string | undefined {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : undefined;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
