/**
 * From `model:`, `providers:` and `channels.*.model` to what a thread needs to call models: which provider, where it is,
 * its key, and every model that is named anywhere as a runtime id. What cannot mean a model is told and never guessed.
 */
import type { Config } from '../../contract/config.ts';
import { enabledModels, findModel } from '../../contract/find-model.ts';
import {
  DEFAULT_PROGRESS_MS,
  DEFAULT_RETRY,
  DEFAULT_STALL_MS,
  type ModelEntry,
  type ModelSettings,
  type ProviderSettings,
  type RoutingSettings,
  type TIERS,
} from '../../contract/model-settings.ts';
import { formatRuntimeId, type RuntimeId } from '../../contract/runtime-id.ts';
import { LOCAL_VENDORS, unaliased, VENDORS, vendorOf, type Wire } from '../../contract/vendors.ts';

type ModelSection = NonNullable<Config['model']>;
type Providers = Readonly<Record<string, ProviderSettings>>;
type Env = Readonly<Record<string, string | undefined>>;

/** What the reference calls where nothing else is said. */
const DEFAULT_MODELS: Readonly<Record<string, string>> = { anthropic: 'claude-sonnet-4-6', zai: 'glm-5' };
const DEFAULT_AGNO: RuntimeId = { provider: 'anthropic', model: 'claude-sonnet-4-20250514' };
const OUR_CHANNELS: readonly string[] = ['websocket', 'telegram', 'discord', 'whatsapp'];
const DEFAULT_TIERS = ['openai:gpt-4o-mini', 'openai:gpt-4.1-mini', 'openai:gpt-4.1'] as const;

export function resolveModel(config: Config, env: Env): ModelSettings {
  const section = config.model ?? {};
  const doubts: string[] = [];
  const { provider, model } = chosenModel(section, resolveProviders(config, env), doubts);
  const providers = resolveProviders(config, env, provider);
  const idOf = (written: string | null | undefined, key: string) =>
    runtimeIdOf(written, key, providers, doubts);
  return {
    provider,
    modelId: model,
    delayMs: section.delay_ms ?? 0,
    permissionMode: section.permission_mode ?? config.providers?.['claude-cli']?.permission_mode ?? undefined,
    providers,
    routing: provider === 'smart' ? resolveRouting(section, providers, idOf, doubts) : undefined,
    fallbacks: fallbacksOf(section, provider, idOf),
    monthlyBudget: section.monthly_budget ?? 0,
    dailyBudget: section.daily_budget ?? 0,
    channels: resolveChannels(config.channels, providers, idOf),
    stallMs: section.timeout_ms ?? DEFAULT_STALL_MS,
    progressMs: section.progress_timeout_ms ?? DEFAULT_PROGRESS_MS,
    retry: { ...DEFAULT_RETRY, count: section.retries ?? DEFAULT_RETRY.count },
    doubts,
  };
}

/** Keys that came from the environment: they stand nowhere in the file. */
export function modelSecrets(model: ModelSettings): readonly string[] {
  return Object.values(model.providers).flatMap(({ apiKey }) => (apiKey === undefined ? [] : [apiKey]));
}

/** The reference takes `agno` where a model is named without provider; with neither there is nothing to call. */
function chosenModel(section: ModelSection, providers: Providers, doubts: string[]): RuntimeId {
  const provider = unaliased(section.provider ?? (section.model_id ? 'agno' : 'echo'));
  const written = section.model_id?.trim() || undefined;
  if (provider === 'agno') return agnoModel(written, section, providers, doubts);
  if (provider === 'echo' || provider === 'smart') return { provider, model: undefined };
  const own = `${provider}:`;
  const model = written?.startsWith(own) ? written.slice(own.length) : written;
  return { provider, model: model || defaultModel(provider, providers) };
}

function defaultModel(provider: string, providers: Providers): string | undefined {
  return DEFAULT_MODELS[provider] ?? enabledModels(providers[provider])[0]?.id;
}

function agnoModel(
  written: string | undefined,
  section: ModelSection,
  providers: Providers,
  doubts: string[],
): RuntimeId {
  if (written === undefined) return DEFAULT_AGNO;
  const found = findModel(written, providers);
  if (found) return found;
  // An address of one's own needs no vendor.
  if (!section.base_url) doubts.push(unknownModel('model.model_id', written));
  return { provider: 'openai', model: written };
}

function unknownModel(key: string, written: string): string {
  return `${key}: no provider is known for "${written}". Write it as provider:model, such as openai:${written}, or list it under providers.<name>.models.`;
}

function runtimeIdOf(
  written: string | null | undefined,
  key: string,
  providers: Providers,
  doubts: string[],
): string | undefined {
  const text = written?.trim();
  if (!text) return undefined;
  const found = findModel(text, providers);
  if (found) return formatRuntimeId(found);
  if (text === 'echo' || text === 'claude-cli') return text;
  doubts.push(unknownModel(key, text));
  return undefined;
}

type IdOf = (written: string | null | undefined, key: string) => string | undefined;

function fallbacksOf(section: ModelSection, provider: string, idOf: IdOf): readonly string[] {
  const listed = (section.fallbacks ?? []).map((written, at) => idOf(written, `model.fallbacks[${at}]`));
  const routed = provider === 'smart' ? undefined : idOf(section.routing?.fallback, 'model.routing.fallback');
  return [...new Set([...listed, routed].filter((id) => id !== undefined))];
}

/** To a bridge of somebody's own the word may mean something else. */
function resolveChannels(
  channels: Config['channels'],
  providers: Providers,
  idOf: IdOf,
): Readonly<Record<string, string>> {
  const ids = Object.entries(channels ?? {}).flatMap(([name, settings]) => {
    const written = settings?.model;
    if (typeof written !== 'string') return [];
    const isOurs = OUR_CHANNELS.includes(name);
    const id = isOurs || findModel(written, providers) ? idOf(written, `channels.${name}.model`) : undefined;
    return id === undefined ? [] : [[name, id] as const];
  });
  return Object.fromEntries(ids);
}

/** A tier that is not said is the nearest one that is; nothing said: the models that are configured, by price. */
function resolveRouting(
  section: ModelSection,
  providers: Providers,
  idOf: IdOf,
  doubts: string[],
): RoutingSettings {
  const written = section.routing ?? {};
  const id = (tier: (typeof TIERS)[number] | 'fallback') => {
    const found = idOf(written[tier], `model.routing.${tier}`);
    if (found === undefined || !found.startsWith('claude-cli')) return found;
    doubts.push(
      `model.routing.${tier}: claude-cli cannot be routed to. Name a model of an API, such as anthropic:${DEFAULT_MODELS.anthropic}.`,
    );
    return undefined;
  };
  const [simple, medium, hard, fallback] = [id('simple'), id('medium'), id('hard'), id('fallback')];
  const known = modelsByPrice(providers);
  const byItself = known.length > 0 ? known : DEFAULT_TIERS;
  const isWritten = [simple, medium, hard, fallback].some((one) => one !== undefined);
  const auto = (at: number) => (isWritten ? undefined : byItself[at]);
  const tiers = {
    simple: simple ?? auto(0) ?? fallback ?? medium ?? (hard as string),
    medium: medium ?? auto(Math.floor(byItself.length / 2)) ?? simple ?? hard ?? (fallback as string),
    hard: hard ?? auto(byItself.length - 1) ?? medium ?? simple ?? (fallback as string),
  };
  return {
    ...tiers,
    fallback: fallback ?? tiers.simple,
    classifier: idOf(section.classifier_model, 'model.classifier_model') ?? tiers.simple,
    others: known,
  };
}

/** Cheapest first. A price that nobody said is not a low one: those come last, as they are written. */
function modelsByPrice(providers: Providers): readonly string[] {
  const all = Object.entries(providers).flatMap(([provider, settings]) =>
    enabledModels(settings).map((entry) => ({
      id: formatRuntimeId({ provider, model: entry.id }),
      price: entry.outputCostPerMillion ?? Infinity,
    })),
  );
  return all.sort((a, b) => (a.price === b.price ? 0 : a.price - b.price)).map(({ id }) => id);
}

/**
 * Those of the file under their real names, and every vendor that is known by name. `chosen`: the provider that
 * `api_key` and `base_url` of `model:` belong to.
 */
function resolveProviders(config: Config, env: Env, chosen?: string): Providers {
  const entries = new Map<string, ProviderEntry>();
  for (const name of [...VENDORS, ...LOCAL_VENDORS]) entries.set(name, {});
  for (const [name, entry] of Object.entries(config.providers ?? {}))
    entries.set(unaliased(name), entry ?? {});
  entries.delete('claude-cli');
  const { api_key, base_url } = config.model ?? {};
  const own = { ...(api_key ? { api_key } : {}), ...(base_url ? { base_url } : {}) };
  return Object.fromEntries(
    [...entries].map(([name, entry]) => {
      const whole = name === chosen ? { ...entry, ...own } : entry;
      return [name, resolveProvider(name, whole, env)];
    }),
  );
}

type ProviderEntry = NonNullable<NonNullable<Config['providers']>[string]>;

function resolveProvider(name: string, entry: ProviderEntry, env: Env): ProviderSettings {
  const vendor = vendorOf(name);
  const baseUrl = entry.base_url?.trim().replace(/\/+$/, '') || undefined;
  const isVendors = vendor !== undefined && (baseUrl === undefined || baseUrl === vendor.baseUrl);
  // Listed as a runtime id, as the reference takes it. Elsewhere `mistral:7b` may be what a model is called.
  const prefix = isVendors ? `${name}:` : '';
  const bare = (id: string): string => (id.startsWith(prefix) ? id.slice(prefix.length) : id);
  return {
    wire: entry.wire ?? wireOf(vendor?.wire, isVendors),
    baseUrl: baseUrl ?? vendor?.baseUrl,
    // A key of the environment is the vendor's: no other address gets it unasked.
    apiKey: entry.api_key?.trim() || (isVendors ? keyOf(vendor.keyVariables, env) : undefined),
    needsKey: isVendors && vendor.keyVariables.length > 0,
    models: (entry.models ?? []).flatMap(toModelEntry).map((model) => ({ ...model, id: bare(model.id) })),
    disabledModels: (entry.disabled_models ?? []).map(bare),
  };
}

/** OpenAI's newer API is OpenAI's own; what is elsewhere under that name speaks the older one. */
function wireOf(wire: Wire | undefined, isVendors: boolean): Wire {
  if (wire === undefined) return 'openai-chat';
  return wire === 'openai' && !isVendors ? 'openai-chat' : wire;
}

function keyOf(variables: readonly string[], env: Env): string | undefined {
  return variables.map((name) => env[name]?.trim()).find((value) => value);
}

/** A name, or a mapping with the name under one of three keys. */
function toModelEntry(written: unknown): readonly ModelEntry[] {
  if (typeof written === 'string')
    return [{ id: written, inputCostPerMillion: undefined, outputCostPerMillion: undefined }];
  if (typeof written !== 'object' || written === null) return [];
  const entry = written as Readonly<Record<string, unknown>>;
  const id = [entry.id, entry.model_id, entry.model].find((name) => typeof name === 'string' && name !== '');
  if (typeof id !== 'string') return [];
  const { input_cost_per_million: input, output_cost_per_million: output } = entry;
  const vision = VISION[String(entry.vision).toLowerCase()];
  const sees = vision === undefined ? {} : { vision };
  return [{ id, inputCostPerMillion: toPrice(input), outputCostPerMillion: toPrice(output), ...sees }];
}

const VISION: Readonly<Record<string, boolean>> = { true: true, yes: true, false: false, no: false };

function toPrice(value: unknown): number | undefined {
  const price = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  return typeof price === 'number' && Number.isFinite(price) && price >= 0 ? price : undefined;
}
