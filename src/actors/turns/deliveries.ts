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

export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #connected = new Map<string, readonly Outlet[]>();
  readonly #waiting = new Map<string, number[]>();

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
    const next = undelivered.length > 0 ? this.outletOf(client) : undefined;
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
  remember(rowId: number, client: ClientKey): void {
    const { journal, limits } = this.#options;
    if (!client.isNamed) return journal.closeTurns([rowId]);
    const rowIds = this.#waiting.get(client.key) ?? [];
    this.#waiting.set(client.key, rowIds);
    rowIds.push(rowId);
    if (rowIds.length > limits.redeliveriesPerClient) journal.closeTurns(rowIds.splice(0, 1));
  }

  #outletsOf(client: ClientKey): readonly Outlet[] {
    return this.#connected.get(client.key) ?? [];
  }

  /** A frame too old for a client that cannot tell a late answer from the next one stays in the history. */
  #resend(outlet: Outlet): void {
    const { journal, limits, clock } = this.#options;
    const rowIds = this.#waiting.get(outlet.client.key);
    if (!rowIds) return;
    this.#waiting.delete(outlet.client.key);
    const oldestMs = clock.wallMs() - limits.redeliveryMs;
    for (const rowId of rowIds.sort((a, b) => a - b)) {
      const outcome = journal.outcomeOf(rowId);
      if (!outcome) continue;
      if (outcome.endedAtMs >= oldestMs) outlet.sendTerminal(rowId, outcome.frame);
      else journal.closeTurns([rowId]);
    }
  }
}
