/**
 * The WebSocket frames, by direction: reference at 0.5.16 plus optional fields of ours. Types, validation and the
 * documents derive from here. Agent threads load this file on their first frame only (it brings zod).
 */
import { z } from 'zod';
import { DEFAULT_LIMITS } from './limits.ts';

const Id = z.string().min(1).max(DEFAULT_LIMITS.idChars);

/** The reference's clients may send numbers and null, and get back what they sent. */
export const SessionId = z.union([z.string().max(DEFAULT_LIMITS.idChars), z.number(), z.null()]);

export const Attachment = z.object({
  type: z.enum(['image', 'file', 'voice', 'video']),
  path: z.string().max(4_096),
  filename: z.string().max(1_024),
});

/** What a client may ask for in `auth`; it gets those we know. */
export const CAPABILITIES = ['delta'] as const;

export const clientFrames = {
  auth: z.object({
    type: z.literal('auth'),
    token: z.string().max(4_096).nullish(),
    /** Chosen by the client; under it, it gets what it missed. Absent: one is made for this socket. */
    client_id: z.string().max(DEFAULT_LIMITS.idChars).nullish(),
    capabilities: z.array(z.string().max(64)).max(32).optional(),
  }),
  message: z.object({
    type: z.literal('message'),
    text: z.string(),
    session_id: SessionId.default('default'),
    /** Idempotency key: the same id from the same client is the same message, however often it is sent. */
    id: Id.optional(),
    attachments: z.array(Attachment).max(64).nullish(),
  }),
  command: z.object({
    type: z.literal('command'),
    name: z.string().max(64),
    /** Where given, `stop` and `clear` act on this session only. */
    session_id: SessionId.optional(),
    id: Id.optional(),
  }),
  ping: z.object({ type: z.literal('ping'), id: Id.optional() }),
} as const;

export type ClientFrameType = keyof typeof clientFrames;
export type ClientFrame = { [K in ClientFrameType]: z.output<(typeof clientFrames)[K]> }[ClientFrameType];
export type FrameOf<K extends ClientFrameType> = z.output<(typeof clientFrames)[K]>;

const turn = { turn_id: z.string(), id: Id.optional() };

export const serverFrames = {
  auth_ok: z.object({
    type: z.literal('auth_ok'),
    agent_name: z.string(),
    version: z.string(),
    client_id: z.string(),
    /** Present when the client sent `capabilities`. */
    capabilities: z.array(z.enum(CAPABILITIES)).optional(),
    limits: z.record(z.string(), z.number()).optional(),
  }),
  auth_error: z.object({ type: z.literal('auth_error'), reason: z.string(), code: z.string() }),
  pong: z.object({ type: z.literal('pong'), id: Id.optional() }),
  /** `position`: messages of this session ahead of this one, the running one included. */
  queued: z.object({
    type: z.literal('queued'),
    position: z.number().int().min(1),
    session_id: SessionId,
    ...turn,
  }),
  status: z.object({ type: z.literal('status'), text: z.string(), session_id: SessionId, ...turn }),
  delta: z.object({
    type: z.literal('delta'),
    session_id: SessionId,
    seq: z.number().int().min(1),
    text: z.string(),
    ...turn,
  }),
  /** Ends a turn well. */
  response: z.object({
    type: z.literal('response'),
    text: z.string(),
    session_id: SessionId,
    attachments: z.array(Attachment).min(1).nullable(),
    model: z.string().nullable(),
    ...turn,
  }),
  /** Ends a turn otherwise (then it has a `turn_id`), refuses a message, or answers a frame that makes no sense. */
  error: z.object({
    type: z.literal('error'),
    text: z.string(),
    code: z.string(),
    session_id: SessionId.optional(),
    turn_id: z.string().optional(),
    id: Id.optional(),
    details: z.unknown().optional(),
  }),
  turn_complete: z.object({ type: z.literal('turn_complete'), session_id: SessionId, ...turn }),
  command_result: z.object({
    type: z.literal('command_result'),
    text: z.string(),
    name: z.string(),
    session_id: SessionId.optional(),
    id: Id.optional(),
    code: z.string().optional(),
  }),
} as const;

export type ServerFrame = {
  [K in keyof typeof serverFrames]: z.output<(typeof serverFrames)[K]>;
}[keyof typeof serverFrames];

export type AttachmentInfo = z.output<typeof Attachment>;

export type FrameResult =
  | { readonly frame: ClientFrame }
  /** A type nobody knows: ignored, as the reference does. */
  | { readonly ignored: string }
  | { readonly invalid: string; readonly details: unknown };

/** Never throws. The text is one whole WebSocket text frame. */
export function parseFrame(text: string): FrameResult {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    // The reference's own words: its clients may show them.
    return { invalid: 'Invalid JSON', details: undefined };
  }
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    return { invalid: 'A frame is one JSON object', details: undefined };
  }
  const type = (raw as { type?: unknown }).type;
  if (typeof type !== 'string' || !Object.hasOwn(clientFrames, type)) return { ignored: String(type) };
  const result = clientFrames[type as ClientFrameType].safeParse(raw);
  if (result.success) return { frame: result.data };
  const issue = result.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  return {
    invalid: `Invalid ${type} frame: ${path ? `${path}: ` : ''}${issue?.message ?? 'not understood'}`,
    details: result.error.issues.slice(0, 8).map(({ path, message }) => ({ path: path.join('.'), message })),
  };
}
