import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CHECKS, type Check } from '../../src/supervisor/doctor/checks.ts';
import { readSource } from '../fixtures/source-tree.ts';

const ROW = /^\| `([a-z_.]+)` \| (ok|info|warning|error) \| (.+?) \| (?:`(.+)` )?\|$/;

test('docs/doctor.md has every row of the table of checks, and no other, word for word', () => {
  const documented = readSource('docs/doctor.md')
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const [, code = '', severity, what, mend] = ROW.exec(line) ?? [];
      assert.ok(code, `the row has a code, a severity, what it means, and its mend: ${line}`);
      return { code, severity, what, mend };
    });
  const wanted = Object.entries(CHECKS as Readonly<Record<string, Check>>).map(
    ([code, { severity, what, mend }]) => ({ code, severity, what, mend }),
  );
  assert.deepEqual(documented, wanted);
});

test('whatever is worse than a remark has a mend', () => {
  const checks: readonly [string, Check][] = Object.entries(CHECKS);
  const helpless = checks.filter(
    ([, { severity, mend }]) => severity !== 'ok' && severity !== 'info' && !mend,
  );
  assert.deepEqual(helpless, []);
});
