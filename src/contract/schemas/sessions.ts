/** Schemas of the rows in `routes/sessions.ts`. Times are seconds since the epoch. */
import { z } from 'zod';
import type { RouteSchemas } from '../route.ts';
import type { SESSION_ROUTES } from '../routes/sessions.ts';

const PAGE = { default: 50, max: 200 } as const;

const ListQuery = z.object({
  limit: z.coerce.number().int().min(1).max(PAGE.max).default(PAGE.default),
  offset: z.coerce.number().int().min(0).default(0),
});

const HistoryQuery = z.object({
  limit: z.coerce.number().int().min(1).max(PAGE.max).default(PAGE.default),
  /** The `turn_id` of the oldest turn that is known already. */
  before: z.string().max(64).optional(),
});

const Session = z.object({
  /** As clients send it: text, number or null. */
  session_id: z.union([z.string(), z.number(), z.null()]),
  title: z.string().nullable(),
  /** Runtime id that was chosen for it. */
  model: z.string().nullable(),
  turns: z.number().int(),
  created_at: z.number(),
  updated_at: z.number(),
});

const Message = z.object({
  role: z.enum(['user', 'assistant', 'tool']),
  text: z.string(),
  /** Of `assistant`: the tools it called. Of `tool`: the one that answered. */
  tools: z.array(z.string()),
});

const Turn = z.object({
  turn_id: z.string(),
  /** False: its client began afresh since, or it is told by the summary. */
  in_context: z.boolean(),
  messages: z.array(Message),
});

const History = z.object({
  summary: z.string().nullable(),
  turns: z.array(Turn),
  /** There are older ones. */
  more: z.boolean(),
});

export type SessionInfo = z.output<typeof Session>;
export type SessionHistory = z.output<typeof History>;

export const SESSION_SCHEMAS = {
  listSessions: { query: ListQuery, response: z.object({ sessions: z.array(Session) }) },
  getSessionHistory: { query: HistoryQuery, response: History },
  setSessionModel: {
    body: z.strictObject({ model: z.string().trim().min(1).max(256).nullable() }),
    response: z.object({ ok: z.literal(true), model: z.string().nullable() }),
  },
  deleteSession: { response: z.object({ ok: z.literal(true) }) },
} as const satisfies RouteSchemas<typeof SESSION_ROUTES>;
