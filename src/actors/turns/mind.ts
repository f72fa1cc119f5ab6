/**
 * What the turns of an agent that thinks are given beside the journal, and what the runner asks of it. Everything is
 * optional but the model: an agent may have no tools, no budget and nothing to remember.
 */
import type { ClientKey, SessionId } from '../../contract/client-key.ts';
import type { Clock } from '../../contract/clock.ts';
import type { ErrorCode } from '../../contract/errors.ts';
import type { AttachmentInfo } from '../../contract/frames.ts';
import type { Limits } from '../../contract/limits.ts';
import type { Outlet } from '../../gateway/ws/turn-service.ts';
import type { Log } from '../../logging/log.ts';
import type { ProgramEvent } from '../../models/claude-cli.ts';
import type { FinishReason, ImagePart, ModelProvider, StreamPart } from '../../models/provider.ts';
import type { Conversations } from '../../sessions/conversation.ts';
import type { Summaries } from '../../sessions/summaries.ts';
import type { SystemPromptParts } from '../../sessions/system-prompt.ts';
import type { EndState } from '../../storage/turn-record.ts';
import type { TurnSteps } from '../../storage/turn-steps.ts';
import type { ToolRunner } from '../../tools/run-tool.ts';
import type { Tool } from '../../tools/tool.ts';
import type { CallSlots } from './call-slots.ts';
import type { Turn } from './turn.ts';

/** Sets money aside before a model is called, and takes down what the call was. */
export interface CallMeter {
  /** The provider has told what a call took. */
  take(part: Extract<StreamPart, { type: 'usage' }>, emittedChars: number): Promise<void> | void;
  /** The last one told nothing of itself, because it was stopped, or failed in a way nobody foresaw. */
  end(emittedChars: number, error: ErrorCode | undefined): void;
}

export interface CallPlan {
  /** Runtime id that was asked for; undefined: the agent's own. */
  readonly model: string | undefined;
  readonly kind: 'chat' | 'summary';
  readonly sessionId: SessionId;
  readonly turnId?: string;
  readonly inputTokens: number;
  readonly signal: AbortSignal;
}

export interface MindParts {
  readonly model: ModelProvider;
  readonly steps: TurnSteps;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: Pick<Limits, 'toolSteps'>;
  readonly systemPrompt: (parts: Omit<SystemPromptParts, 'own' | 'agentName' | 'nowMs'>) => string;
  /** Runtime id for a client that has one of its own in the configuration. */
  readonly modelOfClient?: (client: ClientKey) => string | undefined;
  readonly conversations?: Conversations;
  readonly summaries?: Summaries;
  /** What may be called now, asked before each step. */
  readonly tools?: () => Promise<readonly Tool[]>;
  readonly toolRunner?: ToolRunner;
  /** Rejects with `budget.exceeded` when no more may be spent. */
  readonly meter?: (plan: CallPlan) => Promise<CallMeter>;
  /** Of the files of a message those that the model can be shown; `unseen`: there are some, and it sees nothing. */
  readonly images?: (
    attachments: readonly AttachmentInfo[],
    model: string | undefined,
  ) => Promise<readonly ImagePart[] | 'unseen'>;
  readonly enterModel?: (detail: string) => () => void;
  readonly onProgress: () => void;
}

/** A program that keeps its conversations and calls its tools by itself: a turn is handed to it whole. */
export interface Delegate {
  run(task: DelegatedTask): Promise<void>;
}

export interface DelegatedTask {
  readonly turn: Pick<Turn, 'rowId' | 'turnId' | 'sessionId'>;
  readonly prompt: string;
  /** Of the runtime id, what stands behind the program's name. */
  readonly model: string | undefined;
  readonly tools: readonly Tool[];
  readonly system: string;
  readonly signal: AbortSignal;
  onEvent(event: DelegateEvent): void;
}

export type DelegateEvent =
  | ProgramEvent
  /** For people who wait. */
  | { readonly type: 'report'; readonly text: string };

/** What a turn asks of the runner. */
export interface MindHost {
  readonly slots: CallSlots;
  /** The socket that frames of this turn go to now. */
  outletOf(turn: Turn): Outlet | undefined;
}

export interface Answer {
  readonly text: string;
  /** Runtime id that answered. */
  readonly model: string;
  /** Absent: it had said all. */
  readonly cutBy?: AnswerCut;
}

export type AnswerCut = Extract<FinishReason, 'length' | 'content_filter'>;

/** One turn at work. */
export interface Thought {
  /** Rejects as the model does, or with the cause of the turn's call when it was ended from outside. */
  run(): Promise<Answer>;
  /** What is to be written with the outcome; undefined: nothing of this turn is remembered. */
  memoryOf(state: EndState): (() => void) | undefined;
  /** The outcome is durable. */
  ended(): void;
}

export interface Mind {
  /** Whether this turn is more than a text that the echo model says back. Asked of every turn. */
  takes(turn: Turn): boolean;
  /** Made when a turn needs it. */
  open(): Promise<{ begin(turn: Turn, host: MindHost): Thought }>;
}
