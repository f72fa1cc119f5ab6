/**
 * What the agent received and produced, by an id that says nothing of a path. Only a list: the files themselves lie
 * where they lie, and whoever hands one out looks again whether it may.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../contract/clock.ts';
import type { Database } from './database.ts';
import { withStorageErrors } from './database.ts';

export interface FileRecord {
  readonly id: string;
  readonly origin: 'received' | 'produced';
  readonly type: 'image' | 'file' | 'voice' | 'video';
  /** Absolute. */
  readonly path: string;
  /** For people; need not be the last part of the path. */
  readonly filename: string;
  /** Of a produced file. */
  readonly sessionId: string | number | null;
  readonly turnId: string | null;
  readonly createdAtMs: number;
}

export interface FileSelection {
  readonly origin?: FileRecord['origin'] | undefined;
  readonly turnId?: string | undefined;
  /** Only those recorded before this one; an unknown id selects none. */
  readonly before?: string | undefined;
  readonly limit: number;
}

export interface FileRecords {
  /** All or none. Throws as `toStorageError` says. */
  add(files: readonly Omit<FileRecord, 'createdAtMs'>[]): void;
  find(id: string): FileRecord | undefined;
  /** Newest first. */
  select(selection: FileSelection): readonly FileRecord[];
  remove(ids: readonly string[]): void;
}

/** Older ones are forgotten: an agent that announces a file with every answer must not fill its database. */
const RECORDS_MAX = 100_000;

interface Row {
  readonly id: string;
  readonly origin: FileRecord['origin'];
  readonly type: FileRecord['type'];
  readonly path: string;
  readonly filename: string;
  readonly session_id: string | number | null;
  readonly turn_id: string | null;
  readonly created_at: number;
}

export function newFileId(): string {
  return randomUUID().replaceAll('-', '');
}

/** Nothing is prepared until something is asked: most agents have no files. */
export function createFileRecords(db: Database, path: string, clock: Clock): FileRecords {
  const run = <T>(work: () => T): T => withStorageErrors(path, work);
  return {
    add: (files) =>
      run(() => {
        const insert = db.prepare(
          `INSERT INTO files (id, origin, type, path, filename, session_id, turn_id, created_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        );
        const trim = db.prepare('DELETE FROM files WHERE seq <= (SELECT max(seq) FROM files) - ?');
        const write = db.transaction(() => {
          for (const { id, origin, type, path, filename, sessionId, turnId } of files) {
            insert.run(id, origin, type, path, filename, sessionId, turnId, clock.wallMs() / 1000);
          }
          trim.run(RECORDS_MAX);
        });
        write.immediate();
      }),
    find: (id) =>
      run(() => {
        const row = db.prepare('SELECT * FROM files WHERE id = ?').get(id) as Row | undefined;
        return row && toRecord(row);
      }),
    select: ({ origin, turnId, before, limit }) =>
      run(() => {
        // Only what is asked for stands in the statement, so that the index of turns is used.
        const conditions = [
          ...(before === undefined ? [] : ['seq < (SELECT seq FROM files WHERE id = @before)']),
          ...(origin === undefined ? [] : ['origin = @origin']),
          ...(turnId === undefined ? [] : ['turn_id = @turnId']),
        ];
        const where = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
        const rows = db
          .prepare(`SELECT * FROM files ${where} ORDER BY seq DESC LIMIT @limit`)
          .all({ origin, turnId, before, limit }) as Row[];
        return rows.map(toRecord);
      }),
    remove: (ids) =>
      run(() => {
        const remove = db.prepare('DELETE FROM files WHERE id = ?');
        const write = db.transaction(() => {
          for (const id of ids) remove.run(id);
        });
        write.immediate();
      }),
  };
}

function toRecord(row: Row): FileRecord {
  const { id, origin, type, path, filename } = row;
  return {
    ...{ id, origin, type, path, filename },
    ...{ sessionId: row.session_id, turnId: row.turn_id, createdAtMs: row.created_at * 1000 },
  };
}
