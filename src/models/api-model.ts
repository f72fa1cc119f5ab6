/**
 * Models behind HTTP: which one a request goes to, and what happens when it fails. Once anything of an answer was seen,
 * nothing is tried again: a second beginning after the first would be read as one text.
 */
import type { Clock } from '../contract/clock.ts';
import { AppError, type ErrorCode } from '../contract/errors.ts';
import type { ModelSettings } from '../contract/model-settings.ts';
import { formatRuntimeId } from '../contract/runtime-id.ts';
import { type CallTarget, targetOf } from './call-target.ts';
import { createLanguageModels } from './language-model.ts';
import { type Caller, callOnce } from './one-call.ts';
import { pause } from './pause.ts';
import { createProgressWatcher } from './progress-watch.ts';
import type { ModelProvider, ModelRequest, StreamPart } from './provider.ts';
import { createTierChoice, type TierChoice } from './tier-choice.ts';
import { maySee, showsImages, withoutImages } from './vision.ts';

export interface ModelHooks {
  /** What is left of the month's money, from 1 to 0; undefined: there is no limit. Asked before every call. */
  budgetRatio?(): number | undefined;
  /** Something for the log: `model.retry`, `model.fallback`, `model.route`, `model.classifier_failed`. */
  note?(event: string, fields: Readonly<Record<string, unknown>>): void;
}

export interface ApiModelOptions {
  readonly settings: ModelSettings;
  readonly clock: Clock;
  readonly hooks: ModelHooks;
}

export interface CallContext extends ApiModelOptions {
  readonly caller: Caller;
}

/** Worth the same call again at once; a timeout is not: whoever waits has waited long enough. */
const RETRIED: readonly ErrorCode[] = [
  'model.rate_limited',
  'model.overloaded',
  'model.network',
  'model.garbage',
  'model.empty',
];
/** Another model would say the same. */
const FINAL: readonly ErrorCode[] = ['model.context_too_long', 'model.content_filter'];

export function createApiModel(options: ApiModelOptions): ModelProvider {
  const { settings } = options;
  const watcher = createProgressWatcher();
  const context = { ...options, caller: { watcher, models: createLanguageModels(watcher.fetch) } };
  const choice = settings.routing && createTierChoice(settings.routing, context);
  return {
    runtimeId: formatRuntimeId({ provider: settings.provider, model: settings.modelId }),
    stream: (request) => answer(request, context, choice),
  };
}

async function* answer(
  request: ModelRequest,
  context: CallContext,
  choice: TierChoice | undefined,
): AsyncGenerator<StreamPart, void> {
  const { settings, hooks } = context;
  const candidates: string[] = [];
  if (request.model !== undefined && request.model !== 'smart') candidates.push(request.model);
  else if (choice) candidates.push(...(yield* choice(request)));
  else candidates.push(formatRuntimeId({ provider: settings.provider, model: settings.modelId }));
  const all = inSight([...new Set([...candidates, ...settings.fallbacks])], request, settings);
  const seen = { output: false };
  for (const [at, runtimeId] of all.entries()) {
    const shown = maySee(runtimeId, settings) ? request : withoutImages(request);
    try {
      return yield* callWithRetries(targetOf(runtimeId, settings), shown, context, seen);
    } catch (error) {
      const next = all[at + 1];
      if (!AppError.is(error) || seen.output || next === undefined || FINAL.includes(error.code)) throw error;
      if (wasLast(error, hooks)) throw error;
      hooks.note?.('model.fallback', { from: runtimeId, to: next, code: error.code, error: error.message });
    }
  }
}

/** Where the first one is shown images, whoever cannot see them is the last resort. */
function inSight(all: readonly string[], request: ModelRequest, settings: ModelSettings): readonly string[] {
  const sees = (runtimeId: string) => maySee(runtimeId, settings);
  if (!showsImages(request) || !all.slice(0, 1).some(sees)) return all;
  return [...all.filter(sees), ...all.filter((runtimeId) => !sees(runtimeId))];
}

async function* callWithRetries(
  target: CallTarget,
  request: ModelRequest,
  context: CallContext,
  seen: { output: boolean },
): AsyncGenerator<StreamPart, void> {
  const { settings, clock, hooks, caller } = context;
  const { stallMs, progressMs } = settings;
  const options = { stallMs, progressMs, clock, caller };
  for (let attempt = 0; ; attempt++) {
    try {
      for await (const part of callOnce(target, request, options)) {
        seen.output ||= part.type !== 'usage';
        yield part;
      }
      return;
    } catch (error) {
      if (!AppError.is(error) || seen.output || !RETRIED.includes(error.code)) throw error;
      if (wasLast(error, hooks)) throw error;
      const delayMs = pauseBefore(attempt, error, settings.retry);
      if (delayMs === undefined) throw error;
      hooks.note?.('model.retry', {
        model: target.runtimeId,
        code: error.code,
        delay_ms: Math.round(delayMs),
      });
      const { signal, rest } = request;
      const wait = () => pause(delayMs, clock, signal);
      await (rest ? rest(wait) : wait());
      signal.throwIfAborted();
    }
  }
}

/** An empty answer costs what others do: where it took the last of the money, another call would be beyond the budget. */
function wasLast({ code }: AppError, { budgetRatio }: ModelHooks): boolean {
  return code === 'model.empty' && budgetRatio?.() === 0;
}

/** Undefined: enough, or the provider wants a longer pause than anybody would wait for. */
export function pauseBefore(
  attempt: number,
  error: AppError,
  retry: ModelSettings['retry'],
): number | undefined {
  if (attempt >= retry.count) return undefined;
  const bound = Math.min(retry.backoffMsMax, retry.backoffMsMin * 2 ** attempt);
  const wanted = (error.details as { readonly retry_after_ms?: number } | undefined)?.retry_after_ms;
  if (wanted === undefined) return Math.random() * bound;
  return wanted > retry.retryAfterMsMax ? undefined : wanted + Math.random() * Math.min(bound, wanted / 4);
}
