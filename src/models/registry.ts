/**
 * From `model:` in the configuration to the provider that serves it. Part of every agent's start, so it knows nothing of
 * HTTP: what does is loaded by the first call.
 */
import type { Clock } from '../contract/clock.ts';
import type { WireError } from '../contract/errors.ts';
import { AppError } from '../contract/errors.ts';
import { type ModelSettings, TIERS } from '../contract/model-settings.ts';
import { formatRuntimeId, parseRuntimeId } from '../contract/runtime-id.ts';
import type { ModelHooks } from './api-model.ts';
import { targetOf } from './call-target.ts';
import { claudeNotInstalled, findClaudeSdk } from './claude-program.ts';
import { createEchoModel } from './echo.ts';
import type { ModelProvider, ModelRequest, StreamPart } from './provider.ts';

export function createModel(settings: ModelSettings, clock: Clock, hooks: ModelHooks = {}): ModelProvider {
  const echo = createEchoModel({ delayMs: settings.delayMs, clock });
  const api = createLateModel(settings, clock, hooks);
  const isEcho = (model: string | undefined) => (model ?? settings.provider) === 'echo';
  return {
    runtimeId: modelLabel(settings),
    stream: (request) => (isEcho(request.model) ? echo : api).stream(request),
  };
}

/** What clients and tables call the model of these settings. */
export function modelLabel({ provider, modelId }: ModelSettings): string {
  return formatRuntimeId({ provider, model: modelId });
}

/** What an operator should know at the start: turns on these models will fail, or what was written means none. */
export function modelWarnings(settings: ModelSettings, dir: string): readonly WireError[] {
  const { provider, routing, fallbacks, channels, doubts } = settings;
  const first = routing
    ? TIERS.map((tier) => routing[tier])
    : provider === 'echo'
      ? []
      : [modelLabel(settings)];
  const used = new Set([...first, ...fallbacks, ...Object.values(channels)]);
  const missing = [...used].flatMap((runtimeId) => missingFor(runtimeId, settings, dir));
  const said = new Map(missing.map((warning) => [warning.message, warning]));
  const doubtful = doubts.map((message): WireError => ({ code: 'model.unconfigured', message }));
  return [...said.values(), ...doubtful];
}

function missingFor(runtimeId: string, settings: ModelSettings, dir: string): readonly WireError[] {
  if (runtimeId === 'echo') return [];
  const { provider, model } = parseRuntimeId(runtimeId);
  if (provider === 'claude-cli') {
    return findClaudeSdk(dir) === undefined ? [AppError.toWire(claudeNotInstalled(model))] : [];
  }
  try {
    targetOf(runtimeId, settings);
    return [];
  } catch (error) {
    return [AppError.toWire(error)];
  }
}

/** 10 MB and up to 300 ms for the first call that needs it, nothing before. */
function createLateModel(settings: ModelSettings, clock: Clock, hooks: ModelHooks): ModelProvider {
  let opened: ModelProvider | undefined;
  const stream = async function* (request: ModelRequest): AsyncGenerator<StreamPart, void> {
    opened ??= (await import('./api-model.ts')).createApiModel({ settings, clock, hooks });
    yield* opened.stream(request);
  };
  return { runtimeId: modelLabel(settings), stream };
}
