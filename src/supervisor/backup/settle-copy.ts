/**
 * What a restored database must not do by itself. The agent that the backup was made of may run on, and has finished by
 * then what the copy believes to be unfinished; were the copy to run it too, mails would be sent and orders placed twice.
 */
import { systemClock } from '../../contract/clock.ts';
import { localZone, readExpression } from '../../scheduler/cron-expression.ts';
import { type Database, openDatabase, toStorageError } from '../../storage/database.ts';
import { createJournalStatements } from '../../storage/journal-statements.ts';
import { RESTORED_EFFECTS } from '../../storage/turn-record.ts';

export interface Settled {
  /** Accepted or running when the backup was made. */
  readonly turns: number;
  readonly taskRuns: number;
  /** Tasks whose time came between the backup and now. */
  readonly tasksMoved: number;
}

export interface SettleOptions {
  /** True: the original is gone, and the copy goes on where it stopped. */
  readonly resume: boolean;
  readonly nowMs: number;
  /** Real paths: files that were uploaded are known by theirs. */
  readonly from: string;
  readonly to: string;
}

/** Brings the database up to date on the way, as a start would. */
export async function settleCopy(path: string, options: SettleOptions): Promise<Settled> {
  const db = await openDatabase(path, systemClock);
  try {
    const settled = db.transaction(() => settle(db, options)).immediate();
    // As the archive has it: one file.
    db.pragma('journal_mode = DELETE');
    return settled;
  } catch (cause) {
    throw toStorageError(cause, path);
  } finally {
    db.close();
  }
}

function settle(db: Database, options: SettleOptions): Settled {
  moveFiles(db, options);
  const unfinished = createJournalStatements(db)
    .openTurns()
    .filter(({ endedAtMs }) => endedAtMs === undefined);
  const runs = db.prepare('SELECT count(*) FROM task_runs WHERE ended_at IS NULL').pluck().get() as number;
  const counts = { turns: unfinished.length, taskRuns: runs };
  if (options.resume) return { ...counts, tasksMoved: 0 };
  const mark = db.prepare('UPDATE turns SET effects = ? WHERE id = ?');
  for (const { id } of unfinished) mark.run(RESTORED_EFFECTS, id);
  db.prepare(
    `UPDATE task_runs SET state = 'failed', code = 'turn.interrupted', text = ?, ended_at = ?, prompt = NULL
     WHERE ended_at IS NULL`,
  ).run('Restored from a backup that was made while this ran; it was not repeated.', options.nowMs / 1000);
  return { ...counts, tasksMoved: moveTasks(db, options.nowMs) };
}

function moveFiles(db: Database, { from, to }: SettleOptions): void {
  if (from === to) return;
  db.prepare(
    `UPDATE files SET path = @to || substr(path, length(@from) + 1)
     WHERE substr(path, 1, length(@from) + 1) = @from || '/'`,
  ).run({ from, to });
}

interface DueTask {
  readonly id: string;
  readonly cron: string;
  readonly timezone: string | null;
  readonly last: number | null;
}

/** The original has had these times: they are not made up for, whatever `missed` says. */
function moveTasks(db: Database, nowMs: number): number {
  const due = db
    .prepare(
      `SELECT t.id, t.cron_expression AS cron, t.last_run AS last, s.timezone FROM scheduled_tasks t
       LEFT JOIN task_settings s ON s.task_id = t.id WHERE t.enabled = 1 AND t.next_run <= ?`,
    )
    .all(nowMs / 1000) as DueTask[];
  const move = db.prepare('UPDATE scheduled_tasks SET next_run = ?, last_run = ?, enabled = ? WHERE id = ?');
  for (const { id, cron, timezone, last } of due) {
    const read = readExpression(cron, timezone ?? localZone());
    if (!('expression' in read)) continue;
    const { onceMs, next } = read.expression;
    const nextMs = onceMs === undefined ? next(nowMs) : undefined;
    const lastRun = onceMs === undefined ? last : Math.max(last ?? 0, onceMs / 1000);
    move.run(nextMs === undefined ? null : nextMs / 1000, lastRun, nextMs === undefined ? 0 : 1, id);
  }
  return due.length;
}
