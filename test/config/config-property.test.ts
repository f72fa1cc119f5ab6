// biome-ignore-all lint/suspicious/noTemplateCurlyInString: variables of openagent.yaml are what is tested
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { configSchema } from '../../src/contract/config.ts';
import { AppError } from '../../src/contract/errors.ts';
import { parseConfig } from '../../src/supervisor/config/parse-config.ts';
import { resolveSettings } from '../../src/supervisor/config/resolve-config.ts';
import { collectSecrets } from '../../src/supervisor/config/secrets.ts';
import { validateConfig } from '../../src/supervisor/config/validate-config.ts';

const OPTIONS = { env: { HOME: '/x' }, homeDir: '/x', overrides: {} };
const KEYS = [
  ...Object.keys(configSchema.shape),
  'websocket',
  'token',
  'port',
  'host',
  'x',
  '__proto__',
  '<<',
];

/** What is thrown besides an AppError is a defect, and an error without message helps nobody. */
function readsOrExplains(source: string): void {
  try {
    const parsed = parseConfig('/a/openagent.yaml', source, OPTIONS.env);
    const { config } = validateConfig('/a/openagent.yaml', parsed);
    structuredClone(resolveSettings({ id: 'a', dir: '/a' }, config, parsed.data, OPTIONS));
    collectSecrets(parsed.data, []);
  } catch (error) {
    assert.ok(AppError.is(error), `threw ${String(error)}`);
    assert.match(error.message, /^\/a\/openagent\.yaml:\d+:\d+ \S/);
  }
}

test('any text is read or explained', () => {
  const fragment = fc.oneof(
    fc.constantFrom(
      ...['\n', '  ', ': ', '- ', '? ', '[', ']', '{', '}', '&a ', '*a', '!!set ', '!!binary ', '!x ', '|\n'],
      ...[
        '"',
        "'",
        '#',
        '<<: ',
        '---\n',
        '%YAML 1.1\n---\n',
        '${A}',
        '${A:-b}',
        '${A',
        '\t',
        '2026-01-01',
        '~',
      ],
    ),
    fc.constantFrom(...KEYS),
    fc.string({ unit: 'binary', maxLength: 5 }),
  );
  const anyText = fc.array(fragment, { maxLength: 40 }).map((parts) => parts.join(''));
  fc.assert(fc.property(anyText, readsOrExplains), { numRuns: 1_000 });
});

test('any data under any key is read or explained', () => {
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(
        null,
        true,
        '${A}',
        'abc',
        '',
        0,
        -1,
        1.5,
        8765,
        2 ** 60,
        Number.NaN,
        Number.POSITIVE_INFINITY,
      ),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(fc.constantFrom(...KEYS), tie('value'), { maxKeys: 5 }),
    ),
  }));
  const document = fc.dictionary(fc.constantFrom(...KEYS), value, { maxKeys: 6 });
  fc.assert(
    fc.property(document, (data) => readsOrExplains(stringify(data))),
    { numRuns: 500 },
  );
});
