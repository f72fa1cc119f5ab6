import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS } from '../../src/contract/errors.ts';
import { readSource } from '../fixtures/source-tree.ts';

const ROW = /^\| `([a-z_.]+)` \| (\d{3}) \| (yes|no) \| (.+) \| (.+) \|$/;

const documented = readSource('docs/errors.md')
  .split('\n')
  .filter((line) => line.startsWith('| `'))
  .map((line) => {
    const [, code = '', status, again, when = '', mend = ''] = ROW.exec(line) ?? [];
    assert.ok(code, `the row has a code, a status, yes or no, when, and what to do: ${line}`);
    return { code, status: Number(status), retryable: again === 'yes', when, mend };
  });

test('docs/errors.md has every code of the table, and no other, in its order', () => {
  assert.deepEqual(
    documented.map(({ code }) => code),
    Object.keys(ERRORS),
  );
});

test('docs/errors.md gives each code the status and the chance of a repeat that the table gives it', () => {
  assert.deepEqual(
    Object.fromEntries(documented.map(({ code, status, retryable }) => [code, { status, retryable }])),
    ERRORS,
  );
});

test('docs/errors.md says of each code when it comes and what to do', () => {
  assert.deepEqual(
    documented.filter(({ when, mend }) => when.trim() === '' || mend.trim() === '').map(({ code }) => code),
    [],
  );
});
