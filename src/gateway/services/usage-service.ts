/** What the routes of usage ask of the agent. Throws `storage.unavailable` where the database cannot be read. */
import type { DailyUsage, UsagePricing, UsageSummary } from '../../contract/schemas/usage.ts';

export interface UsageService {
  summary(): UsageSummary;
  /** The last so many times 24 hours; none for 0 and less. */
  daily(days: number): DailyUsage;
  pricing(): UsagePricing;
}
