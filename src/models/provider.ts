/** One model call. Providers translate to and from this and do nothing else. */
export interface ModelRequest {
  readonly model: string | undefined;
  readonly system: string;
  readonly messages: readonly ModelMessage[];
  /** Aborted when nobody wants the answer any more; made when it is first looked at. */
  readonly signal: AbortSignal;
}

export type ModelMessage = { readonly role: 'user' | 'assistant'; readonly text: string };

/** A stream is zero or more parts and exactly one `finish`, or it throws an AppError. */
export type StreamPart =
  | { readonly type: 'text'; readonly delta: string }
  | { readonly type: 'finish'; readonly reason: 'stop' | 'length' };

export interface ModelProvider {
  /** The runtime id clients see in `response.model`, e.g. `echo`. */
  readonly runtimeId: string;
  stream(request: ModelRequest): AsyncIterable<StreamPart>;
}
