/**
 * The money an agent may spend in a UTC month and in a UTC day. A call is let in with the most it may cost set aside, so
 * that calls which run beside each other cannot spend the same dollar twice. One that may not fit waits until those that
 * run have shown what they really cost; alone it always may, which is the one call by which a budget can be overshot.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';

export interface BudgetLimits {
  /** Dollars; 0: no limit. */
  readonly monthlyUsd: number;
  readonly dailyUsd: number;
}

export type PeriodKind = 'month' | 'day';

/** `key`: `2026-11` or `2026-11-22`. */
export interface Period {
  readonly kind: PeriodKind;
  readonly key: string;
}

export interface BudgetState extends Period {
  readonly budgetUsd: number;
  readonly spentUsd: number;
}

export interface BudgetEvent extends BudgetState {
  readonly type: 'budget';
  readonly percent: (typeof PERCENTS)[number];
}

export const PERCENTS = [50, 80, 100] as const;

export interface BudgetsOptions {
  readonly limits: BudgetLimits;
  readonly clock: Clock;
  spentIn(period: Period): number;
  /** The highest event of this budget that has been told. */
  toldIn(period: Period, budgetUsd: number): number;
  onEvent(event: BudgetEvent): void;
}

/** Set aside for one call; given back once. */
export interface Held {
  readonly usd: number;
}

interface Waiting {
  readonly usd: number;
  admit(held: Held): void;
  refuse(error: unknown): void;
}

interface Account {
  readonly kind: PeriodKind;
  readonly budgetUsd: number;
  key: string;
  spentUsd: number;
  told: number;
}

/** Longer than nearly every call; after it, what runs may take the rest of the money as well. */
const WAIT_MS = 120_000;
/** Sums of a period differ in the last digits by the order in which they are made. */
const EPSILON_USD = 1e-9;

export class Budgets {
  readonly #options: BudgetsOptions;
  readonly #accounts: readonly Account[];
  readonly #held = new Set<Held>();
  #heldUsd = 0;
  #waiting: Waiting[] = [];

  constructor(options: BudgetsOptions) {
    this.#options = options;
    const { monthlyUsd, dailyUsd } = options.limits;
    this.#accounts = [
      { kind: 'month', budgetUsd: monthlyUsd, key: '', spentUsd: 0, told: 0 },
      { kind: 'day', budgetUsd: dailyUsd, key: '', spentUsd: 0, told: 0 },
    ];
    this.#current();
    this.#tell();
  }

  /** Without budget too: what has been spent. */
  state(kind: PeriodKind): BudgetState {
    const account = this.#current().find((one) => one.kind === kind) as Account;
    const { key, budgetUsd, spentUsd } = account;
    return { kind, key, budgetUsd, spentUsd };
  }

  get heldUsd(): number {
    return this.#held.size === 0 ? 0 : this.#heldUsd;
  }

  /** What is left of the scarcer one, from 1 to 0; 1 where there is none. What is set aside counts as not spent. */
  ratio(): number {
    return Math.min(
      1,
      ...this.#limited().map(({ budgetUsd, spentUsd }) => Math.max(0, 1 - spentUsd / budgetUsd)),
    );
  }

  /** Rejects with `budget.exceeded`, or with the reason of `signal`. */
  hold(usd: number, signal?: AbortSignal): Promise<Held> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const spent = this.#exhausted();
    if (spent !== undefined) return Promise.reject(this.#exceeded(spent));
    if (this.#waiting.length === 0 && this.#fits(usd)) return Promise.resolve(this.#admit(usd));
    return new Promise((resolve, reject) => this.#wait(usd, resolve, reject, signal));
  }

  release(held: Held): void {
    if (!this.#held.delete(held)) return;
    this.#heldUsd = Math.max(0, this.#heldUsd - held.usd);
    this.#pump();
  }

  /** Money that is gone, now. */
  spend(usd: number): void {
    for (const account of this.#current()) account.spentUsd += usd;
    this.#tell();
  }

  /** Nobody waits any longer. */
  close(error: AppError): void {
    for (const waiting of this.#waiting.splice(0)) waiting.refuse(error);
  }

  #wait(
    usd: number,
    resolve: (held: Held) => void,
    reject: (error: unknown) => void,
    signal: AbortSignal | undefined,
  ): void {
    const { clock } = this.#options;
    const leave = (): void => {
      clock.clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      this.#waiting = this.#waiting.filter((one) => one !== waiting);
    };
    const waiting: Waiting = {
      usd,
      admit: (held) => {
        leave();
        resolve(held);
      },
      refuse: (error) => {
        leave();
        reject(error);
      },
    };
    // Whoever leaves may have kept a smaller one behind it from fitting.
    const giveUp = (error: unknown): void => {
      waiting.refuse(error);
      this.#pump();
    };
    const onAbort = (): void => giveUp(signal?.reason);
    const timer: TimerHandle = clock.setTimeout(() => giveUp(this.#taken()), WAIT_MS);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.push(waiting);
  }

  #pump(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const spent = this.#exhausted();
      if (spent !== undefined) next.refuse(this.#exceeded(spent));
      else if (this.#fits(next.usd)) next.admit(this.#admit(next.usd));
      else return;
    }
  }

  #admit(usd: number): Held {
    const held = { usd };
    // Nothing set aside: nobody need wait for such a call.
    if (usd === 0) return held;
    if (this.#held.size === 0) this.#heldUsd = 0;
    this.#held.add(held);
    this.#heldUsd += usd;
    return held;
  }

  #fits(usd: number): boolean {
    if (this.#held.size === 0) return true;
    return this.#limited().every(
      ({ budgetUsd, spentUsd }) => spentUsd + this.#heldUsd + usd <= budgetUsd + EPSILON_USD,
    );
  }

  #exhausted(): Account | undefined {
    return this.#limited().find(({ budgetUsd, spentUsd }) => spentUsd >= budgetUsd - EPSILON_USD);
  }

  #limited(): readonly Account[] {
    return this.#current().filter(({ budgetUsd }) => budgetUsd > 0);
  }

  /** A period that has begun since the last look is read anew, also after the clock was set back. */
  #current(): readonly Account[] {
    for (const account of this.#accounts) {
      const key = periodKey(account.kind, this.#options.clock.wallMs());
      if (key === account.key) continue;
      const period = { kind: account.kind, key };
      account.spentUsd = this.#options.spentIn(period);
      account.told = account.budgetUsd > 0 ? this.#options.toldIn(period, account.budgetUsd) : 0;
      account.key = key;
    }
    return this.#accounts;
  }

  /** The highest one only: whoever hears of 100 % need not hear of 50 in the same moment. */
  #tell(): void {
    for (const account of this.#limited()) {
      const { kind, key, budgetUsd, spentUsd } = account;
      const percent = PERCENTS.findLast((one) => spentUsd >= (budgetUsd * one) / 100 - EPSILON_USD);
      if (percent === undefined || percent <= account.told) continue;
      account.told = percent;
      this.#options.onEvent({ type: 'budget', percent, kind, key, budgetUsd, spentUsd });
    }
  }

  #exceeded(account: Account): AppError {
    const { kind, budgetUsd, spentUsd } = account;
    const resetsAt = periodEnd(kind, this.#options.clock.wallMs());
    const setting = kind === 'month' ? 'model.monthly_budget' : 'model.daily_budget';
    return new AppError(
      'budget.exceeded',
      `The budget of this ${kind} is spent ($${spentUsd.toFixed(2)} of $${budgetUsd.toFixed(2)}): raise ${setting}, or wait until ${resetsAt}`,
      { details: { period: kind, budget_usd: budgetUsd, spent_usd: spentUsd, resets_at: resetsAt } },
    );
  }

  #taken(): AppError {
    return new AppError(
      'budget.exceeded',
      'What is left of the budget is set aside for calls that are running: come back when they have ended',
    );
  }
}

export function periodKey(kind: PeriodKind, atMs: number): string {
  return new Date(atMs).toISOString().slice(0, kind === 'month' ? 7 : 10);
}

function periodEnd(kind: PeriodKind, atMs: number): string {
  const at = new Date(atMs);
  const day = kind === 'month' ? 1 : at.getUTCDate() + 1;
  const month = at.getUTCMonth() + (kind === 'month' ? 1 : 0);
  return new Date(Date.UTC(at.getUTCFullYear(), month, day)).toISOString().replace('.000Z', 'Z');
}
