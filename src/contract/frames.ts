/**
 * The WebSocket frames, by direction: reference at 0.5.16 plus optional fields of ours. Types, validation and the
 * documents derive from here. Agent threads load this file on their first frame only (it brings zod).
 */
import { z } from 'zod';
import { DEFAULT_LIMITS } from './limits.ts';
import { safeParse } from './safe-parse.ts';
import { LOG_LEVELS } from './worker-protocol.ts';

/** Half of a surrogate pair: UTF-8 has no bytes for it, so the journal could not give it back. */
const LONE_SURROGATE = /\p{Cs}/u;
const CONTROL = /[\p{Cc}\p{Cs}]/u;

export const SessionId = z.union([z.string(), z.number(), z.null()]);

export const Attachment = z.object({
  type: z.enum(['image', 'file', 'voice', 'video']),
  path: z.string().max(4_096),
  filename: z.string().max(1_024),
});

/** What a client may ask for in `auth`; it gets those we know. */
export const CAPABILITIES = ['delta', 'tools', 'resume', 'resources', 'approvals'] as const;

function idsFor(idChars: number) {
  const Chosen = z
    .string()
    .max(idChars)
    .refine((text) => !LONE_SURROGATE.test(text), 'is not well-formed Unicode');
  /** The reference's clients may send numbers and null, and get back what they sent. */
  const Session = z.union([Chosen, z.number(), z.null()], {
    error: `must be a string of at most ${idChars} characters, a number or null`,
  });
  const Id = z
    .string()
    .min(1)
    .max(idChars)
    .refine((text) => !CONTROL.test(text), 'has a control character');
  return { Chosen, Session, Id };
}

/** What a client may send; ids have at most `idChars` characters. */
export function clientFramesFor(idChars: number) {
  const { Chosen, Session, Id } = idsFor(idChars);
  return {
    auth: z.object({
      type: z.literal('auth'),
      token: z.string().max(4_096).nullish(),
      /** Chosen by the client; under it, it gets what it missed. Absent: one is made for this socket. */
      client_id: Chosen.nullish(),
      capabilities: z.array(z.string().max(64)).max(32).optional(),
    }),
    message: z.object({
      type: z.literal('message'),
      text: z.string().transform((text) => text.replaceAll(/\p{Cs}/gu, '\ufffd')),
      session_id: Session.default('default'),
      /** Idempotency key: the same id from the same client is the same message, however often it is sent. */
      id: Id.optional(),
      attachments: z.array(Attachment).max(64).nullish(),
    }),
    command: z.object({
      type: z.literal('command'),
      name: z.string().max(64),
      /** Where given, `stop` and `clear` act on this session only. */
      session_id: Session.optional(),
      id: Id.optional(),
    }),
    ping: z.object({ type: z.literal('ping'), id: Id.optional() }),
    /** Only with the capability `resume`: what was missed of the running or last turn of a session, then the rest live. */
    resume: z.object({
      type: z.literal('resume'),
      session_id: Session.default('default'),
      /** The `seq` of the last `delta` that came; 0: none did. */
      after_seq: z.number().int().min(0),
      /** Another turn than the running or last one. */
      turn_id: z.string().max(64).optional(),
      id: Id.optional(),
    }),
    /** Once more with `follow: true`: the new filter replaces the one before. */
    logs: z.object({
      type: z.literal('logs'),
      follow: z.boolean(),
      /** The beginning of the event's name. */
      event: z.string().max(256).optional(),
      level: z.enum(LOG_LEVELS).optional(),
      id: Id.optional(),
    }),
    /** The answer to an `approval_request`; the first one counts. */
    approval: z.object({
      type: z.literal('approval'),
      approval_id: z.string().min(1).max(64),
      decision: z.enum(['allow', 'deny']),
      id: Id.optional(),
    }),
  } as const;
}

export const clientFrames = clientFramesFor(DEFAULT_LIMITS.idChars);

export type ClientFrameType = keyof typeof clientFrames;
export type ClientFrame = { [K in ClientFrameType]: z.output<(typeof clientFrames)[K]> }[ClientFrameType];
export type FrameOf<K extends ClientFrameType> = z.output<(typeof clientFrames)[K]>;

const Id = z.string().min(1);
const turn = { turn_id: z.string(), id: Id.optional() };

/** `percent` of the money of a UTC month (`2026-11`) or day (`2026-11-22`) is spent. */
const BudgetReached = z.object({
  percent: z.number(),
  period: z.string(),
  budget_usd: z.number(),
  spent_usd: z.number(),
});

export const serverFrames = {
  auth_ok: z.object({
    type: z.literal('auth_ok'),
    agent_name: z.string(),
    version: z.string(),
    client_id: z.string(),
    /** Present when the client sent `capabilities`. */
    capabilities: z.array(z.enum(CAPABILITIES)).optional(),
    /** Present with `capabilities`: the agent's limits by their names in the configuration. */
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
    /** What came before this one and has a higher seq than this is void: the model began that step again. */
    void_after: z.number().int().min(0).optional(),
    ...turn,
  }),
  /** Only with the capability `tools`. `done` and `error` end what `running` began, by `call_id`. */
  tool: z.object({
    type: z.literal('tool'),
    session_id: SessionId,
    call_id: z.string(),
    tool: z.string(),
    status: z.enum(['running', 'progress', 'done', 'error']),
    /** Of `running`. */
    input: z.unknown().optional(),
    /** Of `progress`. */
    text: z.string().optional(),
    /** Of `done` and `error`, as the model was given it; long ones are cut. */
    result: z.string().optional(),
    ...turn,
  }),
  /** The answer to `resume`. What follows: missed pieces, then the terminal frame, or the turn live. */
  resumed: z.object({
    type: z.literal('resumed'),
    session_id: SessionId,
    /** `none`: nothing is known of such a turn. */
    state: z.enum(['none', 'waiting', 'running', 'ended']),
    turn_id: z.string().optional(),
    id: Id.optional(),
  }),
  /** Ends a turn well. */
  response: z.object({
    type: z.literal('response'),
    text: z.string(),
    session_id: SessionId,
    attachments: z.array(Attachment).min(1).nullable(),
    model: z.string().nullable(),
    /** Absent: the model had said all. `length`: it was cut at its limit; `content_filter`: by a filter of its provider. */
    finish_reason: z.enum(['length', 'content_filter']).optional(),
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
  /** The answer to a `logs` frame. */
  logs: z.object({ type: z.literal('logs'), follow: z.boolean(), id: Id.optional() }),
  /** What was logged, as it stands in the file. `dropped`: entries behind these that the client was too slow for. */
  log: z.object({
    type: z.literal('log'),
    entries: z.array(z.looseObject({ ts: z.number(), event: z.string() })),
    dropped: z.int().min(1).optional(),
  }),
  /** Only with the capability `resources`. `changed`: more than can be told one by one; read all of it again. */
  resource_event: z.object({
    type: z.literal('resource_event'),
    resource: z.enum(['config', 'vault', 'scheduled_task', 'mcp', 'budget']),
    action: z.enum(['created', 'updated', 'deleted', 'changed']),
    /** Of a budget: `month` or `day`. */
    id: z.string().optional(),
    /** Of a budget: what has been reached. */
    details: BudgetReached.optional(),
  }),
  /** Only with the capability `approvals`, like the next one: may this tool be called with exactly these arguments? */
  approval_request: z.object({
    type: z.literal('approval_request'),
    approval_id: z.string(),
    session_id: SessionId,
    turn_id: z.string(),
    tool: z.string(),
    arguments: z.record(z.string(), z.unknown()),
    /** Unix time in seconds; then it is denied. */
    expires_at: z.number(),
  }),
  /** Nobody needs to answer it any more. */
  approval_resolved: z.object({
    type: z.literal('approval_resolved'),
    approval_id: z.string(),
    session_id: SessionId,
    turn_id: z.string(),
    decision: z.enum(['allow', 'deny', 'expired', 'cancelled']),
  }),
} as const;

export type ServerFrame = {
  [K in keyof typeof serverFrames]: z.output<(typeof serverFrames)[K]>;
}[keyof typeof serverFrames];

export type AttachmentInfo = z.output<typeof Attachment>;

export type FrameResult =
  | { readonly frame: ClientFrame }
  /** No type, or one nobody knows: ignored, as the reference does. */
  | { readonly ignored: true }
  | { readonly invalid: string; readonly details: unknown };

export type ParseFrame = (text: string) => FrameResult;

/** The parser never throws. It takes one whole WebSocket text frame. */
export function createFrameParser({ idChars }: { readonly idChars: number }): ParseFrame {
  const schemas = clientFramesFor(idChars);
  return (text) => parseFrame(text, schemas);
}

function parseFrame(text: string, schemas: typeof clientFrames): FrameResult {
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
  if (typeof type !== 'string' || !Object.hasOwn(schemas, type)) return { ignored: true };
  const result = safeParse<ClientFrame, z.core.$ZodIssue>(schemas[type as ClientFrameType], raw);
  if (result.success) return { frame: result.data };
  const issue = result.error.issues[0];
  const path = issue?.path.join('.') ?? '';
  return {
    invalid: `Invalid ${type} frame: ${path ? `${path}: ` : ''}${issue?.message ?? 'not understood'}`,
    details: result.error.issues.slice(0, 8).map(({ path, message }) => ({ path: path.join('.'), message })),
  };
}
