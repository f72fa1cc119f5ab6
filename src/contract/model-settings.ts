import type { Wire } from './vendors.ts';

/** Everything an agent's thread needs to call models, resolved on the main thread. */
export interface ModelSettings {
  /** `echo`, `claude-cli`, `smart`, or a name of `providers`. */
  readonly provider: string;
  readonly modelId: string | undefined;
  /** Time the echo model waits before each token, in milliseconds. */
  readonly delayMs: number;
  /** Of `claude-cli`. */
  readonly permissionMode: string | undefined;
  /** Every provider that may be called, configured or known by name. */
  readonly providers: Readonly<Record<string, ProviderSettings>>;
  /** Runtime ids of `smart`; undefined for every other provider. */
  readonly routing: RoutingSettings | undefined;
  /** Runtime ids that are tried, in this order, where the first choice fails before it said anything. */
  readonly fallbacks: readonly string[];
  /** Dollars in a UTC month and in a UTC day; 0: no limit. */
  readonly monthlyBudget: number;
  readonly dailyBudget: number;
  /** Runtime id by channel: `websocket`, or the name of a bridge. */
  readonly channels: Readonly<Record<string, string>>;
  /** Time without a byte from the provider after which a call is given up, in milliseconds. */
  readonly stallMs: number;
  /** Time without a piece of an answer, whatever else comes, after which it is given up, in milliseconds. */
  readonly progressMs: number;
  readonly retry: RetrySettings;
  /** What was written and cannot mean any model, each as a sentence with the mend. */
  readonly doubts: readonly string[];
}

export interface ProviderSettings {
  readonly wire: Wire;
  /** Undefined: a provider that is named and whose address nobody said. */
  readonly baseUrl: string | undefined;
  readonly apiKey: string | undefined;
  /** Whether a call without key is worth trying: not at a vendor's own address. */
  readonly needsKey: boolean;
  readonly models: readonly ModelEntry[];
  readonly disabledModels: readonly string[];
}

export interface ModelEntry {
  readonly id: string;
  /** Dollars for a million tokens, where the configuration says them. */
  readonly inputCostPerMillion: number | undefined;
  readonly outputCostPerMillion: number | undefined;
  /** False: it cannot be shown images. Absent: nobody knows before it is asked. */
  readonly vision?: boolean;
}

export const TIERS = ['simple', 'medium', 'hard'] as const;
export type Tier = (typeof TIERS)[number];

export interface RoutingSettings extends Readonly<Record<Tier, string>> {
  /** For when the money is nearly spent. */
  readonly fallback: string;
  readonly classifier: string;
  /** Further ones that may answer when all of these fail. */
  readonly others: readonly string[];
}

export interface RetrySettings {
  /** Calls after the first one that failed. */
  readonly count: number;
  /** Bound of the pause before the first of them; it doubles with each, up to the second. Drawn with full jitter. */
  readonly backoffMsMin: number;
  readonly backoffMsMax: number;
  /** A provider that wants a longer pause than this is not waited for. */
  readonly retryAfterMsMax: number;
}

export const DEFAULT_RETRY: RetrySettings = {
  count: 2,
  backoffMsMin: 500,
  backoffMsMax: 8_000,
  retryAfterMsMax: 30_000,
};

/** Node's own HTTP client gives up after 300 s of silence, so more than that would be a promise nobody keeps. */
export const STALL_MS_MAX = 290_000;
export const DEFAULT_STALL_MS = 240_000;
/** Longer than a queue of a provider, or a model that thinks without a word, takes on a bad day. */
export const DEFAULT_PROGRESS_MS = 600_000;

/** Calls nothing; a base to spread. */
export const ECHO_SETTINGS: ModelSettings = {
  provider: 'echo',
  modelId: undefined,
  delayMs: 0,
  permissionMode: undefined,
  providers: {},
  routing: undefined,
  fallbacks: [],
  monthlyBudget: 0,
  dailyBudget: 0,
  channels: {},
  stallMs: DEFAULT_STALL_MS,
  progressMs: DEFAULT_PROGRESS_MS,
  retry: DEFAULT_RETRY,
  doubts: [],
};
