/**
 * What is kept of conversations: their turns as the model saw them, where a client cut them off, what was summed up, and
 * the model that was chosen for one. Turns of the echo model are not here: it remembers nothing.
 */
import type { SessionId } from '../contract/client-key.ts';
import type { Clock } from '../contract/clock.ts';
import type { Database } from './database.ts';
import { FORGET_SDK_SESSION, FORGET_SDK_SESSIONS, sdkKeyOf } from './sdk-sessions.ts';

export interface SessionState {
  /** Runtime id that was chosen for this session. */
  readonly model: string | undefined;
  /** Turns up to this row are not remembered: its client began afresh. */
  readonly cutAfter: number;
  /** Of all turns up to `summaryTo` that are remembered. */
  readonly summary: string | undefined;
  readonly summaryTo: number;
}

export interface RememberedTurn {
  readonly turnId: number;
  readonly tokens: number;
  /** JSON text of the messages, in order. */
  readonly messages: string;
}

export interface ListedSession {
  readonly sessionId: SessionId;
  readonly title: string | undefined;
  readonly model: string | undefined;
  readonly turns: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export interface NewMemory extends RememberedTurn {
  readonly sessionId: SessionId;
  readonly clientKey: string;
  readonly title: string;
}

export interface TurnRange {
  readonly afterTurn: number;
  readonly beforeTurn: number;
  readonly tokensMax: number;
  readonly turnsMax?: number;
}

export interface SessionRecords {
  state(sessionId: SessionId): SessionState;
  /** Newest first: as many as `tokensMax` holds, none up to `afterTurn`, none from `beforeTurn` on. */
  turns(sessionId: SessionId, range: TurnRange): readonly RememberedTurn[];
  /** Tokens of all turns behind `afterTurn`. */
  tokensBehind(sessionId: SessionId, afterTurn: number): number;
  /** To be called in a transaction of the journal. */
  add(memory: NewMemory): void;
  /** False when the session was cut or summed up by somebody else meanwhile. */
  sumUp(sessionId: SessionId, before: SessionState, summary: string, summaryTo: number): boolean;
  /** Nothing up to `turnId` is remembered from here on: of this session, or of all that the client spoke in last. */
  cut(clientKey: string, sessionId: SessionId | undefined, turnId: number): void;
  setModel(sessionId: SessionId, model: string | undefined): void;
  /** Whether any session has a model of its own. */
  hasModels(): boolean;
  list(limit: number, offset: number): readonly ListedSession[];
  has(sessionId: SessionId): boolean;
  remove(sessionId: SessionId): boolean;
  /**
   * It is for one request alone: listed nowhere. `isKeyed`: that request can be made again, and gets the answer then. To
   * be called in a transaction of the journal.
   */
  markOneOff(sessionId: SessionId, isKeyed: boolean): void;
  oneOffs(): readonly SessionId[];
  /** It is for one request alone, and nobody can get the answer but on the connection of that request. */
  isLostWithRequest(sessionId: SessionId): boolean;
}

/** 5 and "5" are two sessions. */
const keyOf = (sessionId: SessionId): string => JSON.stringify(sessionId);

interface SessionRow {
  readonly session: string;
  readonly model: string | null;
  readonly title: string | null;
  readonly cut_after: number;
  readonly summary: string | null;
  readonly summary_to: number;
  readonly created_at: number;
  readonly updated_at: number;
  readonly turns: number;
}

const UNKNOWN: SessionState = { model: undefined, cutAfter: 0, summary: undefined, summaryTo: 0 };

const ADD_SESSION = `INSERT INTO sessions (session, client_key, title, created_at, updated_at)
  VALUES (?, ?, ?, ?, ?) ON CONFLICT (session) DO UPDATE SET client_key = excluded.client_key,
  title = coalesce(title, excluded.title), updated_at = excluded.updated_at`;
const ADD_TURN = `INSERT OR REPLACE INTO session_turns (session, turn_id, tokens, messages, ended_at)
  VALUES (?, ?, ?, ?, ?)`;
const SUM_UP = `UPDATE sessions SET summary = ?, summary_to = ?
  WHERE session = ? AND cut_after = ? AND summary_to = ?`;
const CUT_ONE = `INSERT INTO sessions (session, client_key, cut_after, created_at, updated_at)
  VALUES (?, ?, ?, ?, ?) ON CONFLICT (session) DO UPDATE
  SET cut_after = excluded.cut_after, summary = NULL, summary_to = 0`;
const CUT_ALL = 'UPDATE sessions SET cut_after = ?, summary = NULL, summary_to = 0 WHERE client_key = ?';
const SET_MODEL = `INSERT INTO sessions (session, model, created_at, updated_at) VALUES (?, ?, ?, ?)
  ON CONFLICT (session) DO UPDATE SET model = excluded.model`;
const MARK_ONE_OFF = 'INSERT OR IGNORE INTO one_off_sessions (session, is_lost_with_request) VALUES (?, ?)';
const IS_LOST = 'SELECT 1 FROM one_off_sessions WHERE session = ? AND is_lost_with_request = 1';
const LIST = `SELECT sessions.*, (SELECT count(*) FROM session_turns WHERE session_turns.session = sessions.session)
  AS turns FROM sessions WHERE session NOT IN (SELECT session FROM one_off_sessions)
  ORDER BY updated_at DESC, session LIMIT ? OFFSET ?`;

function prepare(db: Database) {
  return {
    state: db.prepare('SELECT * FROM sessions WHERE session = ?'),
    turns: db.prepare(
      `SELECT turn_id AS turnId, tokens, messages FROM session_turns
       WHERE session = ? AND turn_id > ? AND turn_id < ? ORDER BY turn_id DESC`,
    ),
    tokens: db.prepare(
      'SELECT coalesce(sum(tokens), 0) AS tokens FROM session_turns WHERE session = ? AND turn_id > ?',
    ),
    addSession: db.prepare(ADD_SESSION),
    addTurn: db.prepare(ADD_TURN),
    isLost: db.prepare(IS_LOST),
  };
}

export function createSessionRecords(db: Database, clock: Clock): SessionRecords {
  let prepared: ReturnType<typeof prepare> | undefined;
  const sql = () => {
    prepared ??= prepare(db);
    return prepared;
  };
  const now = () => clock.wallMs() / 1000;
  return {
    state: (sessionId) => {
      const row = sql().state.get(keyOf(sessionId)) as SessionRow | undefined;
      return row ? toState(row) : UNKNOWN;
    },
    turns: (sessionId, range) => {
      const rows: RememberedTurn[] = [];
      let tokens = 0;
      const found = sql().turns.iterate(keyOf(sessionId), range.afterTurn, range.beforeTurn);
      for (const row of found as IterableIterator<RememberedTurn>) {
        tokens += row.tokens;
        if (tokens > range.tokensMax || rows.length === range.turnsMax) break;
        rows.push(row);
      }
      return rows;
    },
    tokensBehind: (sessionId, afterTurn) =>
      (sql().tokens.get(keyOf(sessionId), afterTurn) as { tokens: number }).tokens,
    add: ({ sessionId, clientKey, title, turnId, tokens, messages }) => {
      const key = keyOf(sessionId);
      sql().addSession.run(key, clientKey, title, now(), now());
      sql().addTurn.run(key, turnId, tokens, messages, now());
    },
    sumUp: (sessionId, before, summary, summaryTo) =>
      db.prepare(SUM_UP).run(summary, summaryTo, keyOf(sessionId), before.cutAfter, before.summaryTo)
        .changes > 0,
    cut: (clientKey, sessionId, turnId) => {
      if (sessionId === undefined) {
        db.prepare(CUT_ALL).run(turnId, clientKey);
        db.prepare(FORGET_SDK_SESSIONS).run(clientKey);
        return;
      }
      db.prepare(CUT_ONE).run(keyOf(sessionId), clientKey, turnId, now(), now());
      db.prepare(FORGET_SDK_SESSION).run(sdkKeyOf(sessionId));
    },
    setModel: (sessionId, model) =>
      void db.prepare(SET_MODEL).run(keyOf(sessionId), model ?? null, now(), now()),
    hasModels: () => db.prepare('SELECT 1 FROM sessions WHERE model IS NOT NULL LIMIT 1').get() !== undefined,
    list: (limit, offset) => (db.prepare(LIST).all(limit, offset) as SessionRow[]).map(toListed),
    has: (sessionId) => sql().state.get(keyOf(sessionId)) !== undefined,
    remove: (sessionId) => remove(db, sessionId),
    markOneOff: (sessionId, isKeyed) => void db.prepare(MARK_ONE_OFF).run(keyOf(sessionId), isKeyed ? 0 : 1),
    oneOffs: () =>
      (db.prepare('SELECT session FROM one_off_sessions').pluck().all() as string[]).map(
        (key) => JSON.parse(key) as SessionId,
      ),
    isLostWithRequest: (sessionId) => sql().isLost.get(keyOf(sessionId)) !== undefined,
  };
}

function toState({ model, cut_after: cutAfter, summary, summary_to: summaryTo }: SessionRow): SessionState {
  return { model: model ?? undefined, cutAfter, summary: summary ?? undefined, summaryTo };
}

function toListed(row: SessionRow): ListedSession {
  return {
    sessionId: JSON.parse(row.session) as SessionId,
    title: row.title ?? undefined,
    model: row.model ?? undefined,
    turns: row.turns,
    createdAtMs: row.created_at * 1000,
    updatedAtMs: row.updated_at * 1000,
  };
}

function remove(db: Database, sessionId: SessionId): boolean {
  const key = keyOf(sessionId);
  const run = db.transaction(() => {
    db.prepare(FORGET_SDK_SESSION).run(sdkKeyOf(sessionId));
    db.prepare('DELETE FROM one_off_sessions WHERE session = ?').run(key);
    db.prepare('DELETE FROM session_turns WHERE session = ?').run(key);
    return db.prepare('DELETE FROM sessions WHERE session = ?').run(key).changes > 0;
  });
  return run.immediate();
}
