import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT, readSource } from '../fixtures/source-tree.ts';

const rows = readSource('docs/security.md')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| Line '))
  .map((line) => line.slice(2, -2).split(' | '));

test('each line of the checklist is held by a test that exists, or says why it is not there', () => {
  assert.ok(rows.length > 25);
  for (const [line, holder = ''] of rows) {
    const [, file, words] = /^`((?:test|src)\/[^`]+)` (.+)$/.exec(holder) ?? [];
    if (file === undefined || words === undefined) {
      assert.match(holder, /^Not in this version: /, line);
      continue;
    }
    assert.ok(existsSync(join(ROOT, file)), `${line}: ${file}`);
    assert.ok(readSource(file).includes(words), `${line}: ${file} has no "${words}"`);
  }
});
