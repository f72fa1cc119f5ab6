/**
 * Counts turns and how long they took, for the heartbeat. It stands in the way of every turn: an increment and a search
 * among a dozen bounds, and nothing is allocated.
 */
import { TURN_SECONDS, type TurnTotals } from '../../contract/worker-protocol.ts';
import type { EndState } from '../../storage/turn-record.ts';

export class TurnTally {
  readonly #ends: Record<EndState, number> = { done: 0, failed: 0, cancelled: 0, interrupted: 0 };
  readonly #took: number[] = new Array(TURN_SECONDS.length + 1).fill(0);
  #accepted = 0;
  #tookMs = 0;

  accepted(): void {
    this.#accepted += 1;
  }

  /** Its outcome is durable. Wall clocks may be set back meanwhile: less than nothing counts as nothing. */
  ended(state: EndState, tookMs: number): void {
    const counted = Math.max(0, tookMs);
    this.#ends[state] += 1;
    this.#tookMs += counted;
    let at = 0;
    while (at < TURN_SECONDS.length && counted > (TURN_SECONDS[at] as number) * 1_000) at += 1;
    this.#took[at] = (this.#took[at] ?? 0) + 1;
  }

  totals(): TurnTotals {
    return { accepted: this.#accepted, ...this.#ends, took: [...this.#took], tookMs: this.#tookMs };
  }
}
