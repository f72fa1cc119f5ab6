/**
 * Calls that a person decides about. A question is bound to one tool, one session and the exact arguments that were
 * shown; an answer counts once, in time, and only while the agent runs: whatever ends otherwise is a no. An approval
 * that could be used for other arguments, or later, would be a way around the person.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { ServerFrame } from '../contract/frames.ts';
import type { Log } from '../logging/log.ts';
import { canonicalJson } from './canonical-json.ts';

export interface Question {
  readonly tool: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly turnId: string;
  readonly sessionId: string | number | null;
  readonly signal: AbortSignal;
  /** An earlier start of the agent began the turn: who had been asked then may be on the way back. */
  readonly isRecovered?: boolean;
}

type Call = Pick<Question, 'tool' | 'input' | 'sessionId'>;
type HashOf = (call: Call) => string;

export type Approval =
  /** Throws `tool.denied` unless this is the call that was approved, and the first use of it. */
  | { readonly isAllowed: true; use(call: Call): void }
  | { readonly isAllowed: false; readonly reason: string };

export interface Approvals {
  /** Rejects with the reason of the signal. */
  ask(question: Question): Promise<Approval>;
  /** False: there is no such question any more. `by` is for the log. */
  decide(approvalId: string, decision: 'allow' | 'deny', by: string): boolean;
  /** What waits for an answer, for a client that has just come. */
  open(): readonly string[];
  /** How many wait. */
  readonly size: number;
  /** Everything that waits is denied, and so is what is asked from then on. */
  close(): void;
}

export interface ApprovalsOptions {
  /** To every client that can answer; how many there are. */
  readonly send: (frame: string) => number;
  /** How long a question stays open. */
  readonly approvalMs: number;
  readonly openMax?: number;
  readonly clock: Clock;
  readonly log: Log;
}

type Ending = 'allow' | 'deny' | 'expired' | 'cancelled';

interface Waiting {
  readonly id: string;
  readonly question: Question;
  readonly hash: string;
  readonly frame: string;
  /** Some client has been sent it. */
  isShown: boolean;
  end(ending: Ending, by?: string): void;
}

const OPEN_MAX = 32;
/** What a client that went away, or whose agent did, gets to come back before a call is denied for want of one. */
const RETURN_MS = 60_000;
/** Of the arguments as JSON: more than that nobody reads before saying yes. */
const SHOWN_CHARS = 128 * 1024;
/** Of all open questions: a client that comes back is sent them at once. */
const OPEN_CHARS = 512 * 1024;

export function createApprovals(options: ApprovalsOptions): Approvals {
  return new OpenQuestions(options);
}

class OpenQuestions implements Approvals {
  readonly #options: ApprovalsOptions;
  readonly #waiting = new Map<string, Waiting>();
  /** Asked, and not shown yet. */
  #asking = 0;
  #isClosed = false;
  /** When there last was a client that could have answered. */
  #someoneMs = Number.NEGATIVE_INFINITY;

  constructor(options: ApprovalsOptions) {
    this.#options = options;
  }

  async ask(question: Question): Promise<Approval> {
    question.signal.throwIfAborted();
    const refusal = this.#refusal(question);
    if (refusal !== undefined) return this.#refused(question, refusal);
    this.#asking += 1;
    try {
      // A hash means loading node:crypto, and most agents never ask.
      const { createHash, randomUUID } = await import('node:crypto');
      const hashOf = ({ tool, sessionId, input }: Call): string =>
        createHash('sha256')
          .update(canonicalJson([tool, sessionId, input]))
          .digest('hex');
      question.signal.throwIfAborted();
      return await this.#wait(question, randomUUID(), hashOf);
    } finally {
      this.#asking -= 1;
    }
  }

  decide(approvalId: string, decision: 'allow' | 'deny', by: string): boolean {
    const waiting = this.#waiting.get(approvalId);
    waiting?.end(decision, by);
    return waiting !== undefined;
  }

  open(): readonly string[] {
    this.#someoneMs = this.#options.clock.monotonicMs();
    return [...this.#waiting.values()].map((waiting) => {
      waiting.isShown = true;
      return waiting.frame;
    });
  }

  get size(): number {
    return this.#waiting.size;
  }

  close(): void {
    this.#isClosed = true;
    for (const waiting of [...this.#waiting.values()]) waiting.end('cancelled');
  }

  #refusal({ input }: Question): string | undefined {
    const { openMax = OPEN_MAX } = this.#options;
    if (this.#isClosed) return 'the agent is stopping';
    if (this.#asking >= openMax) return `${openMax} other calls wait for a decision already`;
    const shownChars = canonicalJson(input).length;
    let openChars = shownChars;
    for (const { frame } of this.#waiting.values()) openChars += frame.length;
    if (shownChars <= SHOWN_CHARS && openChars > OPEN_CHARS) return 'too much waits for a decision already';
    if (shownChars > SHOWN_CHARS) return 'its arguments are too long for a person to decide about';
    return undefined;
  }

  #wait(question: Question, id: string, hashOf: HashOf): Promise<Approval> {
    const hash = hashOf(question);
    const { clock, approvalMs, send } = this.#options;
    const frame = JSON.stringify(this.#frameOf(question, id));
    return new Promise((resolve, reject) => {
      const isShown = !this.#isClosed && send(frame) > 0;
      if (isShown) this.#someoneMs = clock.monotonicMs();
      // Nobody can answer: waiting would only delay the no.
      if (this.#isClosed || !(isShown || this.#mayReturn(question))) {
        return resolve(this.#refused(question, this.#isClosed ? REASONS.cancelled : REASONS.nobody));
      }
      let timer: TimerHandle;
      const onAbort = (): void => end('cancelled');
      const end = (ending: Ending, by?: string): void => {
        if (!this.#waiting.delete(id)) return;
        clock.clearTimeout(timer);
        question.signal.removeEventListener('abort', onAbort);
        this.#tell(question, id, hash, ending, by);
        if (question.signal.aborted) reject(question.signal.reason);
        else
          resolve(ending === 'allow' ? grantOf(hash, hashOf) : { isAllowed: false, reason: whyNot(ending) });
      };
      const waiting: Waiting = { id, question, hash, frame, isShown, end };
      const whyNot = (ending: Exclude<Ending, 'allow'>): string =>
        REASONS[ending === 'expired' && !waiting.isShown ? 'nobody' : ending];
      this.#waiting.set(id, waiting);
      const returnMs = isShown ? approvalMs : Math.min(RETURN_MS, approvalMs);
      timer = clock.setTimeout(() => {
        if (!waiting.isShown || returnMs === approvalMs) return end('expired');
        timer = clock.setTimeout(() => end('expired'), approvalMs - returnMs);
      }, returnMs);
      question.signal.addEventListener('abort', onAbort, { once: true });
      this.#log('approval.asked', question, { approval: id, hash });
    });
  }

  #mayReturn({ isRecovered = false }: Question): boolean {
    return isRecovered || this.#options.clock.monotonicMs() - this.#someoneMs < RETURN_MS;
  }

  #frameOf({ tool, input, turnId, sessionId }: Question, id: string): ServerFrame {
    const { clock, approvalMs } = this.#options;
    return {
      type: 'approval_request',
      approval_id: id,
      session_id: sessionId,
      turn_id: turnId,
      tool,
      arguments: { ...input },
      expires_at: (clock.wallMs() + approvalMs) / 1000,
    };
  }

  #tell(question: Question, id: string, hash: string, ending: Ending, by: string | undefined): void {
    const { sessionId, turnId } = question;
    const frame: ServerFrame = {
      ...{ type: 'approval_resolved', approval_id: id, session_id: sessionId, turn_id: turnId },
      decision: ending,
    };
    this.#options.send(JSON.stringify(frame));
    this.#log('approval.decided', question, { approval: id, hash, decision: ending, by });
  }

  #refused(question: Question, reason: string): Approval {
    this.#log('approval.decided', question, { decision: 'deny', reason });
    return { isAllowed: false, reason };
  }

  #log(event: string, { tool, turnId, sessionId }: Question, fields: Record<string, unknown>): void {
    this.#options.log.info(event, { tool, turn: turnId, session: sessionId, ...fields });
  }
}

const REASONS = {
  nobody: 'it needs the approval of a person, and no client that can give one is connected',
  deny: 'a person has denied it',
  expired: 'nobody approved it in time',
  cancelled: 'the agent is stopping',
} as const satisfies Record<Exclude<Ending, 'allow'> | 'nobody', string>;

function grantOf(hash: string, hashOf: HashOf): Approval {
  let isUsed = false;
  return {
    isAllowed: true,
    use: (call) => {
      const isSame = hashOf(call) === hash;
      if (isUsed || !isSame) {
        const why = isUsed ? 'was used already' : 'was given for other arguments';
        throw new AppError('tool.denied', `The approval ${why}`);
      }
      isUsed = true;
    },
  };
}
