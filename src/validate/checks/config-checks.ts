/** Configuration over REST: readable without giving secrets away; writing back what was read changes nothing. */
import { isDeepStrictEqual } from 'node:util';
import { type Check, type CheckGroup, expectThat, Skipped, shown } from '../check.ts';
import type { Target } from '../target.ts';

const CONFIG = '/api/config';

async function read(target: Target): Promise<Record<string, unknown>> {
  const answer = await target.readIfThere(CONFIG);
  const config = answer.json();
  expectThat(typeof config === 'object' && config !== null && !Array.isArray(config), shown(config));
  return config as Record<string, unknown>;
}

const readable: Check = {
  name: 'GET /api/config gives the configuration',
  expected: '200 with an object',
  async run(target) {
    const config = await read(target);
    return `keys: ${Object.keys(config).join(', ') || 'none'}`;
  },
};

const masked: Check = {
  name: 'the configuration gives no secret away',
  expected:
    'no value named token, api_key, secret or password but masks (`****…`) and references to variables',
  isBeyond: true,
  async run(target) {
    const config = await read(target);
    const { token } = target.options;
    const hasToken = token !== undefined && token.length > 4 && JSON.stringify(config).includes(token);
    expectThat(!hasToken, 'the token of this connection stands in it');
    const bare = secretsOf(config, []).filter(({ value }) => !/^\*{4}/.test(value) && !value.includes('${'));
    expectThat(bare.length === 0, `in clear text: ${bare.map(({ path }) => path).join(', ')}`);
    return 'none';
  },
};

function secretsOf(value: unknown, path: readonly string[]): readonly { path: string; value: string }[] {
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).flatMap(([key, each]) => secretsOf(each, [...path, key]));
  }
  const isSecret = /(^|_)(token|key|secret|password)$/i.test(path.at(-1) ?? '');
  return isSecret && typeof value === 'string' && value !== '' ? [{ path: path.join('.'), value }] : [];
}

const patchBack: Check = {
  name: 'PATCH /api/config/{section} takes back what was read',
  expected: '{ok: true, restart_required, …}, and the configuration reads as before',
  isIntrusive: true,
  async run(target) {
    const before = await read(target);
    const [section] = Object.keys(before);
    if (section === undefined) throw new Skipped('the configuration is empty');
    const answer = await target.askJson('PATCH', `${CONFIG}/${encodeURIComponent(section)}`, before[section]);
    return wroteBack(target, before, answer.summary, answer.json(), section);
  },
};

const putBack: Check = {
  name: 'PUT /api/config takes back what was read',
  expected: '{ok: true, restart_required}, and the configuration reads as before',
  isIntrusive: true,
  async run(target) {
    const before = await read(target);
    const answer = await target.askJson('PUT', CONFIG, before);
    return wroteBack(target, before, answer.summary, answer.json(), 'all of it');
  },
};

async function wroteBack(
  target: Target,
  before: object,
  summary: string,
  body: unknown,
  what: string,
): Promise<string> {
  const { ok, restart_required: restart } = body as { ok?: unknown; restart_required?: unknown };
  expectThat(ok === true && typeof restart === 'boolean', summary);
  expectThat(isDeepStrictEqual(await read(target), before), `${what} reads differently afterwards`);
  return `${what}: ok, restart_required: ${restart}`;
}

export const CONFIG_CHECKS: CheckGroup = { area: 'config', checks: [readable, masked, patchBack, putBack] };
