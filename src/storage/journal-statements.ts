/**
 * The journal's SQL, prepared once. Times are kept as epoch seconds, like every time in this database. A turn, its outcome
 * and the ranges of closed turns are written each in a table of its own, at its end: see the migration that made them.
 */

import { parseClientKey, type SessionId } from '../contract/client-key.ts';
import { createClosedTurns, GAPS, isOpen, joinClosedRanges } from './closed-turns.ts';
import type { Database } from './database.ts';
import {
  answerFrame,
  type EndedTurn,
  type NewTurn,
  type OpenTurn,
  type Outcome,
  turnIdOf,
} from './turn-record.ts';

export interface JournalStatements {
  begin(): void;
  commit(): void;
  rollback(): void;
  beginBoot(startedAt: number, version: string): number;
  insert(turn: NewTurn): void;
  markBegun(id: number): void;
  markAttempt(id: number): void;
  /** A turn has one outcome: the first. */
  settle(id: number, outcome: Outcome, endedAtMs: number): void;
  close(ids: readonly number[]): void;
  findByMessage(clientKey: string, messageId: string): { id: number; text: string | null } | undefined;
  outcomeOf(id: number): { frame: string; endedAtMs: number } | undefined;
  /** Undefined also where the turn is another client's. */
  endedTurn(id: number, clientKey: string): EndedTurn | undefined;
  /** Among the latest turns of the agent. */
  lastTurnOf(clientKey: string, sessionId: SessionId): EndedTurn | undefined;
  openTurns(): readonly OpenTurn[];
  trim(beforeMs: number, rowsMax: number): boolean;
}

interface TurnRow {
  readonly id: number;
  readonly session_id: SessionId;
  readonly client_key: string;
  readonly message_id: string | null;
  readonly text: string | null;
  readonly attachments: string | null;
  readonly begun: number;
  readonly attempts: number;
  readonly effects: number;
  readonly accepted_at: number;
  readonly ended_at: number | null;
}

interface EndedRow extends Pick<TurnRow, 'id' | 'session_id' | 'message_id'> {
  readonly model: string | null;
  readonly outcome: string;
  readonly ended_at: number;
  readonly open: number;
}

export function createJournalStatements(db: Database): JournalStatements {
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const rollback = db.prepare('ROLLBACK');
  const insert = db.prepare(
    `INSERT INTO turns (id, session_id, client_key, message_id, text, attachments, accepted_at)
     VALUES (?, ?, ?, ?, ?, ?, ?)`,
  );
  const begun = db.prepare('UPDATE turns SET begun = 1 WHERE id = ?');
  const attempt = db.prepare('UPDATE turns SET begun = 1, attempts = attempts + 1 WHERE id = ?');
  const settle = db.prepare(
    `INSERT INTO turn_outcomes (id, state, ended_at, model, outcome) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (id) DO NOTHING`,
  );
  const closed = createClosedTurns(db);
  const byMessage = db.prepare('SELECT id, text FROM turns WHERE client_key = ? AND message_id = ?');
  const ended = db.prepare(`${ENDED_TURNS} WHERE turns.id = ?`);
  return {
    begin: () => void begin.run(),
    commit: () => void commit.run(),
    rollback: () => {
      // SQLite rolls back by itself on a full disk; a second ROLLBACK would be an error.
      if (db.inTransaction) rollback.run();
    },
    beginBoot: (startedAt, version) => {
      joinClosedRanges(db);
      const boot = db.prepare('INSERT INTO boots (started_at, version) VALUES (?, ?)');
      return Number(boot.run(startedAt, version).lastInsertRowid);
    },
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
    markBegun: (id) => void begun.run(id),
    markAttempt: (id) => void attempt.run(id),
    settle: (id, { state, frame, answer }, endedAtMs) => {
      const kept = answer && !HALF_A_PAIR.test(frame) ? answer : undefined;
      settle.run(id, state, endedAtMs / 1000, kept?.model ?? null, kept?.text ?? frame);
    },
    close: closed.add,
    findByMessage: (clientKey, messageId) =>
      byMessage.get(clientKey, messageId) as { id: number; text: string | null } | undefined,
    outcomeOf: (id) => {
      const row = ended.get(id) as EndedRow | undefined;
      return row && { frame: frameOf(row), endedAtMs: row.ended_at * 1000 };
    },
    endedTurn: (id, clientKey) => toEndedTurn(db.prepare(ENDED_TURN).get(id, clientKey)),
    lastTurnOf: (clientKey, sessionId) =>
      toEndedTurn(db.prepare(LAST_TURN).get(LOOK_BACK_ROWS, clientKey, sessionId)),
    openTurns: () => (db.prepare(OPEN_TURNS).all() as TurnRow[]).map(toOpenTurn),
    trim: (beforeMs, rowsMax) => trim(db, beforeMs / 1000, rowsMax),
  };
}

/** UTF-8 cannot keep half a surrogate pair; JSON escapes it, so that the whole frame can be kept where there is one. */
const HALF_A_PAIR = /\\ud[89a-f]/;

const ENDED_TURNS = `SELECT turns.id, session_id, message_id, model, outcome, ended_at, ${isOpen('turns.id')} AS open
  FROM turns JOIN turn_outcomes USING (id)`;
const ENDED_TURN = `${ENDED_TURNS} WHERE turns.id = ? AND client_key = ?`;
const LOOK_BACK_ROWS = 1_000;
/** Without an index, which every turn would pay for. */
const LAST_TURN = `${ENDED_TURNS} WHERE turns.id > coalesce((SELECT id FROM turns ORDER BY id DESC LIMIT 1 OFFSET ?), 0)
    AND client_key = ? AND session_id IS ? ORDER BY turns.id DESC LIMIT 1`;

function toEndedTurn(row: unknown): EndedTurn | undefined {
  const ended = row as EndedRow | undefined;
  return ended && { id: ended.id, frame: frameOf(ended), isOpen: ended.open === 1 };
}

function frameOf({ id, session_id: sessionId, message_id, model, outcome }: EndedRow): string {
  if (model === null) return outcome;
  const turn = { turnId: turnIdOf(id), sessionId, messageId: message_id ?? undefined };
  return answerFrame(turn, { text: outcome, model });
}

/** Of a turn that has ended nobody needs the payload. */
const OPEN_TURNS = `SELECT turns.id, session_id, client_key, message_id, CASE WHEN ended_at IS NULL THEN text END AS text,
    CASE WHEN ended_at IS NULL THEN attachments END AS attachments, begun, attempts, effects, accepted_at, ended_at
    FROM (${GAPS}) CROSS JOIN turns ON turns.id BETWEEN lo AND hi LEFT JOIN turn_outcomes ON turn_outcomes.id = turns.id
    ORDER BY turns.id`;

function toOpenTurn(row: TurnRow): OpenTurn {
  return {
    id: row.id,
    sessionId: row.session_id,
    client: parseClientKey(row.client_key),
    messageId: row.message_id ?? undefined,
    text: row.text ?? '',
    attachments: row.attachments,
    acceptedAtMs: row.accepted_at * 1000,
    // Earlier versions charged an attempt without the other mark.
    isBegun: row.begun === 1 || row.attempts > 0,
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
    .prepare(
      `SELECT id, accepted_at, ended_at FROM turns LEFT JOIN turn_outcomes USING (id) WHERE id > ? ORDER BY id LIMIT ?`,
    )
    .all(mark?.value ?? 0, rowsMax) as Pick<TurnRow, 'id' | 'accepted_at' | 'ended_at'>[];
  const youngAt = rows.findIndex((row) => row.accepted_at >= before || row.ended_at === null);
  const old = youngAt < 0 ? rows : rows.slice(0, youngAt);
  const last = old.at(-1)?.id;
  if (last === undefined) return false;
  const cut = db.prepare('UPDATE turns SET text = NULL, attachments = NULL WHERE id = ?');
  const remember = db.prepare(
    `INSERT INTO journal_marks (name, value) VALUES ('trimmed', ?)
     ON CONFLICT(name) DO UPDATE SET value = excluded.value`,
  );
  db.transaction(() => {
    for (const { id } of old) cut.run(id);
    createClosedTurns(db).add(old.map(({ id }) => id));
    remember.run(last);
    for (const table of ['turn_steps', 'tool_calls', 'turn_deltas']) {
      db.prepare(`DELETE FROM ${table} WHERE turn_id <= ?`).run(last);
    }
  }).immediate();
  return old.length === rowsMax;
}
