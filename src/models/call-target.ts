/** Which model a call goes to, and whether everything it needs is there. */
import { AppError } from '../contract/errors.ts';
import type { ModelSettings, ProviderSettings } from '../contract/model-settings.ts';
import { formatRuntimeId, parseRuntimeId } from '../contract/runtime-id.ts';
import { unaliased, vendorOf } from '../contract/vendors.ts';

export interface CallTarget {
  readonly runtimeId: string;
  readonly provider: string;
  readonly model: string;
  /** How people call the provider. */
  readonly label: string;
  readonly settings: ProviderSettings;
}

/** Throws `model.unconfigured` or `model.unavailable`, with the key to set. */
export function targetOf(runtimeId: string, settings: ModelSettings): CallTarget {
  const { provider: named, model } = parseRuntimeId(runtimeId);
  const provider = unaliased(named);
  if (provider === 'claude-cli') throw claudeCliUnavailable(model);
  const found = Object.hasOwn(settings.providers, provider) ? settings.providers[provider] : undefined;
  if (found === undefined)
    throw unconfigured(provider, `There is no provider "${provider}". ${ADD_PROVIDER}`);
  const label = labelOf(provider);
  if (!model) {
    const example = 'such as model: { provider: openai, model_id: gpt-4.1-mini }';
    throw unconfigured(
      provider,
      `No model of ${label} is named. Set model.model_id in openagent.yaml, ${example}.`,
    );
  }
  if (found.baseUrl === undefined) {
    throw unconfigured(
      provider,
      `Where ${label} is, is not said. Set providers.${provider}.base_url in openagent.yaml.`,
    );
  }
  if (found.needsKey && !found.apiKey)
    throw unconfigured(provider, `${label} needs an API key. ${keyMend(provider)}`);
  return { runtimeId: formatRuntimeId({ provider, model }), provider, model, label, settings: found };
}

const ADD_PROVIDER =
  'Add providers.<name>.base_url and api_key to openagent.yaml, or write the model as provider:model with a provider that is there.';

function unconfigured(provider: string, message: string): AppError {
  return new AppError('model.unconfigured', message, { details: { provider } });
}

/** It is handed whole turns; what asks for one answer only cannot ask it. */
function claudeCliUnavailable(model: string | undefined): AppError {
  const id = model ?? 'claude-sonnet-4-6';
  return new AppError(
    'model.unavailable',
    `claude-cli holds conversations and cannot be asked a single question. Use anthropic:${id} for this, with a key of the Anthropic API in ANTHROPIC_API_KEY or providers.anthropic.api_key.`,
    { details: { provider: 'claude-cli' } },
  );
}

export function labelOf(provider: string): string {
  return vendorOf(provider)?.label ?? provider;
}

/** Which key to set where. */
export function keyMend(provider: string): string {
  const variables = vendorOf(provider)?.keyVariables ?? [];
  const also = variables.length > 0 ? `, or the environment variable ${variables.join(' or ')}` : '';
  return `Set providers.${provider}.api_key in openagent.yaml${also}, and restart the agent.`;
}
