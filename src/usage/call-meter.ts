/**
 * Between a step of a turn and the ledger: one reservation for all calls that a step comes to, each written down once. A
 * call that was stopped tells nothing of itself any more, and is written down all the same.
 */
import type { ErrorCode } from '../contract/errors.ts';
import type { StreamPart, TokenUsage } from '../models/provider.ts';
import type { CallEstimate, UsageLedger } from './ledger.ts';

type UsagePart = Extract<StreamPart, { type: 'usage' }>;

export interface MeteredStep {
  /** What the stream says of a call. `emittedChars`: of the answer, so far. */
  take(part: UsagePart, emittedChars: number): void;
  /** Nothing more will come. `error`: why it ended so; again it changes nothing. */
  end(emittedChars: number, error: ErrorCode | undefined): void;
}

/** `model`: undefined for the agent's own. */
export type StepPlan = Omit<CallEstimate, 'model'> & { readonly model: string | undefined };

const UNTOLD: TokenUsage = {
  input: undefined,
  output: undefined,
  cacheRead: undefined,
  cacheWrite: undefined,
  reasoning: undefined,
};

/** `ownModel`: runtime id that stands for the agent's own model, `smart` where it chooses. Rejects as the ledger does. */
export function createCallMeter(
  ledger: Pick<UsageLedger, 'reserve'>,
  ownModel: string,
): (plan: StepPlan) => Promise<MeteredStep> {
  return async (plan) => {
    const reservation = await ledger.reserve({ ...plan, model: plan.model ?? ownModel });
    let answer: UsagePart | undefined;
    let isOpen = true;
    return {
      take: (part, emittedChars) => {
        if (part.purpose === undefined) answer = part;
        if (isOpen) reservation.record({ ...part, emittedChars });
      },
      end: (emittedChars, error) => {
        if (!isOpen) return;
        isOpen = false;
        try {
          if (isUntold(answer, emittedChars, error)) {
            reservation.record({
              usage: UNTOLD,
              emittedChars,
              ...(error === undefined ? {} : { failed: error }),
            });
          }
        } finally {
          reservation.release();
        }
      },
    };
  };
}

/** Whether a call was under way that nobody has told of. Without a word of an answer only a stop can have met one. */
function isUntold(
  answer: UsagePart | undefined,
  emittedChars: number,
  error: ErrorCode | undefined,
): boolean {
  if (error === undefined) return answer === undefined;
  if (answer !== undefined && (answer.failed === undefined || answer.failed === error)) return false;
  return emittedChars > 0 || error === 'turn.cancelled';
}
