/**
 * One HTTP call of one model, from a request to parts: no retry, no second model. Ends with `finish`, or throws an
 * AppError, and tells its usage either way.
 */
import type { LanguageModelV3StreamPart, SharedV3ProviderMetadata } from '@ai-sdk/provider';
import type { Clock } from '../contract/clock.ts';
import type { AppError, ErrorCode } from '../contract/errors.ts';
import type { CallTarget } from './call-target.ts';
import { UNKNOWN_USAGE, usageInChunk, usageOf } from './call-usage.ts';
import { CALL_OPTIONS, type LanguageModels } from './language-model.ts';
import { classifyFailure, isDefect, modelError, stalled } from './model-errors.ts';
import type { ProgressWatch, ProgressWatcher } from './progress-watch.ts';
import { type AnswerShape, type ShapePart, toPrompt, toTools, wantsReasoning } from './prompt.ts';
import type { FinishReason, ModelRequest, StreamPart, TokenUsage } from './provider.ts';

/** What all calls of an agent share. */
export interface Caller {
  readonly models: LanguageModels;
  readonly watcher: ProgressWatcher;
}

export interface OneCallOptions {
  readonly caller: Caller;
  readonly stallMs: number;
  readonly progressMs: number;
  readonly clock: Clock;
  readonly purpose?: 'classifier';
}

type Finish = Extract<LanguageModelV3StreamPart, { type: 'finish' }>;

export async function* callOnce(
  target: CallTarget,
  request: ModelRequest,
  options: OneCallOptions,
): AsyncGenerator<StreamPart, void> {
  const { signal } = request;
  const { caller, stallMs, progressMs, clock } = options;
  const watch = caller.watcher.watch({ signal, stallMs, progressMs, clock });
  const answer = new Answer(target);
  const usage = (failed?: ErrorCode): StreamPart => ({
    type: 'usage',
    usage: answer.usage,
    model: target.runtimeId,
    ...(options.purpose === undefined ? {} : { purpose: options.purpose }),
    ...(failed === undefined ? {} : { failed }),
  });
  let isRead = false;
  try {
    for await (const part of await openStream(target, request, caller, watch)) {
      if (isPiece(part)) watch.progressed();
      const ours = answer.take(part);
      if (ours === undefined) continue;
      yield ours;
      watch.spoke();
      // However long it took whoever is told.
      watch.progressed();
    }
    isRead = true;
    const finish = answer.finish();
    yield usage();
    yield finish;
  } catch (error) {
    if (signal.aborted) {
      yield usage('turn.cancelled');
      throw signal.reason;
    }
    const missed = watch.missed();
    if (missed === undefined && isDefect(error)) {
      yield usage('internal');
      throw error;
    }
    const failure = missed === undefined ? classifyFailure(error, target) : stalled(missed, target);
    yield usage(failure.code);
    throw failure;
  } finally {
    watch.end(isRead ? 'leave' : 'close');
  }
}

/** Not an empty delta: what says nothing for ever is a sign of life at best. */
function isPiece(part: LanguageModelV3StreamPart): boolean {
  switch (part.type) {
    case 'text-delta':
    case 'reasoning-delta':
    case 'tool-input-delta':
      return part.delta !== '';
    case 'tool-input-start':
    case 'tool-call':
    case 'file':
    case 'source':
      return true;
    default:
      return false;
  }
}

async function openStream(
  target: CallTarget,
  request: ModelRequest,
  { models }: Caller,
  watch: ProgressWatch,
): Promise<ReadableStream<LanguageModelV3StreamPart>> {
  const model = await models(target);
  const tools = toTools(request.tools, target);
  const { stream } = await model.doStream({
    prompt: await toPrompt(request, target),
    ...(tools === undefined ? {} : { tools }),
    abortSignal: watch.signal,
    includeRawChunks: true,
    providerOptions: CALL_OPTIONS,
  });
  return stream;
}

/** What has come of an answer so far. */
class Answer {
  usage: TokenUsage = UNKNOWN_USAGE;
  readonly #target: CallTarget;
  readonly #parts: NotedPart[] = [];
  #hasEvents = false;
  #hasOutput = false;
  #hasCalls = false;
  #finish: Finish | undefined;

  constructor(target: CallTarget) {
    this.#target = target;
  }

  /** Throws what the stream tells as an error. */
  take(part: LanguageModelV3StreamPart): StreamPart | undefined {
    switch (part.type) {
      case 'raw':
        this.#hasEvents = true;
        this.usage = usageInChunk(part.rawValue, this.usage);
        return undefined;
      case 'text-delta':
      case 'reasoning-delta':
        return this.#takeDelta(part);
      case 'text-end':
      case 'reasoning-start':
      case 'reasoning-end':
        this.#note(part.type.startsWith('text') ? 'text' : 'reasoning', part.id, '', part.providerMetadata);
        return undefined;
      case 'tool-call':
        this.#hasOutput = true;
        this.#hasCalls = true;
        this.#note('call', part.toolCallId, '', part.providerMetadata);
        return {
          type: 'tool_call',
          call: { id: part.toolCallId, name: part.toolName, input: inputOf(part.input) },
        };
      case 'finish':
        this.#finish = part;
        this.usage = usageOf(part.usage, this.#target);
        return undefined;
      case 'error':
        throw this.#hasEvents ? part.error : this.#noEvents();
      default:
        return undefined;
    }
  }

  /** The last part, if the stream came to a good end; throws otherwise. */
  finish(): StreamPart {
    if (!this.#hasEvents) throw this.#noEvents();
    const { unified, raw } = this.#finish?.finishReason ?? {};
    const reason = this.#isRefused(unified) ? 'content_filter' : REASONS[unified ?? 'other'];
    if (reason === undefined) throw modelError('model.garbage', this.#target, { said: raw });
    // A stream that only stops was cut, however politely.
    if (raw === undefined && reason === 'other')
      throw modelError('model.network', this.#target, { said: CUT });
    if (!this.#hasOutput) {
      const code = reason === 'content_filter' ? 'model.content_filter' : 'model.empty';
      throw modelError(code, this.#target, { said: raw });
    }
    const parts = this.#shape();
    const data: AnswerShape | undefined = parts && { from: this.#target.runtimeId, parts };
    const isForCalls = this.#hasCalls && (reason === 'stop' || reason === 'other');
    const given = data === undefined ? {} : { providerData: data };
    return { type: 'finish', reason: isForCalls ? 'tool_calls' : reason, ...given };
  }

  #noEvents(): AppError {
    return modelError('model.garbage', this.#target, { said: 'no event came' });
  }

  #takeDelta(part: Extract<LanguageModelV3StreamPart, { type: 'text-delta' | 'reasoning-delta' }>) {
    const { id, delta, providerMetadata } = part;
    const isText = part.type === 'text-delta';
    this.#note(isText ? 'text' : 'reasoning', id, delta, providerMetadata);
    if (delta === '') return undefined;
    if (isText) this.#hasOutput = true;
    return isText ? ({ type: 'text', delta } as const) : ({ type: 'reasoning', delta } as const);
  }

  /** Parts stand in the order in which they began; what is told of one later belongs to the same one. */
  #note(
    kind: ShapePart['type'],
    id: string,
    text: string,
    metadata: SharedV3ProviderMetadata | undefined,
  ): void {
    const last = this.#parts.findLast((part) => part.kind === kind && part.id === id);
    // A provider may use one id for all its texts: one behind a call is another one.
    const isLast = last !== undefined && (kind === 'reasoning' || last === this.#parts.at(-1) || text === '');
    if (!isLast) this.#parts.push({ kind, id, text, options: metadata });
    else {
      last.text += text;
      last.options = metadata ?? last.options;
    }
  }

  /** Undefined where the message says it all. */
  #shape(): readonly ShapePart[] | undefined {
    const parts = this.#parts.filter(({ kind, text, options }) => {
      if (kind === 'reasoning') return options !== undefined || wantsReasoning(this.#target);
      return kind === 'call' || text !== '' || options !== undefined;
    });
    const hasReasoning = parts.some(({ kind }) => kind === 'reasoning');
    // OpenAI names every item; the names matter only beside the reasoning they belong to.
    const isNamedOnly = this.#target.settings.wire === 'openai';
    const hasMore = !isNamedOnly && parts.some(({ options }) => options !== undefined);
    return hasReasoning || hasMore ? parts.map(toShapePart) : undefined;
  }

  /** Google says it beside the reason, when it does not even begin. */
  #isRefused(unified: Finish['finishReason']['unified'] | undefined): boolean {
    const feedback = this.#finish?.providerMetadata?.google?.promptFeedback as
      | { readonly blockReason?: unknown }
      | null
      | undefined;
    return unified === 'content-filter' || Boolean(feedback?.blockReason);
  }
}

interface NotedPart {
  readonly kind: ShapePart['type'];
  readonly id: string;
  text: string;
  options: SharedV3ProviderMetadata | undefined;
}

function toShapePart({ kind, id, text, options }: NotedPart): ShapePart {
  const rest = options === undefined ? {} : { options };
  if (kind === 'text') return { type: 'text', chars: text.length, ...rest };
  return kind === 'reasoning' ? { type: 'reasoning', text, ...rest } : { type: 'call', id, ...rest };
}

const CUT = 'the stream ended before the answer did';

const REASONS: Readonly<Record<Finish['finishReason']['unified'], FinishReason | undefined>> = {
  stop: 'stop',
  length: 'length',
  'content-filter': 'content_filter',
  'tool-calls': 'tool_calls',
  error: undefined,
  other: 'other',
};

/** What is no JSON stays text: the check against the tool's schema tells the model so. */
function inputOf(text: string): unknown {
  if (text.trim() === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
