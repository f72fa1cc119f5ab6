/**
 * Who hears that 50, 80 or 100 % of a budget are spent, beside the log: the supervisor, and the clients that asked for it.
 * What is found out while the agent opens has no client yet; whoever comes later reads how much is left.
 */
import type { WireError } from '../contract/errors.ts';
import type { WorkerReport } from '../contract/worker-protocol.ts';
import type { BudgetReached } from '../gateway/services/resource-events.ts';
import type { BudgetEvent, PeriodKind } from '../usage/budgets.ts';

export interface BudgetNews {
  readonly onEvent: (event: BudgetEvent) => void;
  /** Set once there can be clients. */
  onReached: ((kind: PeriodKind, reached: BudgetReached) => void) | undefined;
}

export function createBudgetNews(report: (report: WorkerReport) => void): BudgetNews {
  const news: BudgetNews = {
    onEvent: (event) => {
      report({ type: 'worker.warning', warning: toWarning(event) });
      const { kind, key: period, percent, budgetUsd, spentUsd } = event;
      news.onReached?.(kind, { percent, period, budget_usd: budgetUsd, spent_usd: toMicros(spentUsd) });
    },
    onReached: undefined,
  };
  return news;
}

function toWarning({ percent, kind, key: period, budgetUsd, spentUsd }: BudgetEvent): WireError {
  const spent = `$${toMicros(spentUsd)} of $${budgetUsd}`;
  const what =
    percent < 100
      ? `${percent} % of the budget of this ${kind} is spent (${spent})`
      : `The budget of this ${kind} is spent (${spent}): models that cost something are not called any more, commands and routes work on`;
  const details = { percent, period, budget_usd: budgetUsd, spent_usd: toMicros(spentUsd) };
  return { code: 'budget.reached', message: what, details };
}

/** Sums of money end in digits that nobody wants to read. */
function toMicros(usd: number): number {
  return Math.round(usd * 1e6) / 1e6;
}
