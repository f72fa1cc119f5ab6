/** What model calls have cost. */
import { defineRoutes } from '../route.ts';

export const USAGE_ROUTES = defineRoutes({
  readUsage: {
    method: 'GET',
    path: '/api/usage',
    summary: 'What this month and this day have cost, and what is left of their budgets',
    auth: 'token',
    errors: ['storage.unavailable'],
  },
  readDailyUsage: {
    method: 'GET',
    path: '/api/usage/daily',
    summary: 'Calls, tokens and cost by UTC day and model, newest first, for the last `days`',
    auth: 'token',
    query: true,
    errors: ['storage.unavailable'],
  },
  readPricing: {
    method: 'GET',
    path: '/api/usage/pricing',
    summary: 'Prices of the models that were called this month',
    auth: 'token',
    errors: ['storage.unavailable'],
  },
});
