/**
 * A copy of an agent's database as it was at one moment, while the agent goes on writing. The copy is made page by page
 * from one read transaction, which in WAL mode holds up no writer; without that transaction SQLite would begin anew with
 * each commit of the agent and never end under load. (`VACUUM INTO` sees one moment as well, but works through all
 * tables and indexes again, in one call that can be neither shown nor broken off.)
 */
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type BetterSqlite3 from 'better-sqlite3';
import { AppError } from '../../contract/errors.ts';
import { sqliteCodeOf, toStorageError } from '../../storage/database.ts';

export interface Snapshot {
  /** `PRAGMA user_version` */
  readonly schema: number;
}

const BUSY_MS = 5_000;
/** 4 MiB at a time: the program stays able to be broken off. */
const PAGES_AT_ONCE = 1_000;

const require = createRequire(import.meta.url);

/** Writes `target`, a single file. Undefined: there is no database yet. */
export async function snapshotDatabase(
  source: string,
  target: string,
  onProgress: (share: number) => void,
  signal: AbortSignal,
): Promise<Snapshot | undefined> {
  if (!existsSync(source)) return undefined;
  await (await open(target, 'wx', 0o600)).close();
  const db = openForReading(source);
  try {
    db.exec('BEGIN');
    // The moment: from here on the transaction sees nothing that is committed later.
    db.prepare('SELECT count(*) FROM sqlite_master').get();
    await db.backup(target, {
      progress: ({ totalPages, remainingPages }) => {
        signal.throwIfAborted();
        onProgress(totalPages === 0 ? 1 : 1 - remainingPages / totalPages);
        return PAGES_AT_ONCE;
      },
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw toCopyError(cause, source);
  } finally {
    db.close();
  }
  return checkSnapshot(target, source);
}

/** As any other program would; where nothing may be written beside it, as far as SQLite can then read it. */
function openForReading(source: string): BetterSqlite3.Database {
  const SqliteDatabase = require('better-sqlite3') as typeof BetterSqlite3;
  const options = { timeout: BUSY_MS, fileMustExist: true };
  try {
    const db = new SqliteDatabase(source, options);
    db.pragma('query_only = ON');
    return db;
  } catch (cause) {
    try {
      return new SqliteDatabase(source, { ...options, readonly: true });
    } catch {
      // The first reason is the one that can be mended.
      throw toStorageError(cause, source);
    }
  }
}

/** The disk that is full is the target's, whatever SQLite calls it. */
function toCopyError(cause: unknown, source: string): Error {
  const code = sqliteCodeOf(cause) ?? '';
  if (code === 'SQLITE_FULL' || code.startsWith('SQLITE_IOERR_WRITE')) {
    return Object.assign(new Error('no space is left', { cause }), { code: 'ENOSPC' });
  }
  return toStorageError(cause, source);
}

/** Damage would be found when the backup is all there is. */
function checkSnapshot(target: string, source: string): Snapshot {
  const SqliteDatabase = require('better-sqlite3') as typeof BetterSqlite3;
  let db: BetterSqlite3.Database | undefined;
  try {
    db = new SqliteDatabase(target, { timeout: BUSY_MS });
    // One file, without a log beside it.
    db.pragma('journal_mode = DELETE');
    const [first] = db.pragma('quick_check(1)') as { quick_check: string }[];
    if (first?.quick_check !== 'ok') throw damaged(source, first?.quick_check ?? 'it gave no answer');
    return { schema: db.pragma('user_version', { simple: true }) as number };
  } catch (cause) {
    throw toCopyError(cause, source);
  } finally {
    db?.close();
  }
}

function damaged(source: string, what: string): AppError {
  return new AppError(
    'storage.corrupt',
    `${source} is damaged (${what}): a backup of it would be too. Restore an earlier one, or keep a plain copy of the directory`,
  );
}
