import type { ModelEntry, ModelSettings, ProviderSettings } from './model-settings.ts';
import { parseRuntimeId, type RuntimeId } from './runtime-id.ts';
import { unaliased } from './vendors.ts';

/** What somebody wrote, in the file or in a request: `provider:model`, or a model that stands under one provider. */
export function findModel(written: string, providers: ModelSettings['providers']): RuntimeId | undefined {
  const listed = Object.keys(providers).find((name) =>
    providers[name]?.models.some(({ id }) => id === written),
  );
  if (listed !== undefined) return { provider: listed, model: written };
  const { provider, model } = parseRuntimeId(written);
  const named = unaliased(provider);
  if (model && (named === 'claude-cli' || Object.hasOwn(providers, named))) return { provider: named, model };
  const slash = written.indexOf('/');
  const before = unaliased(written.slice(0, Math.max(0, slash)));
  if (!Object.hasOwn(providers, before)) return undefined;
  return { provider: before, model: written.slice(slash + 1) };
}

/** Of a provider's models, those that may be chosen. */
export function enabledModels(provider: ProviderSettings | undefined): readonly ModelEntry[] {
  return provider?.models.filter(({ id }) => !provider.disabledModels.includes(id)) ?? [];
}
