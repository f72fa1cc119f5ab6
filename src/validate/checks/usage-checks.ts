/** What has been spent, and which models there are: only read, never changed. */
import { type Check, type CheckGroup, expectThat, shown } from '../check.ts';
import type { Target } from '../target.ts';

async function read(target: Target, path: string): Promise<Record<string, unknown>> {
  const answer = await target.readIfThere(path);
  return answer.json() as Record<string, unknown>;
}

/** A GET whose answer has these keys, each of which holds what the predicate takes. */
function shape(
  path: string,
  name: string,
  keys: Readonly<Record<string, (value: unknown) => boolean>>,
): Check {
  return {
    name,
    expected: `200 {${Object.keys(keys).join(', ')}}`,
    async run(target) {
      const body = await read(target, path);
      const wrong = Object.keys(keys).filter((key) => keys[key]?.(body[key]) !== true);
      expectThat(wrong.length === 0, `${wrong.join(', ')} in ${shown(body)}`);
      return shown(body);
    },
  };
}

const isNumber = (value: unknown): boolean => typeof value === 'number';
const isObject = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isNumberOrNull = (value: unknown): boolean => value === null || isNumber(value);

const daily: Check = {
  name: 'usage by day has one entry for each day and model',
  expected: 'entries with date, model, cost, input_tokens, output_tokens, request_count',
  async run(target) {
    const { entries } = (await read(target, '/api/usage/daily?days=7')) as { entries?: unknown };
    expectThat(Array.isArray(entries), shown(entries));
    const keys = ['date', 'model', 'cost', 'input_tokens', 'output_tokens', 'request_count'];
    const wrong = entries.find((entry) => !isObject(entry) || keys.some((key) => !(key in entry)));
    expectThat(wrong === undefined, shown(wrong));
    return `${entries.length} entries`;
  },
};

const badDays: Check = {
  name: 'a number of days that is none is refused',
  expected: '400 request.invalid; 500 by the reference',
  isBeyond: true,
  async run(target) {
    const answer = await target.askIfThere('/api/usage/daily?days=many');
    expectThat(answer.status === 400, answer.summary);
    return answer.summary;
  },
};

export const USAGE_CHECKS: CheckGroup = {
  area: 'usage',
  checks: [
    shape('/api/usage', 'the month is summed up', {
      monthly_spend: isNumber,
      monthly_budget: isNumber,
      remaining: isNumberOrNull,
      by_model: isObject,
    }),
    daily,
    badDays,
    shape('/api/usage/pricing', 'models have prices', { pricing: isObject }),
  ],
};

const noKeys: Check = {
  name: 'no key of a provider is given away',
  expected: 'no `api_key` in clear text in /api/models and /api/providers',
  isBeyond: true,
  async run(target) {
    for (const path of ['/api/models', '/api/providers']) {
      const text = JSON.stringify(await read(target, path));
      const [, bare] = /"api_key":"((?!\*{4}|\$\{)[^"]+)"/.exec(text) ?? [];
      expectThat(bare === undefined, `a key of ${bare?.length} characters in ${path}`);
    }
    return 'none';
  },
};

export const MODEL_CHECKS: CheckGroup = {
  area: 'models',
  checks: [
    shape('/api/models', 'configured providers are listed', { models: isObject }),
    shape('/api/models/catalog', 'models can be chosen from a catalog', { models: Array.isArray }),
    shape('/api/models/providers', 'names of providers are listed', { providers: Array.isArray }),
    shape('/api/models/active', 'the active model is named', { active: isObject }),
    shape('/api/providers', 'providers are listed with masks', { providers: isObject }),
    noKeys,
  ],
};
