/**
 * Providers and models for REST: read from the masked configuration that the main thread gives, changed through the same
 * door as every other change of it. An entry is changed in what was just read and written under its version, so that two
 * clients cannot undo each other. Whatever odd thing the file holds is passed by, not tripped over.
 */
import { AppError } from '../contract/errors.ts';
import { toEtag } from '../contract/etag.ts';
import { isPlainObject } from '../contract/json-value.ts';
import { formatRuntimeId } from '../contract/runtime-id.ts';
import type { CatalogModel, MaskedEntry, ProviderFields } from '../contract/schemas/models.ts';
import { unaliased, VENDORS } from '../contract/vendors.ts';
import type { ConfigService } from '../gateway/services/config-service.ts';
import type { ModelsService } from '../gateway/services/models-service.ts';
import type { Prices, Rates } from '../usage/prices.ts';

export interface ModelsServiceParts {
  readonly config: Pick<ConfigService, 'read' | 'patch'>;
  readonly prices: Prices;
  wallMs(): number;
  readonly test: ModelsService['test'];
}

type Entries = Readonly<Record<string, unknown>>;

const WRITE_ATTEMPTS = 5;
/** They are words of the routes: an entry of such a name could not be reached. */
const RESERVED = ['active', 'catalog', 'providers'];
const NO_KEY = '****';

export function createModelsService({ config, prices, wallMs, test }: ModelsServiceParts): ModelsService {
  const read = async () => {
    const { value, etag } = await config.read();
    return { document: isPlainObject(value) ? value : {}, etag };
  };

  const edit = async (change: (entries: Entries) => Entries, by: string): Promise<void> => {
    for (let attempt = 1; ; attempt += 1) {
      const { document, etag } = await read();
      try {
        await config.patch('providers', change(entriesOf(document.providers)), toEtag(etag), by);
        return;
      } catch (error) {
        const isConflict = AppError.is(error) && error.code === 'config.conflict';
        if (!isConflict || attempt >= WRITE_ATTEMPTS) throw error;
      }
    }
  };

  return {
    providers: async () => maskedEntries((await read()).document),
    all: async () => {
      const { document } = await read();
      return { models: maskedEntries(document), active: maskedEntry(document.model) };
    },
    active: async () => maskedEntry((await read()).document.model),
    setActive: async (section, by) => {
      const { document } = await read();
      const value = isPlainObject(section) ? withKey(section, document.model) : section;
      await config.patch('model', value, '', by);
    },
    add: (name, fields, by) => {
      if (RESERVED.includes(name)) throw reserved(name);
      return edit((entries) => set(entries, name, newEntry(fields, own(entries, name))), by);
    },
    update: (name, fields, by) =>
      edit((entries) => set(entries, name, changedEntry(fields, existing(entries, name))), by),
    remove: (name, by) =>
      edit((entries) => {
        existing(entries, name);
        return Object.fromEntries(Object.entries(entries).filter(([key]) => key !== name));
      }, by),
    catalog: async (provider) => {
      const entries = Object.entries(mappingOf((await read()).document.providers));
      const wanted = provider === '' ? entries : entries.filter(([name]) => name === provider);
      return catalogOf(wanted, prices, wallMs());
    },
    names: async () =>
      [...new Set([...VENDORS, ...Object.keys(mappingOf((await read()).document.providers))])].sort(),
    test,
  };
}

/** For a change: what is there and is no mapping must not be lost by it. */
function entriesOf(providers: unknown): Entries {
  if (providers === undefined || providers === null || isPlainObject(providers)) return mappingOf(providers);
  throw new AppError(
    'config.invalid',
    'providers in openagent.yaml is not a mapping of providers: mend it there, or replace it with PATCH /api/config/providers',
  );
}

function mappingOf(value: unknown): Entries {
  return isPlainObject(value) ? value : {};
}

function own(entries: Entries, name: string): unknown {
  return Object.hasOwn(entries, name) ? entries[name] : undefined;
}

function existing(entries: Entries, name: string): Entries {
  if (!Object.hasOwn(entries, name)) {
    throw new AppError('provider.not_found', `Provider '${name.slice(0, 200)}' not found`);
  }
  return mappingOf(entries[name]);
}

/** In its place, or at the end. */
function set(entries: Entries, name: string, entry: Entries): Entries {
  return Object.fromEntries(new Map<string, unknown>([...Object.entries(entries), [name, entry]]));
}

function newEntry(fields: ProviderFields, before: unknown): Entries {
  const { api_key, base_url, models, disabled_models } = withKey(fields, before);
  return {
    ...(isEmpty(api_key) ? {} : { api_key }),
    ...(isEmpty(base_url) ? {} : { base_url }),
    ...(models === undefined ? {} : { models }),
    ...(isEmpty(disabled_models) ? {} : { disabled_models }),
  };
}

function changedEntry(fields: ProviderFields, before: Entries): Entries {
  const entry = new Map(Object.entries(before));
  const { api_key } = withKey(fields, before);
  if (api_key !== undefined) entry.set('api_key', api_key);
  for (const name of ['base_url', 'models', 'disabled_models'] as const) {
    const value = fields[name];
    if (value === undefined) continue;
    if (isEmpty(value)) entry.delete(name);
    else entry.set(name, value);
  }
  return Object.fromEntries(entry);
}

/** What Python takes for false, which is what the reference asks. */
function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (isPlainObject(value)) return Object.keys(value).length === 0;
  return !value;
}

/** A client writes back what it read: the display of a key, unchanged, is that key. */
function withKey(written: Entries, before: unknown): Entries {
  const { api_key_display: display, ...rest } = written;
  if (display === undefined || rest.api_key !== undefined || !isPlainObject(before)) return rest;
  const stored = own(before, 'api_key');
  return stored !== undefined && display === displayOf(stored) ? { ...rest, api_key: stored } : rest;
}

function maskedEntries({ providers }: Entries): Record<string, MaskedEntry> {
  return Object.fromEntries(
    Object.entries(mappingOf(providers)).map(([name, entry]) => [name, maskedEntry(entry)]),
  );
}

/** `entry` is masked already; what the reference's clients look for is the other name. */
function maskedEntry(entry: unknown): MaskedEntry {
  if (!isPlainObject(entry)) return {};
  const { api_key, ...rest } = entry;
  return api_key === undefined ? rest : { ...rest, api_key_display: displayOf(api_key) };
}

function displayOf(masked: unknown): string {
  return typeof masked === 'string' && masked !== '' ? masked : NO_KEY;
}

function catalogOf(
  entries: readonly (readonly [string, unknown])[],
  prices: Prices,
  atMs: number,
): CatalogModel[] {
  const models = new Map<string, CatalogModel>();
  for (const [provider, entry] of entries) {
    const { models: listed, disabled_models: disabled } = mappingOf(entry);
    for (const written of Array.isArray(listed) ? listed : []) {
      const id = modelIdOf(written);
      if (id === undefined || listOf(disabled).includes(id)) continue;
      const runtime_id = runtimeIdOf(provider, id);
      if (models.has(runtime_id)) continue;
      models.set(runtime_id, {
        ...{ provider, model_id: id, runtime_id },
        history_mode: unaliased(provider) === 'claude-cli' ? 'provider' : 'platform',
        ...shownPrices(ownPrices(written) ?? prices.ratesOf(runtime_id, atMs)),
      });
    }
  }
  return [...models.values()].sort(
    (a, b) =>
      order(a.provider, b.provider) ||
      a.input_cost_per_million - b.input_cost_per_million ||
      order(a.model_id, b.model_id),
  );
}

function order(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** A name, or a mapping with the name under one of three keys. */
function modelIdOf(written: unknown): string | undefined {
  if (typeof written === 'string') return written.trim() || undefined;
  const { id, model_id, model } = mappingOf(written);
  return [id, model_id, model].find((name): name is string => typeof name === 'string' && name !== '');
}

function runtimeIdOf(provider: string, id: string): string {
  const name = unaliased(provider);
  const prefix = `${name}:`;
  return formatRuntimeId({ provider: name, model: id.startsWith(prefix) ? id.slice(prefix.length) : id });
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

/** As they stand in the file now, which may be newer than what the agent runs with. */
function ownPrices(written: unknown): Rates | undefined {
  const { input_cost_per_million, output_cost_per_million } = mappingOf(written);
  const [input, output] = [priceOf(input_cost_per_million), priceOf(output_cost_per_million)];
  return input > 0 || output > 0 ? { input, output, source: 'config' } : undefined;
}

function priceOf(value: unknown): number {
  const price = typeof value === 'string' ? Number(value) : value;
  return typeof price === 'number' && Number.isFinite(price) && price > 0 ? price : 0;
}

function shownPrices({ input, output, source }: Rates) {
  const rounded = (usd = 0) => Math.round(usd * 1e4) / 1e4;
  return {
    input_cost_per_million: rounded(input),
    output_cost_per_million: rounded(output),
    price_source: source === 'stated' ? ('unknown' as const) : source,
  };
}

function reserved(name: string): AppError {
  const message = `A provider cannot be called ${name}: choose another name`;
  return new AppError('request.invalid', message, {
    details: { issues: [{ field: 'body.name', message: 'a word of the routes' }] },
  });
}
