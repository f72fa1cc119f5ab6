/** One message on its way to its outcome, in memory; and the frames that speak of it. */

import type { ClientKey, SessionId } from '../../contract/client-key.ts';
import type { WireError } from '../../contract/errors.ts';
import type { AttachmentInfo, ServerFrame } from '../../contract/frames.ts';
import type { Outlet } from '../../gateway/ws/turn-service.ts';
import { turnIdOf } from '../../storage/turn-record.ts';
import type { Delta } from '../../storage/turn-steps.ts';
import type { AnswerStream } from './answer-stream.ts';
import type { Thought } from './mind.ts';
import type { ModelCall } from './model-call.ts';

export interface Turn {
  readonly rowId: number;
  readonly turnId: string;
  readonly sessionId: SessionId;
  readonly client: ClientKey;
  readonly messageId: string | undefined;
  readonly text: string;
  /** Of the text. */
  readonly bytes: number;
  readonly attachments: readonly AttachmentInfo[];
  /** A start of the agent found it unfinished: it may have run before. */
  readonly isRecovered: boolean;
  readonly acceptedAtMs: number;
  /** pending: not durable yet. ended: its outcome is on its way to disk, or there. */
  phase: 'pending' | 'waiting' | 'running' | 'ended';
  /** Asked to be dropped while it was still pending. */
  isWithdrawn: boolean;
  /** Where its frames go while that is open; another connection of the same client otherwise. */
  outlet: Outlet | undefined;
  /** The model call, once it has begun. */
  call: ModelCall | undefined;
  /** Of a turn that thinks, once it has begun: what it does, and what it has said. */
  thought: Thought | undefined;
  stream: AnswerStream | undefined;
  /** A client has come back for it before it began again; the last piece that it has. */
  missedAfter: number | undefined;
  /** Its session has begun it, and it is not over. */
  isBegun: boolean;
  /** Among the live turns; kept by them. */
  place: number | undefined;
}

export interface TurnInput {
  readonly rowId: number;
  readonly sessionId: SessionId;
  readonly client: ClientKey;
  readonly messageId: string | undefined;
  readonly text: string;
  readonly attachments: readonly AttachmentInfo[];
  readonly acceptedAtMs: number;
}

export function createTurn(input: TurnInput, outlet: Outlet | undefined, isRecovered: boolean): Turn {
  return {
    rowId: input.rowId,
    turnId: turnIdOf(input.rowId),
    sessionId: input.sessionId,
    client: input.client,
    messageId: input.messageId,
    text: input.text,
    bytes: Buffer.byteLength(input.text),
    attachments: input.attachments,
    acceptedAtMs: input.acceptedAtMs,
    isRecovered,
    phase: 'pending',
    isWithdrawn: false,
    outlet,
    call: undefined,
    thought: undefined,
    stream: undefined,
    missedAfter: undefined,
    isBegun: false,
    place: undefined,
  };
}

/** What a client with the capability `tools` is told of a call. */
export type ToolEvent = Omit<
  Extract<ServerFrame, { type: 'tool' }>,
  'type' | 'session_id' | 'turn_id' | 'id'
>;

type AnswerFields = Pick<
  Extract<ServerFrame, { type: 'response' }>,
  'text' | 'attachments' | 'model' | 'finish_reason'
>;

function tags(turn: Turn): { session_id: SessionId; turn_id: string; id?: string } {
  const common = { session_id: turn.sessionId, turn_id: turn.turnId };
  return turn.messageId === undefined ? common : { ...common, id: turn.messageId };
}

const toText = (frame: ServerFrame): string => JSON.stringify(frame);

export const turnFrames = {
  queued: (turn: Turn, position: number) => toText({ type: 'queued', position, ...tags(turn) }),
  status: (turn: Turn, text: string) => toText({ type: 'status', text, ...tags(turn) }),
  delta: (turn: Turn, { seq, text, voidAfter }: Delta) =>
    toText({
      ...{ type: 'delta', seq, text },
      ...(voidAfter === null ? {} : { void_after: voidAfter }),
      ...tags(turn),
    }),
  tool: (turn: Turn, event: ToolEvent) => toText({ type: 'tool', ...event, ...tags(turn) }),
  response: (turn: Turn, answer: AnswerFields) => toText({ type: 'response', ...answer, ...tags(turn) }),
  error: (turn: Turn, error: WireError) =>
    toText({ type: 'error', text: error.message, code: error.code, ...tags(turn) }),
  complete: (turn: Turn) => toText({ type: 'turn_complete', ...tags(turn) }),
};
