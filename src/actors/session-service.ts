/** Sessions as clients see them. Loaded by the first request for one. */

import type { SessionId } from '../contract/client-key.ts';
import { AppError } from '../contract/errors.ts';
import type { SessionHistory } from '../contract/schemas/sessions.ts';
import type { SessionService } from '../gateway/services/session-service.ts';
import type { ModelMessage } from '../models/provider.ts';
import { behind } from '../sessions/conversation.ts';
import { withStorageErrors } from '../storage/database.ts';
import type { SessionRecords } from '../storage/session-records.ts';
import { rowIdOf, turnIdOf } from '../storage/turn-record.ts';

type Message = SessionHistory['turns'][number]['messages'][number];

export function createSessionService(
  records: SessionRecords,
  dbPath: string,
  onModel: (sessionId: SessionId) => void,
): SessionService {
  const safely = <T>(work: () => T): T => withStorageErrors(dbPath, work);
  const known = (id: string): SessionId => {
    const found = [id, ...otherwise(id)].find((sessionId) => records.has(sessionId));
    if (found !== undefined) return found;
    throw new AppError('session.not_found', `Nothing is remembered of a session "${id.slice(0, 256)}"`);
  };
  return {
    list: async (limit, offset) =>
      safely(() => records.list(limit, offset)).map((session) => ({
        session_id: session.sessionId,
        title: session.title ?? null,
        model: session.model ?? null,
        turns: session.turns,
        created_at: session.createdAtMs / 1000,
        updated_at: session.updatedAtMs / 1000,
      })),
    history: async (id, { limit, before }) => safely(() => readHistory(records, known(id), limit, before)),
    setModel: async (id, model) =>
      safely(() => {
        const sessionId = [id, ...otherwise(id)].find((each) => records.has(each)) ?? id;
        records.setModel(sessionId, model);
        onModel(sessionId);
      }),
    remove: async (id) => void safely(() => records.remove(known(id))),
  };
}

/** What clients of the reference may have sent instead of a text. */
function otherwise(id: string): readonly SessionId[] {
  if (id === 'null') return [null];
  return /^-?\d+(\.\d+)?$/.test(id) ? [Number(id)] : [];
}

function readHistory(
  records: SessionRecords,
  sessionId: SessionId,
  limit: number,
  before: string | undefined,
): SessionHistory {
  const state = records.state(sessionId);
  const beforeTurn = (before === undefined ? undefined : rowIdOf(before)) ?? Number.MAX_SAFE_INTEGER;
  const range = { afterTurn: 0, beforeTurn, tokensMax: Number.POSITIVE_INFINITY, turnsMax: limit + 1 };
  const found = records.turns(sessionId, range);
  const turns = found.slice(0, limit).toReversed();
  return {
    summary: state.summary ?? null,
    turns: turns.map(({ turnId, messages }) => ({
      turn_id: turnIdOf(turnId),
      in_context: turnId > behind(state),
      messages: (JSON.parse(messages) as ModelMessage[]).flatMap(toMessages),
    })),
    more: found.length > limit,
  };
}

function toMessages(message: ModelMessage): readonly Message[] {
  switch (message.role) {
    case 'user':
      return [{ role: 'user', text: message.text, tools: [] }];
    case 'assistant': {
      const tools = (message.toolCalls ?? []).map(({ name }) => name);
      return [{ role: 'assistant', text: message.text, tools }];
    }
    case 'tool':
      return message.results.map(({ name, text }) => ({ role: 'tool', text, tools: [name] }));
  }
}
