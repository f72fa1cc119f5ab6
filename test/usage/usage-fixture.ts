/** A ledger on a real database, with a clock that stands still and prices that anybody can reckon with. */
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/contract/clock.ts';
import type { LogFields } from '../../src/logging/log.ts';
import type { TokenUsage } from '../../src/models/provider.ts';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import type { BudgetEvent, BudgetLimits } from '../../src/usage/budgets.ts';
import { openUsageLedger } from '../../src/usage/ledger.ts';
import type { PriceTable } from '../../src/usage/price-table.ts';
import { createPrices, type PricedProviders } from '../../src/usage/prices.ts';
import { createTestClock, type TestClock } from '../fixtures/simulated-clock.ts';
import { silentLog, tempDir } from '../fixtures/turns.ts';

/** $1 for a million tokens in, $10 out. */
export const DEAR = 'shop:dear';

export const PROVIDERS: PricedProviders = {
  shop: {
    baseUrl: 'https://shop.example/v1',
    models: [
      { id: 'dear', inputCostPerMillion: 1, outputCostPerMillion: 10 },
      { id: 'given', inputCostPerMillion: 0, outputCostPerMillion: 0 },
      { id: 'secret', inputCostPerMillion: undefined, outputCostPerMillion: undefined },
    ],
  },
  ollama: { baseUrl: 'http://127.0.0.1:11434/v1', models: [] },
};

export const noList = (): PriceTable => ({ cost: () => undefined });

export function tokens(input: number, output: number, more: Partial<TokenUsage> = {}): TokenUsage {
  return { input, output, cacheRead: undefined, cacheWrite: undefined, reasoning: undefined, ...more };
}

export interface LedgerOptions {
  readonly budgets?: Partial<BudgetLimits>;
  readonly db?: Database;
  readonly clock?: TestClock;
}

export async function openLedger(t: TestContext, options: LedgerOptions = {}) {
  const db = options.db ?? (await openDatabase(join(await tempDir(t), 'openagent.db'), systemClock));
  if (options.db === undefined) t.after(() => db.close());
  return { db, ...ledgerOn(db, options) };
}

/** As at the start of an agent: whatever another one had set aside is forgotten. */
export function ledgerOn(db: Database, { budgets, clock = createTestClock() }: LedgerOptions) {
  const events: BudgetEvent[] = [];
  const logged: { event: string; fields: LogFields | undefined }[] = [];
  const note = (event: string, fields?: LogFields) => void logged.push({ event, fields });
  const ledger = openUsageLedger({
    db,
    clock,
    prices: createPrices(PROVIDERS, noList),
    budgets: { monthlyUsd: 0, dailyUsd: 0, ...budgets },
    log: { ...silentLog, warn: note, error: note },
    onEvent: (event) => events.push(event),
  });
  return { ledger, clock, events, logged };
}

export function rowsOf(db: Database): readonly Record<string, unknown>[] {
  return db
    .prepare(
      'SELECT * FROM usage_log AS log LEFT JOIN usage_calls AS call ON call.id = log.id ORDER BY log.rowid',
    )
    .all() as Record<string, unknown>[];
}
