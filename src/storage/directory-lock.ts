/**
 * One directory, one owner. The lock is an exclusive SQLite transaction on an otherwise empty file: the kernel drops it
 * with the process that holds it, whatever kills that one, and no child inherits it. POSIX locks have one trap: any
 * other open and close of the same file inside the holding process drops them, so nothing but this module may ever
 * open `.lock`. Who holds it stands in a second file, which anyone may read.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type BetterSqlite3 from 'better-sqlite3';
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';

/** `.lock`: by the supervisor, as long as it lists the agent. `.writer`: by an agent that is its own process. */
export type LockName = '.lock' | '.writer';

export interface DirectoryLock {
  /** Idempotent. */
  release(): void;
}

export interface LockHolder {
  readonly pid: number;
  readonly startedAt: string;
  readonly version: string;
  readonly host: string;
}

const require = createRequire(import.meta.url);

export function acquireDirectoryLock(
  dir: string,
  holder: { readonly version: string },
  clock: Clock,
  name: LockName = '.lock',
): DirectoryLock {
  const holderFile = join(dir, `${name}.json`);
  const database = openExclusive(dir, name, holderFile);
  try {
    writeHolder(holderFile, {
      pid: process.pid,
      startedAt: new Date(clock.wallMs()).toISOString(),
      version: holder.version,
      host: hostname(),
    });
  } catch (error) {
    database.close();
    throw unusable(dir, name, error);
  }
  let isHeld = true;
  return {
    release() {
      if (!isHeld) return;
      isHeld = false;
      // Before the lock goes: afterwards the file may be the next holder's.
      rmSync(holderFile, { force: true });
      database.close();
    },
  };
}

function openExclusive(dir: string, name: LockName, holderFile: string): BetterSqlite3.Database {
  // On first use: loading the native library takes longer than printing --help does.
  const SqliteDatabase = require('better-sqlite3') as typeof BetterSqlite3;
  let database: BetterSqlite3.Database | undefined;
  try {
    database = new SqliteDatabase(join(dir, name), { timeout: 0 });
    // Nothing is ever written; without this each lock would come with a journal file of its own.
    database.pragma('journal_mode = MEMORY');
    database.exec('BEGIN EXCLUSIVE');
    return database;
  } catch (error) {
    database?.close();
    if (sqliteCode(error).startsWith('SQLITE_BUSY')) throw locked(dir, holderFile, error);
    throw unusable(dir, name, error);
  }
}

function sqliteCode(error: unknown): string {
  return String((error as { code?: unknown }).code);
}

function locked(dir: string, holderFile: string, cause: unknown): AppError {
  const holder = readHolder(holderFile);
  const who = holder
    ? `process ${holder.pid} on ${holder.host} (openagent-supervisor ${holder.version}, since ${holder.startedAt})`
    : 'another process';
  const message = `${dir} is in use by ${who}. Stop that one first, or leave this directory to it.`;
  return new AppError('directory.locked', message, { details: { dir, holder }, cause });
}

function unusable(dir: string, name: LockName, cause: unknown): AppError {
  const why = (cause as Error).message;
  const mend =
    sqliteCode(cause) === 'SQLITE_NOTADB'
      ? `Something else wrote into ${name}; delete it while no supervisor runs.`
      : 'Give this user write access to the directory, and the disk some space.';
  return new AppError('directory.unwritable', `${join(dir, name)} cannot be locked: ${why}. ${mend}`, {
    details: { dir },
    cause,
  });
}

/** By rename: a reader sees the old holder or the new one, never half of one. */
function writeHolder(file: string, holder: LockHolder): void {
  const temporary = `${file}.${randomUUID()}`;
  try {
    writeFileSync(temporary, `${JSON.stringify(holder)}\n`);
    renameSync(temporary, file);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Undefined for a holder that has not written yet, or for a file somebody edited: the lock itself is the truth. */
function readHolder(file: string): LockHolder | undefined {
  try {
    const { pid, startedAt, version, host } = JSON.parse(readFileSync(file, 'utf8')) as LockHolder;
    return { pid, startedAt, version, host };
  } catch {
    return undefined;
  }
}
