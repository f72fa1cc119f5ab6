/**
 * Which session of a program that keeps conversations itself belongs to which of ours. The table is the reference's: what
 * it wrote there is gone on with.
 */
import type { SessionId } from '../contract/client-key.ts';
import type { Database } from './database.ts';

export interface SdkSessions {
  find(sessionId: SessionId): string | undefined;
  /** To be called in a transaction of the journal. */
  put(sessionId: SessionId, sdkSessionId: string, provider: string, nowMs: number): void;
}

const FIND = 'SELECT sdk_session_id AS id FROM sdk_sessions WHERE session_id = ?';
const PUT = `INSERT OR REPLACE INTO sdk_sessions (session_id, sdk_session_id, provider, updated_at)
  VALUES (?, ?, ?, ?)`;
export const FORGET_SDK_SESSION = 'DELETE FROM sdk_sessions WHERE session_id = ?';
/** Of all sessions that a client spoke in last; `sessions.session` is JSON. */
export const FORGET_SDK_SESSIONS = `DELETE FROM sdk_sessions WHERE session_id IN (
  SELECT CASE json_type(session) WHEN 'text' THEN json_extract(session, '$') ELSE session END
  FROM sessions WHERE client_key = ?)`;

export function createSdkSessions(db: Database): SdkSessions {
  return {
    find: (sessionId) => (db.prepare(FIND).get(sdkKeyOf(sessionId)) as { id: string } | undefined)?.id,
    put: (sessionId, sdkSessionId, provider, nowMs) =>
      void db.prepare(PUT).run(sdkKeyOf(sessionId), sdkSessionId, provider, nowMs / 1000),
  };
}

/** Texts as they are, which is what the reference wrote; 5 and null as JSON. */
export function sdkKeyOf(sessionId: SessionId): string {
  return typeof sessionId === 'string' ? sessionId : JSON.stringify(sessionId);
}
