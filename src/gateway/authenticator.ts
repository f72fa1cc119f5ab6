/**
 * The one place that compares tokens, for REST and WebSocket alike. If each did so by itself, one of them would leak
 * timing or forget to count failures.
 *
 * A peer with too many failures is locked out for the rest of its minute, with right tokens too: otherwise guessing
 * could go on at full speed and only the answers would change. Sockets that have authenticated are never asked again,
 * so nobody's failures cut a conversation. A request without any credential guesses nothing and is not counted: a page
 * left open must not lock its owner out.
 */
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import { peerKey } from './peer-address.ts';

export type Verdict = 'ok' | 'missing' | 'invalid' | 'rate_limited';

export interface Authenticator {
  /** No token is configured: everyone whom the access rules let through is in. */
  readonly isOpen: boolean;
  /** Whose property redelivered frames are, see `credentialId`. */
  readonly credential: string;
  /** `peer` is the remote address; a failure is counted against it. */
  check(presented: string | undefined, peer: string): Verdict;
  /** Time until a locked out peer may try again; 0 when it may now. */
  retryAfterSeconds(peer: string): number;
}

export interface AuthenticatorOptions {
  readonly token: string | undefined;
  readonly failuresPerMinute: number;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

const WINDOW_MS = 60_000;
/** Peers whose failures are remembered; the oldest is forgotten first. */
const PEERS_MAX = 4_096;

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { token, clock, failuresPerMinute } = options;
  if (token === '') {
    throw new AppError('config.invalid', 'The token is empty: give it a value, or remove it to use none');
  }
  const expected = token === undefined ? undefined : digest(token);
  const windows = new Map<string, { readonly startMs: number; failures: number }>();

  function openWindow(key: string) {
    const window = windows.get(key);
    return window && clock.monotonicMs() - window.startMs < WINDOW_MS ? window : undefined;
  }

  function countFailure(key: string): void {
    const window = openWindow(key);
    if (window) {
      window.failures += 1;
      return;
    }
    windows.delete(key);
    if (windows.size >= PEERS_MAX) {
      for (const oldest of windows.keys()) {
        windows.delete(oldest);
        break;
      }
    }
    windows.set(key, { startMs: clock.monotonicMs(), failures: 1 });
  }

  function isLocked(key: string): boolean {
    return (openWindow(key)?.failures ?? 0) >= failuresPerMinute;
  }

  return {
    isOpen: expected === undefined,
    credential: credentialId(token),
    check(presented, peer) {
      if (expected === undefined) return 'ok';
      const key = peerKey(peer);
      if (isLocked(key)) return 'rate_limited';
      if (presented === undefined) return 'missing';
      if (crypto().timingSafeEqual(digest(presented), expected)) return 'ok';
      countFailure(key);
      return 'invalid';
    },
    retryAfterSeconds(peer) {
      const key = peerKey(peer);
      const window = isLocked(key) ? openWindow(key) : undefined;
      return window ? Math.ceil((window.startMs + WINDOW_MS - clock.monotonicMs()) / 1000) : 0;
    },
  };
}

/** Loaded with the first token: most agents on a loopback port have none, and it is slow to load. */
function crypto(): typeof import('node:crypto') {
  return process.getBuiltinModule('node:crypto');
}

/** Digests have one length, whatever was sent: comparing them tells neither content nor length of the token. */
function digest(token: string): Buffer {
  return crypto().createHash('sha256').update(token).digest();
}

/** The credential of `Authorization: Bearer …`, or undefined when the header is absent or of another scheme. */
export function bearerOf(header: string): string | undefined {
  if (header.slice(0, 7).toLowerCase() !== 'bearer ') return undefined;
  return header.slice(7).trim() || undefined;
}

/**
 * Under which credential a client's undelivered frames are kept: a short digest, so that the journal never holds the
 * token, and frames stored under one token are not handed to whoever knows the next. '' where no token is configured.
 */
export function credentialId(token: string | undefined): string {
  if (token === undefined) return '';
  return crypto()
    .createHash('sha256')
    .update('openagent-credential:')
    .update(token)
    .digest('hex')
    .slice(0, 16);
}
