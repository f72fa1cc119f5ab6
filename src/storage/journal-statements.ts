/** The journal's SQL, prepared once. Times are kept as epoch seconds, like every time in this database. */

import { parseClientKey, type SessionId } from '../contract/client-key.ts';
import type { Database } from './database.ts';
import type { EndedTurn, NewTurn, OpenTurn, Outcome, TurnState } from './turn-record.ts';

export interface JournalStatements {
  begin(): void;
  commit(): void;
  rollback(): void;
  beginBoot(startedAt: number, version: string): number;
  insert(turn: NewTurn): void;
  markRunning(id: number): void;
  markAttempt(id: number): void;
  settle(id: number, outcome: Outcome, endedAtMs: number, keepOpen: boolean): void;
  close(id: number): void;
  findByMessage(clientKey: string, messageId: string): { id: number; text: string | null } | undefined;
  outcomeOf(id: number): { frame: string; endedAtMs: number } | undefined;
  /** Undefined also where the turn is another client's. */
  endedTurn(id: number, clientKey: string): EndedTurn | undefined;
  /** Among the latest turns of the agent. */
  lastTurnOf(clientKey: string, sessionId: SessionId): EndedTurn | undefined;
  openTurns(): readonly OpenTurn[];
  trim(beforeMs: number, rowsMax: number): boolean;
}

/**
 * What a row holds as its outcome until it has one. A row that does not grow when its turn ends stays where it is:
 * otherwise SQLite moves its neighbours to other pages, and each commit writes twice as many.
 */
const OUTCOME_ROOM = ' '.repeat(192);

interface TurnRow {
  id: number;
  session_id: SessionId;
  client_key: string;
  message_id: string | null;
  text: string | null;
  attachments: string | null;
  state: TurnState;
  attempts: number;
  effects: number;
  accepted_at: number;
  ended_at: number | null;
}

export function createJournalStatements(db: Database): JournalStatements {
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const rollback = db.prepare('ROLLBACK');
  const insert = db.prepare(
    `INSERT INTO turns (id, session_id, client_key, message_id, text, attachments, state, accepted_at, outcome)
     VALUES (?, ?, ?, ?, ?, ?, 'accepted', ?, '${OUTCOME_ROOM}')`,
  );
  const running = db.prepare(`UPDATE turns SET state = 'running' WHERE id = ? AND state = 'accepted'`);
  const attempt = db.prepare('UPDATE turns SET attempts = attempts + 1 WHERE id = ?');
  const settle = db.prepare(
    'UPDATE turns SET state = ?, outcome = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL',
  );
  const settleAndClose = db.prepare(
    'UPDATE turns SET state = ?, outcome = ?, ended_at = ?, open = 0 WHERE id = ? AND ended_at IS NULL',
  );
  const close = db.prepare('UPDATE turns SET open = 0 WHERE id = ? AND ended_at IS NOT NULL');
  const byMessage = db.prepare('SELECT id, text FROM turns WHERE client_key = ? AND message_id = ?');
  const outcome = db.prepare('SELECT outcome, ended_at FROM turns WHERE id = ? AND ended_at IS NOT NULL');
  return {
    begin: () => void begin.run(),
    commit: () => void commit.run(),
    rollback: () => {
      // SQLite rolls back by itself on a full disk; a second ROLLBACK would be an error.
      if (db.inTransaction) rollback.run();
    },
    beginBoot: (startedAt, version) =>
      Number(
        db.prepare('INSERT INTO boots (started_at, version) VALUES (?, ?)').run(startedAt, version)
          .lastInsertRowid,
      ),
    insert: (turn) =>
      void insert.run(
        turn.id,
        turn.sessionId,
        turn.client.key,
        turn.messageId ?? null,
        turn.text,
        turn.attachments,
        turn.acceptedAtMs / 1000,
      ),
    markRunning: (id) => void running.run(id),
    markAttempt: (id) => void attempt.run(id),
    settle: (id, end, endedAtMs, keepOpen) =>
      void (keepOpen ? settle : settleAndClose).run(end.state, end.frame, endedAtMs / 1000, id),
    close: (id) => void close.run(id),
    findByMessage: (clientKey, messageId) =>
      byMessage.get(clientKey, messageId) as { id: number; text: string | null } | undefined,
    outcomeOf: (id) => {
      const row = outcome.get(id) as { outcome: string; ended_at: number } | undefined;
      return row && { frame: row.outcome, endedAtMs: row.ended_at * 1000 };
    },
    endedTurn: (id, clientKey) => toEndedTurn(db.prepare(ENDED_TURN).get(id, clientKey)),
    lastTurnOf: (clientKey, sessionId) =>
      toEndedTurn(db.prepare(LAST_TURN).get(LOOK_BACK_ROWS, clientKey, sessionId)),
    openTurns: () => (db.prepare(OPEN_TURNS).all() as TurnRow[]).map(toOpenTurn),
    trim: (beforeMs, rowsMax) => trim(db, beforeMs / 1000, rowsMax),
  };
}

const ENDED_TURN =
  'SELECT id, outcome, open FROM turns WHERE id = ? AND client_key = ? AND ended_at IS NOT NULL';
const LOOK_BACK_ROWS = 1_000;
/** Without an index, which every turn would pay for. */
const LAST_TURN = `SELECT id, outcome, open FROM (SELECT * FROM turns ORDER BY id DESC LIMIT ?)
    WHERE client_key = ? AND session_id IS ? AND ended_at IS NOT NULL ORDER BY id DESC LIMIT 1`;

function toEndedTurn(row: unknown): EndedTurn | undefined {
  const ended = row as { id: number; outcome: string; open: number } | undefined;
  return ended && { id: ended.id, frame: ended.outcome, isOpen: ended.open === 1 };
}

/** Of a turn that has ended nobody needs the payload. */
const OPEN_TURNS = `SELECT id, session_id, client_key, message_id, CASE WHEN ended_at IS NULL THEN text END AS text,
    CASE WHEN ended_at IS NULL THEN attachments END AS attachments, state, attempts, effects,
    accepted_at, ended_at FROM turns INDEXED BY turns_open WHERE open = 1 ORDER BY id`;

function toOpenTurn(row: TurnRow): OpenTurn {
  return {
    id: row.id,
    sessionId: row.session_id,
    client: parseClientKey(row.client_key),
    messageId: row.message_id ?? undefined,
    text: row.text ?? '',
    attachments: row.attachments,
    acceptedAtMs: row.accepted_at * 1000,
    state: row.state,
    attempts: row.attempts,
    effects: row.effects,
    endedAtMs: row.ended_at === null ? undefined : row.ended_at * 1000,
  };
}

/**
 * Walks the table once, remembering how far it came, and stops at the first turn that is too young or has not ended: ids
 * grow with time. Looking for old turns behind that one would read the whole table, and hold up the agent meanwhile.
 */
function trim(db: Database, before: number, rowsMax: number): boolean {
  const mark = db.prepare(`SELECT value FROM journal_marks WHERE name = 'trimmed'`).get() as
    | { value: number }
    | undefined;
  const rows = db
    .prepare('SELECT id, accepted_at, ended_at FROM turns WHERE id > ? ORDER BY id LIMIT ?')
    .all(mark?.value ?? 0, rowsMax) as Pick<TurnRow, 'id' | 'accepted_at' | 'ended_at'>[];
  const youngAt = rows.findIndex((row) => row.accepted_at >= before || row.ended_at === null);
  const old = youngAt < 0 ? rows : rows.slice(0, youngAt);
  const last = old.at(-1)?.id;
  if (last === undefined) return false;
  const cut = db.prepare('UPDATE turns SET text = NULL, attachments = NULL, open = 0 WHERE id = ?');
  const remember = db.prepare(
    `INSERT INTO journal_marks (name, value) VALUES ('trimmed', ?)
     ON CONFLICT(name) DO UPDATE SET value = excluded.value`,
  );
  db.transaction(() => {
    for (const { id } of old) cut.run(id);
    remember.run(last);
    for (const table of ['turn_steps', 'tool_calls', 'turn_deltas']) {
      db.prepare(`DELETE FROM ${table} WHERE turn_id <= ?`).run(last);
    }
  }).immediate();
  return old.length === rowsMax;
}
