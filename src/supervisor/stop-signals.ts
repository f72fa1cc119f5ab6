/**
 * Counts what people and service managers send. One Ctrl-C reaches this process several times: the terminal signals
 * the whole foreground group, npm and the launcher pass it on. Taken for two, it would force where it should drain.
 */

/** Signals within this time of the first are the same wish. */
export const SAME_SIGNAL_MS = 1_000;

export interface StopSignals {
  /**
   * `sentMs` is when the signal reached the process that tells us, on the clock all processes of a machine share.
   * It may lie well before now when this process was busy.
   */
  receive(signal: NodeJS.Signals, sentMs: number): void;
}

export function createStopSignals(wishes: {
  /** Now, on the same clock as `sentMs`. */
  readonly nowMs: () => number;
  readonly onDrain: (signal: NodeJS.Signals) => void;
  readonly onForce: (signal: NodeJS.Signals) => void;
}): StopSignals {
  let first: { readonly sentMs: number; readonly receivedMs: number } | undefined;
  let forced = false;
  return {
    receive(signal, sentMs) {
      const receivedMs = wishes.nowMs();
      if (first === undefined) {
        first = { sentMs, receivedMs };
        wishes.onDrain(signal);
        return;
      }
      const isSame = receivedMs - first.receivedMs < SAME_SIGNAL_MS || sentMs - first.sentMs < SAME_SIGNAL_MS;
      if (isSame || forced) return;
      forced = true;
      wishes.onForce(signal);
    },
  };
}
