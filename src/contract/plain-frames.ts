/**
 * Reads the frames that clients send nearly always, without zod: an agent that is only talked to plainly need not load
 * it, which after a death of the host, when all clients come back at once, took each of fifty agents a fifth of its
 * start. It says what the table in `frames.ts` says, or nothing: whatever it does not plainly recognise, and whatever is
 * wrong, is left to that table. A test compares the two.
 */
import type { FrameResult } from './frames.ts';

type Raw = Readonly<Record<string, unknown>>;
/** Undefined: not plainly right. */
type Reader = (raw: Raw, idChars: number) => FrameResult | undefined;

const TOKEN_CHARS = 4_096;
const NAME_CHARS = 64;
const CAPABILITIES_MAX = 32;
const LONE_SURROGATE = /\p{Cs}/u;
const CONTROL = /[\p{Cc}\p{Cs}]/u;

const READERS: Readonly<Record<string, Reader>> = {
  auth: (raw, idChars) => {
    const { token, client_id, capabilities } = raw;
    if (!isAbsent(token) && token !== null && !isShort(token, TOKEN_CHARS)) return undefined;
    if (!isAbsent(client_id) && client_id !== null && !isChosen(client_id, idChars)) return undefined;
    if (!isAbsent(capabilities) && !areCapabilities(capabilities)) return undefined;
    return {
      frame: {
        type: 'auth',
        ...(isAbsent(token) ? {} : { token }),
        ...(isAbsent(client_id) ? {} : { client_id }),
        ...(isAbsent(capabilities) ? {} : { capabilities }),
      },
    };
  },
  message: (raw, idChars) => {
    const { text, session_id = 'default', id, attachments } = raw;
    if (typeof text !== 'string' || LONE_SURROGATE.test(text)) return undefined;
    if (!isSession(session_id, idChars) || !(isAbsent(id) || isId(id, idChars))) return undefined;
    if (!isAbsent(attachments) && attachments !== null) return undefined;
    return {
      frame: {
        ...{ type: 'message', text, session_id },
        ...(isAbsent(id) ? {} : { id }),
        ...(isAbsent(attachments) ? {} : { attachments }),
      },
    };
  },
  command: (raw, idChars) => {
    const { name, session_id, id } = raw;
    if (!isShort(name, NAME_CHARS) || !(isAbsent(id) || isId(id, idChars))) return undefined;
    if (!isAbsent(session_id) && !isSession(session_id, idChars)) return undefined;
    return {
      frame: {
        ...{ type: 'command', name },
        ...(isAbsent(session_id) ? {} : { session_id }),
        ...(isAbsent(id) ? {} : { id }),
      },
    };
  },
  ping: ({ id }, idChars) => {
    if (isAbsent(id)) return { frame: { type: 'ping' } };
    return isId(id, idChars) ? { frame: { type: 'ping', id } } : undefined;
  },
  resume: (raw, idChars) => {
    const { session_id = 'default', after_seq, turn_id, id } = raw;
    if (!isSession(session_id, idChars) || !(isAbsent(id) || isId(id, idChars))) return undefined;
    if (!isCount(after_seq) || !(isAbsent(turn_id) || isShort(turn_id, NAME_CHARS))) return undefined;
    return {
      frame: {
        ...{ type: 'resume', session_id, after_seq },
        ...(isAbsent(turn_id) ? {} : { turn_id }),
        ...(isAbsent(id) ? {} : { id }),
      },
    };
  },
};

/** Undefined for what has to be read by `createFrameParser`. Never throws. */
export function readPlainFrame(text: string, idChars: number): FrameResult | undefined {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return undefined; // is told so by the one that knows the words for it
  }
  if (typeof raw !== 'object' || raw === null) return undefined;
  const { type } = raw as Raw;
  if (typeof type !== 'string' || !Object.hasOwn(READERS, type)) return undefined;
  return READERS[type]?.(raw as Raw, idChars);
}

/** JSON has no `undefined`: it stands for a key that is not there. */
const isAbsent = (value: unknown): value is undefined => value === undefined;

const isShort = (value: unknown, charsMax: number): value is string =>
  typeof value === 'string' && value.length <= charsMax;

const isChosen = (value: unknown, idChars: number): value is string =>
  isShort(value, idChars) && !LONE_SURROGATE.test(value);

const isId = (value: unknown, idChars: number): value is string =>
  isShort(value, idChars) && value !== '' && !CONTROL.test(value);

/** `1e999` is infinite. */
const isSession = (value: unknown, idChars: number): value is string | number | null =>
  value === null || Number.isFinite(value) || isChosen(value, idChars);

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const areCapabilities = (value: unknown): value is string[] =>
  Array.isArray(value) &&
  value.length <= CAPABILITIES_MAX &&
  value.every((each) => isShort(each, NAME_CHARS));
