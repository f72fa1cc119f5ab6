/**
 * Every model call passes here: money is set aside before it, and what it took is written down after it, whatever became
 * of it. A call that went by would be missing in what the user is told, and in the budget that was to protect him.
 */
import type { Clock } from '../contract/clock.ts';
import { AppError, type ErrorCode } from '../contract/errors.ts';
import { type ModelSettings, TIERS } from '../contract/model-settings.ts';
import type { ModelTotals } from '../contract/worker-protocol.ts';
import type { Log } from '../logging/log.ts';
import type { TokenUsage } from '../models/provider.ts';
import { type Database, withStorageErrors } from '../storage/database.ts';
import { type BudgetEvent, type BudgetLimits, Budgets } from './budgets.ts';
import { type Cost, count, type Prices, pricedTokens } from './prices.ts';
import { type CallKind, UsageRecords, type UsageRow } from './usage-records.ts';
import { createUsageReport, type UsageReport } from './usage-report.ts';

export interface CallEstimate {
  /** Runtime id of the model that is asked for; `smart` where the choice is still to be made. */
  readonly model: string;
  readonly kind: CallKind;
  readonly sessionId?: string | number | null;
  readonly turnId?: string;
  /** Of all that is sent; rather too many than too few: what a budget promises holds as far as this does. */
  readonly inputTokens: number;
  /** The most it may answer, where the call says so. */
  readonly outputTokensMax?: number;
  /** Ends the wait for a place in the budget. */
  readonly signal?: AbortSignal;
}

/** What a `usage` part of a model's stream says, and what was seen beside it. */
export interface CallResult {
  /** Runtime id of the model that was really called; absent: the one that was asked for. */
  readonly model?: string;
  readonly usage: TokenUsage;
  readonly purpose?: CallKind;
  /** Characters of text, reasoning and tool input that came: what is guessed from where `usage` says nothing. */
  readonly emittedChars?: number;
  /** Why it failed, was stopped or cut off; absent: it ended well. */
  readonly failed?: ErrorCode;
}

export interface Reservation {
  /** Each call that went out, classifiers and failed ones too. Dollars; undefined where nobody knows the price. */
  record(result: CallResult): number | undefined;
  /** All calls are over, or none was made: gives back what was set aside. Again it changes nothing. */
  release(): void;
}

export interface UsageLedger extends UsageReport {
  /**
   * Before every single call, and settled before the next one of the same turn. Waits while the rest of the money is set
   * aside for others. Rejects with `budget.exceeded`, a code of `storage`, `agent.stopping`, or the signal's reason.
   */
  reserve(estimate: CallEstimate): Promise<Reservation>;
  /** What is left of the scarcer budget, from 1 to 0; 1 where there is none. */
  budgetRatio(): number;
  /** Since this was opened. */
  totals(): ModelTotals;
  /** Writes what is kept, and lets nobody wait any longer; before the database is closed. */
  close(): void;
}

export interface UsageLedgerOptions {
  readonly db: Database;
  readonly clock: Clock;
  readonly prices: Prices;
  readonly budgets: BudgetLimits;
  readonly log: Log;
  /** Every model that may answer where this one is asked for; absent: it alone. */
  candidates?(model: string): readonly string[];
  /** At 50, 80 and 100 %, each once in its period. */
  onEvent?(event: BudgetEvent): void;
}

/** Taken for what an answer may have at most where no limit is set; nearly all are shorter. */
const OUTPUT_TOKENS_MAX = 16_384;
const CHARS_PER_TOKEN = 4;
const UNTOLD: TokenUsage = {
  input: undefined,
  output: undefined,
  cacheRead: undefined,
  cacheWrite: undefined,
  reasoning: undefined,
};
/** The echo model is ours: nothing is sent anywhere, and thousands a second would be written down for nothing. */
const UNCOUNTED = 'echo';
const NOTHING: Reservation = { record: () => 0, release: () => {} };

export function openUsageLedger(options: UsageLedgerOptions): UsageLedger {
  const { db, clock, prices, log } = options;
  // Damage that opening the file did not meet may show here.
  const onDisk = <T>(work: () => T): T => withStorageErrors(db.name, work);
  const records = onDisk(() => new UsageRecords(db, clock, log));
  const budgets = new Budgets({
    limits: options.budgets,
    clock,
    spentIn: (period) => onDisk(() => records.spentIn(period)),
    toldIn: (period, budgetUsd) => onDisk(() => records.toldIn(period, budgetUsd)),
    onEvent: (event) => {
      const { key: period, percent, budgetUsd: budget, spentUsd: spent } = event;
      log.warn('usage.budget', { period, percent, budget, spent });
      records.addMark(event);
      options.onEvent?.(event);
    },
  });
  const bounds = createCostBounds(prices);
  const candidates = options.candidates ?? ((model: string) => [model]);
  const unpriced = createUnpricedWarning(log, options.budgets);
  const totals = { calls: 0, failedCalls: 0, inputTokens: 0, outputTokens: 0, costUsd: 0 };
  let isClosed = false;

  /** The money is gone before the row is written: a row that waits for the disk must not open the budget again. */
  const enter = (call: Call, result: CallResult): number | undefined => {
    const row = toRow(call, result, prices, clock);
    addTo(totals, row);
    if (row.costUsd === undefined) unpriced(row.model);
    else {
      bounds.learn(row.model, row.costUsd);
      budgets.spend(row.costUsd);
    }
    if (!isClosed) records.add(row);
    return row.costUsd;
  };

  return {
    ...createUsageReport({ db, clock, prices, budgets, flush: () => records.flush() }),
    reserve: async (estimate) => {
      if (estimate.model === UNCOUNTED) return NOTHING;
      if (isClosed) throw stopping();
      const models = candidates(estimate.model);
      // What costs nothing needs no money, spent budget or not.
      if (models.every(prices.isFree)) return toReservation(estimate, clock, enter, () => {});
      const held = await budgets.hold(bounds.of(models, estimate, clock.wallMs()), estimate.signal);
      return toReservation(estimate, clock, enter, () => budgets.release(held));
    },
    budgetRatio: () => budgets.ratio(),
    totals: () => ({ ...totals }),
    close: () => {
      if (isClosed) return;
      isClosed = true;
      budgets.close(stopping());
      records.close();
    },
  };
}

function addTo(totals: { -readonly [K in keyof ModelTotals]: number }, row: UsageRow): void {
  totals.calls += 1;
  if (row.errorCode !== undefined) totals.failedCalls += 1;
  totals.inputTokens += row.inputTokens;
  totals.outputTokens += row.outputTokens;
  totals.costUsd += row.costUsd ?? 0;
}

/** For `candidates`: what a model provider of these settings may turn to. */
export function candidatesIn({ routing, fallbacks }: ModelSettings): (model: string) => readonly string[] {
  const routed = routing === undefined ? [] : [...TIERS.map((tier) => routing[tier]), routing.fallback];
  return (model) => [...(model === 'smart' ? routed : [model]), ...fallbacks];
}

interface Call {
  readonly estimate: CallEstimate;
  readonly startMs: number;
}

function toReservation(
  estimate: CallEstimate,
  clock: Clock,
  enter: (call: Call, result: CallResult) => number | undefined,
  release: () => void,
): Reservation {
  let startMs = clock.monotonicMs();
  return {
    record: (result) => {
      const call = { estimate, startMs };
      startMs = clock.monotonicMs();
      return enter(call, result);
    },
    release,
  };
}

function toRow({ estimate, startMs }: Call, result: CallResult, prices: Prices, clock: Clock): UsageRow {
  const atMs = clock.wallMs();
  const { model = estimate.model, purpose = estimate.kind, failed } = result;
  const { usage, isEstimated } = usageOf(estimate, result);
  const tokens = pricedTokens(usage);
  const cost = costOf(model, usage, prices, atMs);
  const { sessionId, turnId } = estimate;
  return {
    ...{ id: crypto.randomUUID(), atMs, model, kind: purpose, turnId },
    ...{ inputTokens: tokens.input, outputTokens: tokens.output },
    sessionId: sessionId === undefined || sessionId === null ? undefined : String(sessionId),
    durationMs: Math.max(0, Math.round(clock.monotonicMs() - startMs)),
    ...{ costUsd: cost.usd, costSource: cost.source, isEstimated },
    cacheReadTokens: toldCount(usage.cacheRead),
    cacheWriteTokens: toldCount(usage.cacheWrite),
    reasoningTokens: toldCount(usage.reasoning),
    errorCode: failed,
  };
}

/** By a price list that is not ours: whatever it makes of odd numbers, the call is written down. */
function costOf(model: string, usage: TokenUsage, prices: Prices, atMs: number): Cost {
  try {
    const cost = prices.costOf(model, usage, atMs);
    if (cost.usd === undefined || Number.isFinite(cost.usd)) return cost;
  } catch {
    // Said as what it is: unknown.
  }
  return { usd: undefined, source: 'unknown' };
}

/** A stream that was cut or stopped has been paid for, though nobody says how much; a refusal has not. */
function usageOf(
  estimate: CallEstimate,
  { usage, emittedChars = 0, failed }: CallResult,
): { usage: TokenUsage; isEstimated: boolean } {
  const isTold = usage.input !== undefined || usage.output !== undefined || usage.costUsd !== undefined;
  if (isTold || (failed !== undefined && emittedChars === 0)) return { usage, isEstimated: false };
  const output = Math.ceil(emittedChars / CHARS_PER_TOKEN);
  return { usage: { ...usage, input: count(estimate.inputTokens), output }, isEstimated: true };
}

function toldCount(tokens: number | undefined): number | undefined {
  return tokens === undefined ? undefined : count(tokens);
}

/** The most a call may cost: by its estimate, and by what calls of that model have cost already. */
function createCostBounds(prices: Prices) {
  const largest = new Map<string, number>();
  return {
    learn: (model: string, usd: number): void => {
      if (usd > (largest.get(model) ?? 0)) largest.set(model, usd);
    },
    of: (models: readonly string[], estimate: CallEstimate, atMs: number): number => {
      const { inputTokens, outputTokensMax = OUTPUT_TOKENS_MAX } = estimate;
      const usage = { ...UNTOLD, input: count(inputTokens), output: count(outputTokensMax) };
      const bounds = models.map((model) =>
        Math.max(costOf(model, usage, prices, atMs).usd ?? 0, largest.get(model) ?? 0),
      );
      return Math.max(0, ...bounds);
    },
  };
}

/** Once for each model: a budget that cannot count it is half a budget. */
function createUnpricedWarning(log: Log, { monthlyUsd, dailyUsd }: BudgetLimits) {
  const warned = new Set<string>();
  return (model: string): void => {
    if (warned.has(model)) return;
    warned.add(model);
    const mend = 'Give it input_cost_per_million and output_cost_per_million under providers.<name>.models.';
    const what = monthlyUsd > 0 || dailyUsd > 0 ? 'No budget counts it.' : 'It is shown as unknown.';
    log.warn('usage.price_unknown', { model, text: `Nobody knows what ${model} costs. ${what} ${mend}` });
  };
}

function stopping(): AppError {
  return new AppError('agent.stopping', 'The agent is already stopping or restarting.');
}
