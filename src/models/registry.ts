/** From `model:` in the configuration to the provider that serves it. */
import type { Clock } from '../contract/clock.ts';
import { AppError, type WireError } from '../contract/errors.ts';
import type { ModelSettings } from '../contract/worker-protocol.ts';
import { createEchoModel } from './echo.ts';
import type { ModelProvider } from './provider.ts';

export function createModel(settings: ModelSettings, clock: Clock): ModelProvider {
  if (settings.provider === 'echo') return createEchoModel({ delayMs: settings.delayMs, clock });
  return createUnavailableModel(settings);
}

/** What clients and tables call the model of these settings. */
export function modelLabel(settings: ModelSettings): string {
  if (settings.provider === 'echo') return 'echo';
  return settings.modelId ? `${settings.provider}:${settings.modelId}` : settings.provider;
}

/** What an operator should know at the start: turns on this model will fail. */
export function modelWarning(settings: ModelSettings): WireError | undefined {
  return settings.provider === 'echo' ? undefined : AppError.toWire(unavailable(settings));
}

function unavailable(settings: ModelSettings): AppError {
  return new AppError(
    'model.unavailable',
    `The model ${modelLabel(settings)} is not available in this version. Set "model: { provider: echo }" in openagent.yaml, or use a version that serves it.`,
  );
}

/** A directory of the reference opens with any model it knew; a turn on one that is not here says so. */
function createUnavailableModel(settings: ModelSettings): ModelProvider {
  const fails = { next: () => Promise.reject(unavailable(settings)) };
  return {
    runtimeId: modelLabel(settings),
    stream: () => ({ [Symbol.asyncIterator]: () => fails }),
  };
}
