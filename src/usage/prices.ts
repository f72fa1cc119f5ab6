/**
 * What a call costs: what the provider itself states, else the prices of the configuration, else the public list. A price
 * that nobody knows is undefined and never 0: a budget that took it for nothing would be silent about what it misses.
 */
import type { ModelEntry, ModelSettings } from '../contract/model-settings.ts';
import { CLAUDE_CLI, formatRuntimeId, parseRuntimeId } from '../contract/runtime-id.ts';
import { LOCAL_VENDORS, unaliased, vendorOf } from '../contract/vendors.ts';
import type { TokenUsage } from '../models/provider.ts';
import {
  type ListedCost,
  type ListedModel,
  loadPriceTable,
  type PricedTokens,
  type PriceTable,
} from './price-table.ts';

/** `stated`: by the provider; `free`: runs on one's own machine; `unknown`: nobody knows. */
export type CostSource = 'stated' | 'config' | 'list' | 'free' | 'unknown';

export interface Cost {
  /** Undefined only where the source is `unknown`. */
  readonly usd: number | undefined;
  readonly source: CostSource;
}

/** Dollars for a million tokens. */
export interface Rates {
  readonly input: number | undefined;
  readonly output: number | undefined;
  readonly source: CostSource;
}

export interface Prices {
  /** Whether it can cost anything at all: `echo` and models on one's own machine cannot. */
  isFree(model: string): boolean;
  costOf(model: string, usage: TokenUsage, atMs: number): Cost;
  ratesOf(model: string, atMs: number): Rates;
}

export type PricedProviders = Readonly<
  Record<string, Pick<ModelSettings['providers'][string], 'baseUrl' | 'models'>>
>;

const MILLION = 1_000_000;
/** Names come from clients too. */
const CACHED_MAX = 2_000;

export function createPrices(providers: PricedProviders, load: () => PriceTable = loadPriceTable): Prices {
  let table: PriceTable | undefined;
  const listed = (model: string, tokens: PricedTokens, atMs: number): ListedCost | undefined => {
    const at = listedAs(model, providers);
    if (at === undefined) return undefined;
    table ??= load();
    return table.cost(at, tokens, atMs);
  };
  const listedRates = createRateCache((model, atMs) => listed(model, SAMPLE, atMs));
  const isFree = (model: string) => model === 'echo' || isLocal(model, providers);

  const priced = (model: string, tokens: PricedTokens, atMs: number): Cost => {
    const entry = entryOf(model, providers);
    const own = entry === undefined ? undefined : ownCost(entry, tokens);
    if (own !== undefined && isPaid(entry)) return { usd: own, source: 'config' };
    if (isFree(model)) return { usd: 0, source: 'free' };
    const found = listed(model, tokens, atMs);
    if (found !== undefined) return { usd: found.total, source: 'list' };
    return own === undefined ? { usd: undefined, source: 'unknown' } : { usd: own, source: 'config' };
  };

  return {
    isFree: (model) => isFree(model) && !isPaid(entryOf(model, providers)),
    costOf: (model, usage, atMs) => {
      const { costUsd } = usage;
      if (costUsd !== undefined && Number.isFinite(costUsd) && costUsd >= 0)
        return { usd: costUsd, source: 'stated' };
      return priced(model, pricedTokens(usage), atMs);
    },
    ratesOf: (model, atMs) => {
      const entry = entryOf(model, providers);
      const own = entry === undefined ? undefined : ownRates(entry);
      if (own !== undefined && isPaid(entry)) return own;
      if (isFree(model)) return { input: 0, output: 0, source: 'free' };
      return listedRates(model, atMs) ?? own ?? UNKNOWN;
    },
  };
}

const UNKNOWN: Rates = { input: undefined, output: undefined, source: 'unknown' };
/** Few enough for the lowest price, where there are several. */
const SAMPLE: PricedTokens = { input: 1_000, output: 1_000, cacheRead: 0, cacheWrite: 0 };

/** A catalog asks for many, again and again, and each takes the list most of a millisecond. */
function createRateCache(find: (model: string, atMs: number) => ListedCost | undefined) {
  const known = new Map<string, { readonly rates: Rates | undefined; readonly hour: number }>();
  return (model: string, atMs: number): Rates | undefined => {
    const hour = Math.floor(atMs / 3_600_000);
    const kept = known.get(model);
    if (kept?.hour === hour) return kept.rates;
    const cost = find(model, atMs);
    const rates: Rates | undefined = cost && {
      input: cost.input * 1_000,
      output: cost.output * 1_000,
      source: 'list',
    };
    if (known.size >= CACHED_MAX) known.clear();
    known.set(model, { rates, hour });
    return rates;
  };
}

/** Whatever a provider counts, a number of tokens: cached ones are part of the input, also where it counts them apart. */
export function pricedTokens(usage: TokenUsage): PricedTokens {
  const [cacheRead, cacheWrite] = [count(usage.cacheRead), count(usage.cacheWrite)];
  const input = count(usage.input);
  const cached = cacheRead + cacheWrite;
  return {
    input: cached > input ? input + cached : input,
    output: count(usage.output),
    cacheRead,
    cacheWrite,
  };
}

export function count(tokens: number | undefined): number {
  return tokens !== undefined && Number.isFinite(tokens) && tokens > 0 ? Math.round(tokens) : 0;
}

/** As the reference: one price is enough, the other is 0 then. */
function ownCost({ inputCostPerMillion, outputCostPerMillion }: ModelEntry, tokens: PricedTokens) {
  if (inputCostPerMillion === undefined && outputCostPerMillion === undefined) return undefined;
  return ((inputCostPerMillion ?? 0) * tokens.input + (outputCostPerMillion ?? 0) * tokens.output) / MILLION;
}

function ownRates({ inputCostPerMillion, outputCostPerMillion }: ModelEntry): Rates | undefined {
  if (inputCostPerMillion === undefined && outputCostPerMillion === undefined) return undefined;
  return { input: inputCostPerMillion ?? 0, output: outputCostPerMillion ?? 0, source: 'config' };
}

/** Two prices of 0 say that it is free only where the list does not know better: the reference's way. */
function isPaid(entry: ModelEntry | undefined): boolean {
  return (entry?.inputCostPerMillion ?? 0) > 0 || (entry?.outputCostPerMillion ?? 0) > 0;
}

/** Also of a model that is disabled. Entries may name it bare, in full or as a runtime id. */
function entryOf(id: string, providers: PricedProviders): ModelEntry | undefined {
  const { provider, model } = parseRuntimeId(id);
  const name = unaliased(provider);
  const entries = Object.hasOwn(providers, name) ? (providers[name]?.models ?? []) : [];
  const runtimeId = formatRuntimeId({ provider: name, model });
  const names = [model, id, runtimeId, `${name}/${model}`];
  return entries.find((entry) => names.includes(entry.id));
}

const LOOPBACK = /^https?:\/\/(?:127(?:\.\d+){3}|localhost|\[::1\])(?=[:/]|$)/i;

/** By the address that is called: one of a machine elsewhere may want money, whatever it is called. */
function isLocal(id: string, providers: PricedProviders): boolean {
  const { provider } = parseRuntimeId(id);
  const name = unaliased(provider);
  if (!(LOCAL_VENDORS as readonly string[]).includes(name)) return false;
  const baseUrl = (Object.hasOwn(providers, name) ? providers[name]?.baseUrl : undefined) ?? '';
  return baseUrl === '' || LOOPBACK.test(baseUrl);
}

function listedAs(id: string, providers: PricedProviders): ListedModel | undefined {
  const { provider, model } = parseRuntimeId(id);
  if (model === undefined) return undefined;
  const name = unaliased(provider);
  if (name === CLAUDE_CLI) return { vendor: 'anthropic', baseUrl: undefined, model };
  const baseUrl = Object.hasOwn(providers, name) ? providers[name]?.baseUrl : undefined;
  return { vendor: vendorOf(name) === undefined ? undefined : name, baseUrl, model };
}
