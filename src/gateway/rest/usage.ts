/** Handlers of usage. */
import type { Handlers } from '../../contract/route.ts';
import type { USAGE_ROUTES } from '../../contract/routes/usage.ts';
import type { USAGE_SCHEMAS } from '../../contract/schemas/usage.ts';
import type { AgentServices } from '../services.ts';

export const usageHandlers: Handlers<typeof USAGE_ROUTES, typeof USAGE_SCHEMAS, AgentServices> = {
  readUsage(_input, { usage }) {
    return usage.summary();
  },

  readDailyUsage({ query: { days } }, { usage }) {
    return usage.daily(days);
  },

  readPricing(_input, { usage }) {
    return usage.pricing();
  },
};
