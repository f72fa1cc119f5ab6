import type { ErrorCode } from '../contract/errors.ts';

/** One model call: one step of a turn. Providers translate to and from this and do nothing else. */
export interface ModelRequest {
  /** The turn it belongs to: what was decided for its first step holds for the others. */
  readonly turnId?: string;
  /** Runtime id, `provider:model`; undefined: the provider's own. */
  readonly model: string | undefined;
  readonly system: string;
  readonly messages: readonly ModelMessage[];
  /** What the model may call; absent: nothing. */
  readonly tools?: readonly ToolSpec[];
  /** Aborted when nobody wants the answer any more; made when it is first looked at. */
  readonly signal: AbortSignal;
  /** Around a pause between two calls: others may call meanwhile. Absent: nobody waits for that. */
  readonly rest?: (pause: () => Promise<void>) => Promise<void>;
}

export type ModelMessage =
  | { readonly role: 'user'; readonly text: string; readonly images?: readonly ImagePart[] }
  | {
      readonly role: 'assistant';
      readonly text: string;
      readonly toolCalls?: readonly ToolCall[];
      /** What the provider wants to see again with this message (signatures of its reasoning), as JSON. */
      readonly providerData?: unknown;
    }
  | { readonly role: 'tool'; readonly results: readonly ToolAnswer[] };

export interface ImagePart {
  /** `image/png`. */
  readonly mediaType: string;
  /** Absolute path inside the agent's directory; read when the call is made. */
  readonly path: string;
}

export interface ToolSpec {
  /** What the model calls it: letters, digits, `_` and `-`, at most 64. */
  readonly name: string;
  readonly description: string;
  /** JSON Schema of its input, an object. */
  readonly inputSchema: Readonly<Record<string, unknown>>;
}

export interface ToolCall {
  /** As the provider named it; unique within a turn. */
  readonly id: string;
  readonly name: string;
  /** Parsed JSON, not yet checked against the schema. */
  readonly input: unknown;
}

export interface ToolAnswer {
  readonly id: string;
  readonly name: string;
  readonly text: string;
  readonly isError: boolean;
}

/** Tokens of one call, as the provider counted them; undefined where it did not say. */
export interface TokenUsage {
  readonly input: number | undefined;
  readonly output: number | undefined;
  readonly cacheRead: number | undefined;
  readonly cacheWrite: number | undefined;
  /** Part of `output`. */
  readonly reasoning: number | undefined;
  /** Dollars, where the provider itself says what it cost. */
  readonly costUsd?: number;
}

export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'content_filter' | 'other';

/**
 * A stream is zero or more parts and exactly one `finish`, or it throws an AppError with a code that begins with
 * `model.`. There is one `usage` for every call that went out, before `finish` or before the throw: several where a
 * classifier was asked, or where a call failed and another one was made.
 */
export type StreamPart =
  | { readonly type: 'text'; readonly delta: string }
  | { readonly type: 'reasoning'; readonly delta: string }
  | { readonly type: 'tool_call'; readonly call: ToolCall }
  | {
      readonly type: 'usage';
      readonly usage: TokenUsage;
      /** Runtime id of the model that was really called. */
      readonly model: string;
      /** Absent: the answer itself. */
      readonly purpose?: 'classifier';
      /** Absent: it ended well. */
      readonly failed?: ErrorCode;
    }
  | { readonly type: 'finish'; readonly reason: FinishReason; readonly providerData?: unknown };

export interface ModelProvider {
  /** The runtime id clients see in `response.model`, e.g. `echo`. */
  readonly runtimeId: string;
  stream(request: ModelRequest): AsyncIterable<StreamPart>;
}

/** What the user said last. */
export function lastUserText(messages: readonly ModelMessage[]): string {
  const last = messages.findLast(({ role }) => role === 'user');
  return last?.role === 'user' ? last.text : '';
}
