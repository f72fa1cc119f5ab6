/** What a model can call, wherever it comes from: built in, or of an MCP server. */
import type { ToolDecision } from '../contract/tool-settings.ts';
import type { ToolSpec } from '../models/provider.ts';

/**
 * What it means to run a call a second time after a crash in the middle of the first. `none`: it only looks. `repeatable`:
 * twice is as once. `unsafe`: it must never run twice by itself, which is also what nobody has said anything about is.
 */
export type ToolEffect = 'none' | 'repeatable' | 'unsafe';

export interface Tool extends ToolSpec {
  readonly effect: ToolEffect;
  /** Where the configuration says nothing of it; absent: allow. */
  readonly defaultDecision?: ToolDecision;
  /** Time for a call, in milliseconds, where the usual one does not fit it. */
  readonly timeoutMs?: number;
  /** What is wrong with an input, for the model to mend; nobody is asked about a call that cannot be made. */
  check?(input: unknown): string | undefined;
  /** Resolves also for failures of the tool's own, with `isError`; rejects with an AppError, or with the signal's reason. */
  run(input: unknown, context: ToolContext): Promise<ToolResult>;
}

export interface ToolContext {
  /** Aborted by `stop`, a drain, or the call's own time limit. */
  readonly signal: AbortSignal;
  readonly turnId: string;
  readonly sessionId: string | number | null;
  /** For people who wait; may be called often. */
  report(progress: string): void;
}

export interface ToolResult {
  /** What the model reads; cut to `tool_output_chars` by whoever runs the tool. */
  readonly text: string;
  readonly isError?: boolean;
}

/** Where tools come from. A source that is lost offers none until it is back; a turn takes what is there when it begins a step. */
export interface ToolSource {
  /** Before the `_` of its tools' names, and what the configuration calls it. */
  readonly name: string;
  tools(): readonly Tool[];
}
