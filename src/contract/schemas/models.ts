/** Schemas of the rows in `routes/models.ts`. What an entry holds is checked where it is written, by the one schema. */
import { z } from 'zod';
import type { RouteSchemas } from '../route.ts';
import type { MODEL_ROUTES } from '../routes/models.ts';
import { Rates } from './usage.ts';

/** As it stands in the file, but `api_key_display` instead of `api_key`. */
const Masked = z.record(z.string(), z.unknown());

const fields = {
  api_key: z.unknown().optional(),
  /** As it was read; means the key that is stored. */
  api_key_display: z.unknown().optional(),
  base_url: z.unknown().optional(),
  models: z.unknown().optional(),
  disabled_models: z.unknown().optional(),
};

const NAME = 'name is required';
const AddBody = z.looseObject({ name: z.string(NAME).trim().min(1, NAME).max(256), ...fields });

const CatalogQuery = z.object({
  /** Exactly; empty: all. */
  provider: z.string().max(256).default(''),
});

const CatalogModel = z.object({
  provider: z.string(),
  model_id: z.string(),
  runtime_id: z.string(),
  /** Who keeps the conversation: we, or the provider (`claude-cli`). */
  history_mode: z.enum(['platform', 'provider']),
  /** Rounded to four decimals. */
  ...Rates.omit({ source: true }).shape,
  price_source: Rates.shape.source,
});

const TestResult = z.union([
  z.object({ ok: z.literal(true), model: z.string(), response: z.string() }),
  z.object({ ok: z.literal(false), error: z.string(), code: z.string() }),
]);

const model_id = z.string().max(512).nullish();
const Done = z.object({ ok: z.literal(true) });

export const MODEL_SCHEMAS = {
  listModels: { response: z.object({ models: z.record(z.string(), Masked), active: Masked }) },
  addProvider: { body: AddBody, response: z.object({ ok: z.literal(true), name: z.string() }) },
  readActiveModel: { response: z.object({ active: Masked }) },
  setActiveModel: {
    body: z.unknown(),
    response: z.object({ ok: z.literal(true), restart_required: z.literal(false) }),
  },
  listModelCatalog: { query: CatalogQuery, response: z.object({ models: z.array(CatalogModel) }) },
  listProviderNames: { response: z.object({ providers: z.array(z.string()) }) },
  updateProvider: { body: z.looseObject(fields), response: Done },
  removeProvider: { response: Done },
  testModel: { body: z.looseObject({ model_id }), response: TestResult },
  listProviders: { response: z.object({ providers: z.record(z.string(), Masked) }) },
  testProvider: {
    body: z.looseObject({ provider: z.string().trim().max(256), model_id }),
    response: TestResult,
  },
} as const satisfies RouteSchemas<typeof MODEL_ROUTES>;

export type MaskedEntry = z.output<typeof Masked>;
export type ProviderFields = Readonly<Partial<Record<keyof typeof fields, unknown>>>;
export type CatalogModel = z.output<typeof CatalogModel>;
export type TestResult = z.output<typeof TestResult>;
