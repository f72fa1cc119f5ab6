/** What the routes of sessions ask of the agent. `id` is the session's id as text; one that is a number or null is found by its text too. */
import type { SessionHistory, SessionInfo } from '../../contract/schemas/sessions.ts';

export interface SessionService {
  list(limit: number, offset: number): Promise<SessionInfo[]>;
  /** Throws `session.not_found`. */
  history(
    id: string,
    page: { readonly limit: number; readonly before: string | undefined },
  ): Promise<SessionHistory>;
  /** Of a session that nobody has spoken in, too. */
  setModel(id: string, model: string | undefined): Promise<void>;
  /** Throws `session.not_found`. */
  remove(id: string): Promise<void>;
}
