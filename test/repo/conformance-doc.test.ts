import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { docPage } from '../fixtures/doc-page.ts';
import { ROOT, readSource, sourceFiles } from '../fixtures/source-tree.ts';

/** Appendix C and section 9 of the specification of the reference have this many rows. */
const LISTS = { Checklist: 23, 'Weak points': 58 } as const;
const NAMED = /^\s*['`]((appendix C|weak points?) (\d+(?: and \d+)*): )/;
const page = docPage('docs/conformance.md');
const titles = (file: string) =>
  readSource(file)
    .match(/\btest\(\s*(?:'[^'\n]+'|`[^`\n]+`)/g)
    ?.map((title) => title.slice('test('.length)) ?? [];

for (const [heading, count] of Object.entries(LISTS)) {
  test(`${heading}: no row is missing, and each is held by a test that exists, or says why it is not`, () => {
    const rows = page.tableUnder(heading);
    const numbers = [...new Set(rows.map(([number]) => Number(number)))];
    assert.deepEqual(
      numbers,
      Array.from({ length: count }, (_, at) => at + 1),
    );
    for (const [number, what, holder = ''] of rows) {
      const [, file, words] = /^`(test\/[^`]+)` (.+)$/.exec(holder) ?? [];
      if (file === undefined || words === undefined) {
        assert.ok(heading === 'Weak points', `row ${number} is held by a test`);
        assert.match(holder, /^Not in this version: /, `${number} ${what}`);
        continue;
      }
      assert.ok(existsSync(join(ROOT, file)), `${number} ${what}: ${file}`);
      assert.ok(
        titles(file).some((title) => title.includes(words)),
        `${number} ${what}: ${file} has no test "${words}"`,
      );
    }
  });
}

test('each row of the checklist has a test of its name, and each test of such a name is listed', () => {
  const listed = Object.keys(LISTS).flatMap((heading) => page.tableUnder(heading));
  const rows = new Set<number>();
  for (const file of sourceFiles('test')) {
    for (const title of titles(file)) {
      const [, name, list, numbers = ''] = NAMED.exec(title) ?? [];
      if (name === undefined) continue;
      if (list === 'appendix C') for (const number of numbers.split(' and ')) rows.add(Number(number));
      const isListed = listed.some(([, , holder = '']) => holder.startsWith(`\`${file}\` ${name}`));
      assert.ok(isListed, `docs/conformance.md does not list ${file} ${title}`);
    }
  }
  assert.equal(rows.size, LISTS.Checklist, [...rows].join());
});
