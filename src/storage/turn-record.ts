/**
 * A turn as the journal keeps it, and the identifiers that go with it. `docs/journal.md` has the table of states and
 * events this implements.
 */
import type { ErrorCode } from '../contract/errors.ts';

export const TURN_STATES = ['accepted', 'running', 'done', 'failed', 'cancelled', 'interrupted'] as const;
export type TurnState = (typeof TURN_STATES)[number];
export type EndState = Exclude<TurnState, 'accepted' | 'running'>;

/** What a client sent as `session_id`: the reference's clients may send numbers and null, and get them back. */
export type SessionId = string | number | null;

/**
 * Whose turn it is. A named client chose its `client_id`, and may come back for what it missed under the same
 * credential; an unnamed one exists as long as its socket.
 */
export interface ClientKey {
  readonly key: string;
  readonly isNamed: boolean;
  readonly clientId: string;
}

export function namedClient(clientId: string, credentialId: string): ClientKey {
  return { key: `n:${credentialId}:${clientId}`, isNamed: true, clientId };
}

export function unnamedClient(boot: number, counter: number): ClientKey {
  return { key: `a:${boot}:${counter}`, isNamed: false, clientId: `ws-${counter}` };
}

export function parseClientKey(key: string): ClientKey {
  const [kind = '', middle = '', ...rest] = key.split(':');
  if (kind === 'n') return { key, isNamed: true, clientId: rest.join(':') };
  return { key, isNamed: false, clientId: `ws-${rest.join(':') || middle}` };
}

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
}

/** A row that a start of the agent has to look at: unfinished, or ended with its frame not known to be delivered. */
export interface OpenTurn extends Omit<NewTurn, 'acceptedAtMs'> {
  readonly acceptedAtMs: number;
  readonly state: TurnState;
  readonly attempts: number;
  readonly effects: number;
  readonly endedAtMs: number | undefined;
}

const BOOT_FACTOR = 2 ** 32;

/** Row ids grow within a boot and from boot to boot, so that inserts append and order is order of acceptance. */
export function turnRowId(boot: number, counter: number): number {
  return boot * BOOT_FACTOR + counter;
}

/** The public `turn_id`: boot and counter, e.g. `7-1a`. */
export function turnIdOf(rowId: number): string {
  return `${Math.floor(rowId / BOOT_FACTOR).toString(36)}-${(rowId % BOOT_FACTOR).toString(36)}`;
}
