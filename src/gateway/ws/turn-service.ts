/** What the WebSocket half of the gateway asks of the agent's turns, and what turns ask of a connection. */

import type { ClientKey, SessionId } from '../../contract/client-key.ts';
import type { AttachmentInfo } from '../../contract/frames.ts';

/** One authenticated connection, as a turn sees it. Frames are JSON text. */
export interface Outlet {
  readonly client: ClientKey;
  readonly wantsDeltas: boolean;
  /** Absent: no. */
  readonly wantsTools?: boolean;
  readonly wantsResume?: boolean;
  isOpen(): boolean;
  send(frame: string): void;
  /** A terminal frame: the connection watches whether it arrives, and reports either way. */
  sendTerminal(rowId: number, frame: string): void;
}

export interface Message {
  readonly client: ClientKey;
  readonly sessionId: SessionId;
  /** The client's idempotency key. */
  readonly messageId: string | undefined;
  readonly text: string;
  readonly attachments: readonly AttachmentInfo[];
}

export interface ResumeWish {
  readonly sessionId: SessionId;
  /** Of the last `delta` that came. */
  readonly afterSeq: number;
  /** Undefined: the running turn of the session, or its last one. */
  readonly turnId: string | undefined;
  readonly id: string | undefined;
}

export interface TurnService {
  /** Answers through the outlet: `queued` or `status` once the message is durable, or an `error` frame. */
  submit(message: Message, outlet: Outlet): void;
  /** Cancels running turns and withdraws waiting ones: those of the session when given, else the client's. */
  stop(client: ClientKey, sessionId: SessionId | undefined): { running: number; waiting: number };
  /** Withdraws waiting turns only. */
  clear(client: ClientKey, sessionId: SessionId | undefined): number;
  /** Turns of the client: is one running, how many wait, in how many sessions. */
  summary(client: ClientKey): { isBusy: boolean; waiting: number; sessions: number };
  /** Whether any turn of the session has not ended durably. */
  hasTurns(sessionId: SessionId): boolean;
  /** What the client missed of a turn goes out again, then the rest live. */
  resume(wanted: ResumeWish, outlet: Outlet): void;
  /** Nothing said so far is remembered: in this session, or in all that the client spoke in last. */
  beginAfresh(client: ClientKey, sessionId: SessionId | undefined): void;
  /** The connection has (re)named itself: it gets what its client missed, now. */
  attach(outlet: Outlet): void;
  /** The connection is gone or now belongs to another client; these terminal frames may not have arrived. */
  detach(outlet: Outlet, undelivered: readonly number[]): void;
  /** These terminal frames have arrived. */
  confirm(rowIds: readonly number[]): void;
}
