/** The turns in memory that have not ended durably, and the limits they count against. */

import type { ClientKey, SessionId } from '../../contract/client-key.ts';
import type { WireError } from '../../contract/errors.ts';
import type { Limits } from '../../contract/limits.ts';
import type { Message } from '../../gateway/ws/turn-service.ts';
import type { Turn } from './turn.ts';

export interface LiveTurns {
  add(turn: Turn): void;
  remove(turn: Turn): void;
  size(): number;
  countOfSession(sessionId: SessionId): number;
  /** Why one more message cannot be taken now; undefined when it can. */
  refusal(message: Message): WireError | undefined;
  findByMessage(client: ClientKey, messageId: string): Turn | undefined;
  /** Turns of the session when one is given, else of the client. */
  select(
    client: ClientKey,
    sessionId: SessionId | undefined,
    phases: readonly Turn['phase'][],
  ): readonly Turn[];
  summary(client: ClientKey): { isBusy: boolean; waiting: number; sessions: number };
  /** Turns of its session ahead of it, at least 1. */
  positionOf(turn: Turn): number;
}

export function createLiveTurns(limits: Limits): LiveTurns {
  const turns = new Map<number, Turn>();
  const perSession = new Map<SessionId, number>();
  const perClient = new Map<string, number>();
  const byMessage = new Map<string, Turn>();

  const messageKey = (client: ClientKey, messageId: string) => `${client.key}\n${messageId}`;

  return {
    add(turn) {
      turns.set(turn.rowId, turn);
      count(perSession, turn.sessionId, 1);
      count(perClient, turn.client.key, 1);
      if (turn.messageId !== undefined) byMessage.set(messageKey(turn.client, turn.messageId), turn);
    },
    remove(turn) {
      if (!turns.delete(turn.rowId)) return;
      count(perSession, turn.sessionId, -1);
      count(perClient, turn.client.key, -1);
      if (turn.messageId !== undefined) byMessage.delete(messageKey(turn.client, turn.messageId));
    },
    size: () => turns.size,
    countOfSession: (sessionId) => perSession.get(sessionId) ?? 0,
    refusal(message) {
      if (turns.size >= limits.waitingPerAgent) {
        return full(
          'queue.agent_full',
          `This agent already has ${limits.waitingPerAgent} messages to answer.`,
        );
      }
      // One of them runs, or is about to.
      if ((perSession.get(message.sessionId) ?? 0) > limits.waitingPerSession) {
        return full(
          'queue.session_full',
          `Too many messages queued (${limits.waitingPerSession}). Please wait.`,
        );
      }
      if ((perClient.get(message.client.key) ?? 0) >= limits.waitingPerClient) {
        return full(
          'queue.client_full',
          `Too many messages queued (${limits.waitingPerClient}). Please wait.`,
        );
      }
      return undefined;
    },
    findByMessage: (client, messageId) => byMessage.get(messageKey(client, messageId)),
    select: (client, sessionId, phases) =>
      [...turns.values()].filter(
        (turn) =>
          (sessionId === undefined ? turn.client.key === client.key : turn.sessionId === sessionId) &&
          !turn.isWithdrawn &&
          phases.includes(turn.phase),
      ),
    summary(client) {
      const own = [...turns.values()].filter((turn) => turn.client.key === client.key);
      const busy = own.filter((turn) => turn.phase === 'running').length;
      return {
        isBusy: busy > 0,
        waiting: own.filter((turn) => turn.phase === 'waiting' || turn.phase === 'pending').length,
        sessions: new Set(own.map((turn) => turn.sessionId)).size,
      };
    },
    positionOf(turn) {
      const ahead = [...turns.values()].filter(
        (other) => other.sessionId === turn.sessionId && other.rowId < turn.rowId && other.phase !== 'ended',
      );
      return Math.max(1, ahead.length);
    },
  };
}

function full(code: WireError['code'], message: string): WireError {
  return { code, message };
}

function count<K>(counts: Map<K, number>, key: K, by: 1 | -1): void {
  const next = (counts.get(key) ?? 0) + by;
  if (next > 0) counts.set(key, next);
  else counts.delete(key);
}
