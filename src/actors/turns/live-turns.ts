/** The turns in memory that have not ended durably, and the limits they count against. */

import type { ClientKey, SessionId } from '../../contract/client-key.ts';
import type { WireError } from '../../contract/errors.ts';
import type { Limits } from '../../contract/limits.ts';
import type { Message } from '../../gateway/ws/turn-service.ts';
import type { Turn } from './turn.ts';

export class LiveTurns {
  readonly #limits: Limits;
  readonly #turns = new Map<number, Turn>();
  #bytes = 0;
  readonly #perSession = new Map<SessionId, number>();
  readonly #perClient = new Map<string, number>();
  readonly #byMessage = new Map<string, Turn>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#turns.size;
  }

  add(turn: Turn): void {
    this.#turns.set(turn.rowId, turn);
    this.#bytes += turn.bytes;
    count(this.#perSession, turn.sessionId, 1);
    count(this.#perClient, turn.client.key, 1);
    if (turn.messageId !== undefined) this.#byMessage.set(messageKey(turn.client, turn.messageId), turn);
  }

  remove(turn: Turn): void {
    if (!this.#turns.delete(turn.rowId)) return;
    this.#bytes -= turn.bytes;
    count(this.#perSession, turn.sessionId, -1);
    count(this.#perClient, turn.client.key, -1);
    if (turn.messageId !== undefined) this.#byMessage.delete(messageKey(turn.client, turn.messageId));
  }

  countOfSession(sessionId: SessionId): number {
    return this.#perSession.get(sessionId) ?? 0;
  }

  /** Why one more message cannot be taken now; undefined when it can. */
  refusal(message: Message): WireError | undefined {
    const { waitingPerAgent, waitingBytesPerAgent, waitingPerSession, waitingPerClient } = this.#limits;
    if (this.#turns.size >= waitingPerAgent) {
      return full('queue.agent_full', `This agent already has ${waitingPerAgent} messages to answer.`);
    }
    // A message longer than that is still taken by an agent that has nothing else to do.
    if (this.#bytes > 0 && this.#bytes + Buffer.byteLength(message.text) > waitingBytesPerAgent) {
      const what = `${waitingBytesPerAgent} bytes of messages`;
      return full('queue.agent_full', `This agent already has ${what} to answer.`);
    }
    // One of them runs, or is about to.
    if (this.countOfSession(message.sessionId) > waitingPerSession) {
      return full('queue.session_full', `Too many messages queued (${waitingPerSession}). Please wait.`);
    }
    if ((this.#perClient.get(message.client.key) ?? 0) >= waitingPerClient) {
      return full('queue.client_full', `Too many messages queued (${waitingPerClient}). Please wait.`);
    }
    return undefined;
  }

  findByMessage(client: ClientKey, messageId: string): Turn | undefined {
    return this.#byMessage.get(messageKey(client, messageId));
  }

  /** Turns of the session when one is given, else of the client. */
  select(
    client: ClientKey,
    sessionId: SessionId | undefined,
    phases: readonly Turn['phase'][],
  ): readonly Turn[] {
    const isMeant = (turn: Turn) =>
      sessionId === undefined ? turn.client.key === client.key : turn.sessionId === sessionId;
    return [...this.#turns.values()].filter(
      (turn) => isMeant(turn) && !turn.isWithdrawn && phases.includes(turn.phase),
    );
  }

  summary(client: ClientKey): { isBusy: boolean; waiting: number; sessions: number } {
    const own = [...this.#turns.values()].filter((turn) => turn.client.key === client.key);
    return {
      isBusy: own.some((turn) => turn.phase === 'running'),
      waiting: own.filter((turn) => turn.phase === 'waiting' || turn.phase === 'pending').length,
      sessions: new Set(own.map((turn) => turn.sessionId)).size,
    };
  }

  /** Turns of its session ahead of it, at least 1. */
  positionOf(turn: Turn): number {
    const isAhead = (other: Turn) =>
      other.sessionId === turn.sessionId && other.rowId < turn.rowId && other.phase !== 'ended';
    return Math.max(1, [...this.#turns.values()].filter(isAhead).length);
  }
}

function messageKey(client: ClientKey, messageId: string): string {
  return `${client.key}\n${messageId}`;
}

function full(code: WireError['code'], message: string): WireError {
  return { code, message };
}

function count<K>(counts: Map<K, number>, key: K, by: 1 | -1): void {
  const next = (counts.get(key) ?? 0) + by;
  if (next > 0) counts.set(key, next);
  else counts.delete(key);
}
