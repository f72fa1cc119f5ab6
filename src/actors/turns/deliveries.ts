/**
 * Who is connected, and which terminal frames have not arrived. A frame is with exactly one of: a connection (in
 * flight), this list (its client is away), or nobody (delivered, or its client can never come back). So a frame is
 * repeated only when its first delivery is in doubt.
 */

import type { ClientKey } from '../../contract/client-key.ts';
import type { Clock } from '../../contract/clock.ts';
import type { Limits } from '../../contract/limits.ts';
import type { Outlet } from '../../gateway/ws/turn-service.ts';
import type { Journal } from '../../storage/journal.ts';

export interface DeliveriesOptions {
  readonly journal: Journal;
  readonly limits: Limits;
  readonly clock: Clock;
}

interface WaitingFrame {
  readonly rowId: number;
  /** When its turn ended, or later. */
  readonly sinceMs: number;
}

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #connected = new Map<string, readonly Outlet[]>();
  readonly #waiting = new Map<string, WaitingFrame[]>();

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** A named client is (also) here now: it gets what it missed. */
  attach(outlet: Outlet): void {
    if (!outlet.client.isNamed) return;
    this.#connected.set(outlet.client.key, [...this.#outletsOf(outlet.client), outlet]);
    this.#resend(outlet);
  }

  /** The frames of `undelivered` were on their way when the socket went. */
  detach(outlet: Outlet, undelivered: readonly number[]): void {
    const { client } = outlet;
    const others = this.#outletsOf(client).filter((other) => other !== outlet);
    if (others.length > 0) this.#connected.set(client.key, others);
    else this.#connected.delete(client.key);
    for (const rowId of undelivered) this.remember(rowId, client);
    const next = this.#waiting.has(client.key) ? this.outletOf(client) : undefined;
    if (next) this.#resend(next);
  }

  confirm(rowIds: readonly number[]): void {
    this.#options.journal.closeTurns(rowIds);
  }

  /** Any open connection of this client, the latest first. */
  outletOf(client: ClientKey): Outlet | undefined {
    return this.#outletsOf(client).findLast((outlet) => outlet.isOpen());
  }

  /** Hands over a durable terminal frame; keeps it when its client is away and may return. */
  deliver(rowId: number, client: ClientKey, frame: string, preferred: Outlet | undefined): void {
    const isHis = preferred?.isOpen() === true && preferred.client.key === client.key;
    const outlet = isHis ? preferred : this.outletOf(client);
    if (outlet) outlet.sendTerminal(rowId, frame);
    else if (client.isNamed) this.remember(rowId, client);
    // A socket that named itself after it sent this message: still the one that asked.
    else preferred?.send(frame);
  }

  /** A frame whose client is away. Beyond the limit the oldest stays in the history only. */
  remember(rowId: number, client: ClientKey, sinceMs = this.#options.clock.wallMs()): void {
    const { journal, limits } = this.#options;
    if (!client.isNamed || sinceMs < this.#oldestMs()) return journal.closeTurns([rowId]);
    const frames = this.#waiting.get(client.key) ?? [];
    this.#waiting.set(client.key, frames);
    frames.push({ rowId, sinceMs });
    if (frames.length > limits.redeliveriesPerClient) this.#close(frames.splice(0, 1));
  }

  /** Lets go of what is too old to be sent: most clients that are away for long never come back under that name. */
  expire(): void {
    const oldestMs = this.#oldestMs();
    for (const [key, frames] of this.#waiting) {
      const young = frames.filter(({ sinceMs }) => sinceMs >= oldestMs);
      if (young.length === frames.length) continue;
      this.#close(frames.filter(({ sinceMs }) => sinceMs < oldestMs));
      if (young.length > 0) this.#waiting.set(key, young);
      else this.#waiting.delete(key);
    }
  }

  #close(frames: readonly WaitingFrame[]): void {
    this.#options.journal.closeTurns(frames.map(({ rowId }) => rowId));
  }

  #oldestMs(): number {
    return this.#options.clock.wallMs() - this.#options.limits.redeliveryMs;
  }

  #outletsOf(client: ClientKey): readonly Outlet[] {
    return this.#connected.get(client.key) ?? [];
  }

  /**
   * A frame too old for a client that cannot tell a late answer from the next one stays in the history. What follows
   * after a socket had to be cut, or the database could not be read, waits on.
   */
  #resend(outlet: Outlet): void {
    const { journal } = this.#options;
    const frames = this.#waiting.get(outlet.client.key)?.sort((a, b) => a.rowId - b.rowId) ?? [];
    const oldestMs = this.#oldestMs();
    for (let next = frames[0]; next && outlet.isOpen(); next = frames[0]) {
      const outcome = journal.outcomeOf(next.rowId);
      frames.shift();
      if (!outcome) continue;
      if (outcome.endedAtMs >= oldestMs) outlet.sendTerminal(next.rowId, outcome.frame);
      else journal.closeTurns([next.rowId]);
    }
    if (frames.length === 0) this.#waiting.delete(outlet.client.key);
  }
}
