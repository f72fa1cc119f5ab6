/**
 * A turn as the journal keeps it, and the identifiers that go with it. `docs/journal.md` has the table of states and
 * events this implements.
 */
import type { ClientKey, SessionId } from '../contract/client-key.ts';
import type { ErrorCode } from '../contract/errors.ts';

export type EndState = 'done' | 'failed' | 'cancelled' | 'interrupted';

export interface NewTurn {
  readonly id: number;
  readonly sessionId: SessionId;
  readonly client: ClientKey;
  /** The client's idempotency key, echoed in every frame of the turn. */
  readonly messageId: string | undefined;
  readonly text: string;
  /** JSON text of the attachments as sent, or null. */
  readonly attachments: string | null;
  readonly acceptedAtMs: number;
}

/** How a turn ended: the terminal frame exactly as it is sent, so that a repeated frame is the same frame. */
export interface Outcome {
  readonly state: EndState;
  readonly code: ErrorCode | undefined;
  readonly frame: string;
  /** Where the frame is what `answerFrame` makes of this: then this is all that is kept of it. */
  readonly answer?: PlainAnswer;
}

export interface PlainAnswer {
  readonly text: string;
  /** Runtime id. */
  readonly model: string;
}

/**
 * The frame of an answer with nothing to it but its text, byte for byte as it was sent first. Outcomes on disk are made
 * into frames by this: whoever wants other frames leaves it as it is, and lets `Outcome.answer` be absent.
 */
export function answerFrame(
  turn: Pick<NewTurn, 'sessionId' | 'messageId'> & { readonly turnId: string },
  { text, model }: PlainAnswer,
): string {
  const tags = { session_id: turn.sessionId, turn_id: turn.turnId, id: turn.messageId };
  return JSON.stringify({ type: 'response', text, attachments: null, model, ...tags });
}

/** A row that a start of the agent has to look at: unfinished, or ended with its frame not known to be delivered. */
export interface OpenTurn extends Omit<NewTurn, 'acceptedAtMs'> {
  readonly acceptedAtMs: number;
  /** A model may have been called for it. */
  readonly isBegun: boolean;
  readonly attempts: number;
  readonly effects: number;
  readonly endedAtMs: number | undefined;
}

/** A turn that has its outcome, for a client that asks what became of it. */
export interface EndedTurn {
  readonly id: number;
  readonly frame: string;
  /** Its frame is not known to have arrived. */
  readonly isOpen: boolean;
}

/** `effects` of an unfinished turn in a copy that a backup was restored to: the original goes on with it. */
export const RESTORED_EFFECTS = 2;

const BOOT_FACTOR = 2 ** 32;

/** Row ids grow within a boot and from boot to boot, so that inserts append and order is order of acceptance. */
export function turnRowId(boot: number, counter: number): number {
  return boot * BOOT_FACTOR + counter;
}

/** The public `turn_id`: boot and counter, e.g. `7-1a`. */
export function turnIdOf(rowId: number): string {
  return `${Math.floor(rowId / BOOT_FACTOR).toString(36)}-${(rowId % BOOT_FACTOR).toString(36)}`;
}

/** Undefined: no `turn_id` that an agent could have made. */
export function rowIdOf(turnId: string): number | undefined {
  const [, boot = '', counter = ''] = /^([0-9a-z]{1,7})-([0-9a-z]{1,7})$/.exec(turnId) ?? [];
  const rowId = turnRowId(Number.parseInt(boot, 36), Number.parseInt(counter, 36));
  return Number.isSafeInteger(rowId) ? rowId : undefined;
}
