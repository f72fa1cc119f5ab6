/**
 * What an agent has done under this host, over all its incarnations. A worker counts from its own start, and a counter
 * that falls with every restart of an agent would be read as one that began anew, or as nothing at all.
 */
import {
  type Heartbeat,
  type ModelTotals,
  TURN_SECONDS,
  type TurnTotals,
} from '../contract/worker-protocol.ts';

export interface AgentSums {
  readonly turns: TurnTotals;
  readonly models: ModelTotals;
}

export interface SumsKeeper {
  /** `beat`: the newest of that incarnation; undefined before its first one, and once it is gone. */
  note(incarnation: number, beat: Heartbeat | undefined): AgentSums;
}

/** Of one that was never started. */
export const NO_SUMS: AgentSums = {
  turns: {
    ...{ accepted: 0, done: 0, failed: 0, cancelled: 0, interrupted: 0 },
    ...{ took: TURN_SECONDS.map(() => 0).concat(0), tookMs: 0 },
  },
  models: { calls: 0, failedCalls: 0, inputTokens: 0, outputTokens: 0, costUsd: 0 },
};

export function createSumsKeeper(): SumsKeeper {
  let earlier = NO_SUMS;
  let latest: { readonly incarnation: number; readonly sums: AgentSums } | undefined;
  return {
    note: (incarnation, beat) => {
      if (beat) {
        if (latest && latest.incarnation !== incarnation) earlier = added(earlier, latest.sums);
        latest = { incarnation, sums: beat };
      }
      return latest ? added(earlier, latest.sums) : earlier;
    },
  };
}

function added(a: AgentSums, b: AgentSums): AgentSums {
  if (a === NO_SUMS) return { turns: b.turns, models: b.models };
  return {
    turns: {
      accepted: a.turns.accepted + b.turns.accepted,
      done: a.turns.done + b.turns.done,
      failed: a.turns.failed + b.turns.failed,
      cancelled: a.turns.cancelled + b.turns.cancelled,
      interrupted: a.turns.interrupted + b.turns.interrupted,
      took: a.turns.took.map((count, at) => count + (b.turns.took[at] ?? 0)),
      tookMs: a.turns.tookMs + b.turns.tookMs,
    },
    models: {
      calls: a.models.calls + b.models.calls,
      failedCalls: a.models.failedCalls + b.models.failedCalls,
      inputTokens: a.models.inputTokens + b.models.inputTokens,
      outputTokens: a.models.outputTokens + b.models.outputTokens,
      costUsd: a.models.costUsd + b.models.costUsd,
    },
  };
}
