/**
 * Frames of the fleet gateway's WebSocket (`/ws`). A client says what it wants to hear by `follow`, again to change it;
 * the answer is `following`, and from then on the wanted ones come. A client that reads too slowly is cut with 1013.
 */
import { z } from 'zod';
import { FleetEvent } from './schemas.ts';

const Ids = z.array(z.string().max(256)).max(1_000);

export const FleetClientFrame = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('follow'),
    /** Fleet events; `since_seq`: those after it that are still kept come first. */
    events: z.strictObject({ since_seq: z.int().nonnegative().optional() }).optional(),
    /** Log entries of agents as they are written; `agents` empty: all of them, also those added later. */
    logs: z.strictObject({ agents: Ids.default([]), event: z.string().max(256).default('') }).optional(),
  }),
  z.strictObject({ type: z.literal('ping') }),
]);
export type FleetClientFrame = z.output<typeof FleetClientFrame>;

export const FleetServerFrame = z.discriminatedUnion('type', [
  /** `next_seq`: the number the next event will have. */
  z.object({ type: z.literal('following'), next_seq: z.int().positive() }),
  z.object({ type: z.literal('event'), event: FleetEvent }),
  z.object({
    type: z.literal('log'),
    agent: z.string(),
    entry: z.looseObject({ ts: z.number(), event: z.string() }),
  }),
  /** That many log entries of the agent were left out, because this client or the disk was too slow. */
  z.object({ type: z.literal('log_skipped'), agent: z.string(), entries: z.int().positive() }),
  z.object({ type: z.literal('pong') }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string() }),
]);
export type FleetServerFrame = z.output<typeof FleetServerFrame>;
