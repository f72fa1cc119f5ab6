/** From `model:` in the configuration to the provider that serves it. */
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { ModelSettings } from '../contract/worker-protocol.ts';
import { createEchoModel } from './echo.ts';
import type { ModelProvider, StreamPart } from './provider.ts';

export function createModel(settings: ModelSettings, clock: Clock): ModelProvider {
  if (settings.provider === 'echo') return createEchoModel({ delayMs: settings.delayMs, clock });
  return createUnavailableModel(settings);
}

/** What clients and tables call the model of these settings. */
export function modelLabel(settings: ModelSettings): string {
  if (settings.provider === 'echo') return 'echo';
  return settings.modelId ? `${settings.provider}:${settings.modelId}` : settings.provider;
}

/** A directory of the reference opens with any model it knew; a turn on one that is not here says so. */
function createUnavailableModel(settings: ModelSettings): ModelProvider {
  const label = modelLabel(settings);
  return {
    runtimeId: label,
    // biome-ignore lint/correctness/useYield: a stream that fails before its first part.
    async *stream(): AsyncGenerator<StreamPart> {
      throw new AppError(
        'model.unavailable',
        `The model ${label} is not available in this version. Set "model: { provider: echo }" in openagent.yaml, or use a version that serves it.`,
      );
    },
  };
}
