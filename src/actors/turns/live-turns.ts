/**
 * The turns in memory that have not ended durably, and the limits they count against.
 *
 * No Map or Set that each turn enters and leaves: V8 grows such a table by making a new one that the old one points to,
 * and once one of them has been promoted to the old generation, every later one survives with all the turns in it until
 * the next full collection. Under load that was a kilobyte for each turn, and most of the time that collecting took.
 */

import type { ClientKey, SessionId } from '../../contract/client-key.ts';
import type { WireError } from '../../contract/errors.ts';
import type { Limits } from '../../contract/limits.ts';
import type { Message } from '../../gateway/ws/turn-service.ts';
import type { Turn } from './turn.ts';

export class LiveTurns {
  readonly #limits: Limits;
  readonly #turns: Turn[] = [];
  #bytes = 0;
  readonly #perSession = new Counts<SessionId>();
  readonly #perClient = new Counts<string>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#turns.length;
  }

  add(turn: Turn): void {
    turn.place = this.#turns.length;
    this.#turns.push(turn);
    this.#bytes += turn.bytes;
    this.#perSession.add(turn.sessionId, 1);
    this.#perClient.add(turn.client.key, 1);
  }

  remove(turn: Turn): void {
    const { place } = turn;
    if (place === undefined) return;
    turn.place = undefined;
    const last = this.#turns.pop();
    if (last && last !== turn) {
      this.#turns[place] = last;
      last.place = place;
    }
    this.#bytes -= turn.bytes;
    this.#perSession.add(turn.sessionId, -1);
    this.#perClient.add(turn.client.key, -1);
  }

  countOfSession(sessionId: SessionId): number {
    return this.#perSession.of(sessionId);
  }

  /** Why one more message cannot be taken now; undefined when it can. */
  refusal(message: Message): WireError | undefined {
    const { waitingPerAgent, waitingBytesPerAgent, waitingPerSession, waitingPerClient } = this.#limits;
    if (this.#turns.length >= waitingPerAgent) {
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
    if (this.#perClient.of(message.client.key) >= waitingPerClient) {
      return full('queue.client_full', `Too many messages queued (${waitingPerClient}). Please wait.`);
    }
    return undefined;
  }

  findByMessage(client: ClientKey, messageId: string): Turn | undefined {
    return this.#turns.find((turn) => turn.messageId === messageId && turn.client.key === client.key);
  }

  /** Turns of the session when one is given, else of the client, in order of acceptance. */
  select(
    client: ClientKey,
    sessionId: SessionId | undefined,
    phases: readonly Turn['phase'][],
  ): readonly Turn[] {
    const isMeant = (turn: Turn) =>
      sessionId === undefined ? turn.client.key === client.key : turn.sessionId === sessionId;
    return this.#turns
      .filter((turn) => isMeant(turn) && !turn.isWithdrawn && phases.includes(turn.phase))
      .sort((a, b) => a.rowId - b.rowId);
  }

  /** Those that a session has begun and that are not over, in order of acceptance. */
  begun(): readonly Turn[] {
    return this.#turns.filter((turn) => turn.isBegun).sort((a, b) => a.rowId - b.rowId);
  }

  summary(client: ClientKey): { isBusy: boolean; waiting: number; sessions: number } {
    const own = this.#turns.filter((turn) => turn.client.key === client.key);
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
    return Math.max(1, this.#turns.filter(isAhead).length);
  }
}

function full(code: WireError['code'], message: string): WireError {
  return { code, message };
}

/** Keys counted to zero stay for their next turn; they are swept out when they have become many. */
class Counts<K> {
  readonly #counts = new Map<K, number>();
  #sweepAt = SWEEP_MIN;

  of(key: K): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: K, by: 1 | -1): void {
    this.#counts.set(key, this.of(key) + by);
    if (this.#counts.size < this.#sweepAt) return;
    for (const [counted, count] of this.#counts) if (count === 0) this.#counts.delete(counted);
    this.#sweepAt = Math.max(SWEEP_MIN, 2 * this.#counts.size);
  }
}

const SWEEP_MIN = 1_024;
