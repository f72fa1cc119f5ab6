/**
 * The one door to the price list, a package of a few hundred kilobytes: loaded from its own file when the first call of a
 * priced model is made, so that no other thread holds it. It brings its list along and fetches nothing.
 */
import { createRequire } from 'node:module';
import type * as GenaiPrices from '@pydantic/genai-prices';

/** All tokens of the input, those of the cache among them; reasoning among those of the output. */
export interface PricedTokens {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
}

export interface PriceTable {
  /** Dollars; undefined where the list does not know the model. `provider`: a vendor's name, or an address. */
  cost(at: ListedModel, tokens: PricedTokens, atMs: number): ListedCost | undefined;
}

export interface ListedCost {
  readonly input: number;
  readonly output: number;
  readonly total: number;
}

export interface ListedModel {
  readonly vendor: string | undefined;
  readonly baseUrl: string | undefined;
  readonly model: string;
}

const require = createRequire(import.meta.url);

export function loadPriceTable(): PriceTable {
  const { calcPrice, findProvider } = require('@pydantic/genai-prices') as typeof GenaiPrices;
  return {
    cost: ({ vendor, baseUrl, model }, tokens, atMs) => {
      // Told neither, the list would go by the model's name alone; somebody else's endpoint has prices of its own.
      const provider =
        (vendor === undefined ? undefined : findProvider({ providerId: vendor })) ??
        (baseUrl === undefined ? undefined : findProvider({ providerApiUrl: baseUrl }));
      if (provider === undefined) return undefined;
      const usage = {
        input_tokens: tokens.input,
        output_tokens: tokens.output,
        ...(tokens.cacheRead > 0 ? { cache_read_tokens: tokens.cacheRead } : {}),
        ...(tokens.cacheWrite > 0 ? { cache_write_tokens: tokens.cacheWrite } : {}),
      };
      const price = calcPrice(usage, model, { provider, timestamp: new Date(atMs) });
      if (price === null) return undefined;
      return { input: price.input_price, output: price.output_price, total: price.total_price };
    },
  };
}
