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

export interface Deliveries {
  attach(outlet: Outlet): void;
  detach(outlet: Outlet, undelivered: readonly number[]): void;
  confirm(rowIds: readonly number[]): void;
  /** Any open connection of this client, the latest first. */
  outletOf(client: ClientKey): Outlet | undefined;
  /** Hands over a durable terminal frame; keeps it when its client is away and may return. */
  deliver(rowId: number, client: ClientKey, frame: string, preferred: Outlet | undefined): void;
  /** A frame that an earlier start of the agent could not deliver. */
  remember(rowId: number, client: ClientKey): void;
}

export function createDeliveries(options: {
  readonly journal: Journal;
  readonly limits: Limits;
  readonly clock: Clock;
}): Deliveries {
  const { journal, limits, clock } = options;
  const connected = new Map<string, Outlet[]>();
  const waiting = new Map<string, number[]>();

  function outletOf(client: ClientKey): Outlet | undefined {
    return connected.get(client.key)?.findLast((outlet) => outlet.isOpen());
  }

  function remember(rowId: number, client: ClientKey): void {
    if (!client.isNamed) return journal.closeTurns([rowId]);
    const rowIds = waiting.get(client.key) ?? [];
    waiting.set(client.key, rowIds);
    rowIds.push(rowId);
    if (rowIds.length > limits.redeliveriesPerClient) journal.closeTurns(rowIds.splice(0, 1));
  }

  /** A frame too old for a client that cannot tell a late answer from the next one stays in the history. */
  function resend(outlet: Outlet): void {
    const rowIds = waiting.get(outlet.client.key);
    if (!rowIds) return;
    waiting.delete(outlet.client.key);
    const oldestMs = clock.wallMs() - limits.redeliveryMs;
    for (const rowId of rowIds.sort((a, b) => a - b)) {
      const outcome = journal.outcomeOf(rowId);
      if (!outcome) continue;
      if (outcome.endedAtMs >= oldestMs) outlet.sendTerminal(rowId, outcome.frame);
      else journal.closeTurns([rowId]);
    }
  }

  return {
    outletOf,
    remember,
    attach(outlet) {
      if (!outlet.client.isNamed) return;
      connected.set(outlet.client.key, [...(connected.get(outlet.client.key) ?? []), outlet]);
      resend(outlet);
    },
    detach(outlet, undelivered) {
      const { client } = outlet;
      const others = connected.get(client.key)?.filter((other) => other !== outlet) ?? [];
      if (others.length > 0) connected.set(client.key, others);
      else connected.delete(client.key);
      for (const rowId of undelivered) remember(rowId, client);
      const next = undelivered.length > 0 ? outletOf(client) : undefined;
      if (next) resend(next);
    },
    confirm: (rowIds) => journal.closeTurns(rowIds),
    deliver(rowId, client, frame, preferred) {
      const isHis = preferred?.isOpen() === true && preferred.client.key === client.key;
      const outlet = isHis ? preferred : outletOf(client);
      if (outlet) outlet.sendTerminal(rowId, frame);
      else if (client.isNamed) remember(rowId, client);
      // A socket that named itself after it sent this message: still the one that asked.
      else preferred?.send(frame);
    },
  };
}
