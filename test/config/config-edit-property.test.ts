import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRawConfig } from '../../src/supervisor/config/parse-config.ts';
import { editText } from '../../src/supervisor/config-store/edit-document.ts';
import { masked, unmasked } from '../../src/supervisor/config-store/mask.ts';
import { type Comment, pick, randomEdit, randomYaml } from '../fixtures/random-yaml.ts';
import { seeded } from '../fixtures/seeded-random.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 150);
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 20_261);
const pause = async () => {};
const dataOf = (text: string) => parseRawConfig('f', text).data as Record<string, unknown>;
const edit = async (source: string, after: Record<string, unknown>) => editText('f', source, after, pause);

test('random edits of random documents say what they should, and keep the comments of everything else', async () => {
  for (let run = 0; run < RUNS; run += 1) {
    const seed = SEED + run;
    const random = seeded(seed);
    const { text, comments } = randomYaml(random);
    const { after, touched, kind } = randomEdit(random, dataOf(text));
    const edited = await edit(text, after);
    const told = `seed ${seed}: ${kind} ${touched.join('.')}\n${text}\n→\n${edited}`;
    assert.ok(edited !== undefined, told);
    assert.deepEqual(dataOf(edited), after, told);
    const lost = comments.filter((comment) => mustStay(comment, touched) && !edited.includes(comment.mark));
    assert.deepEqual(lost, [], told);
  }
});

test('a comment in front of an item goes where the item goes, that of the first one too', async () => {
  const head = 'before: 1\nlist: # of the list\n  # of all of it\n\n';
  const [a, b, c] = ['  # of a\n  # more of a\n  - a\n', '  # of b\n  - name: b\n', '  - c\n'] as const;
  const text = [head, a, b, c, 'after: 2\n'].join('');
  const items = ['a', { name: 'b' }, 'c'];
  for (const [order, expected] of [
    [
      [1, 0, 2],
      [b, a, c],
    ],
    [
      [2, 1, 0],
      [c, b, a],
    ],
    [
      [0, 2],
      [a, c, '  # of b\n'],
    ],
    [
      [1, 2],
      [b, c, '  # of a\n  # more of a\n'],
    ],
  ] as const) {
    const list = order.map((index) => items[index]);
    const edited = (await edit(text, { before: 1, list, after: 2 })) ?? '';
    assert.deepEqual(dataOf(edited).list, list);
    const told = edited.replaceAll(/^ *\n/gm, '');
    const body = expected.join('');
    assert.ok(told.includes(`  # of all of it\n${body}after: 2\n`), `${order}\n${edited}`);
    assert.ok(edited.indexOf('# of the list') < edited.indexOf('# of all of it'), edited);
  }
});

test('the first item of a random list takes its comment along', async () => {
  for (let run = 0; run < RUNS; run += 1) {
    const random = seeded(SEED + run);
    const [indent, newline] = [pick(random, ['', '  ']), pick(random, ['\n', '\r\n'])];
    const names = Array.from({ length: 2 + Math.floor(random() * 4) }, (_, index) => `item${index}`);
    const item = (name: string) => pick(random, [name, `"${name}"`, `name: ${name}`, `{name: ${name}}`]);
    const lines = names.flatMap((name) => [`${indent}# of ${name}`, `${indent}- ${item(name)}`]);
    const text = ['list:', ...lines, 'end: 1', ''].join(newline);
    const { list } = dataOf(text) as { list: unknown[] };
    const at = Math.floor(random() * list.length);
    const moved = list.toSpliced(at, 1).toSpliced(Math.floor(random() * list.length), 0, list[at]);
    const edited = (await edit(text, { list: moved, end: 1 })) ?? '';
    const told = `seed ${SEED + run}\n${text}\n→\n${edited}`;
    assert.deepEqual(dataOf(edited), { list: moved, end: 1 }, told);
    for (const name of names) {
      const next = new RegExp(`# of ${name}\r?\n *- .*${name}`);
      assert.match(edited, next, told);
    }
  }
});

test('secrets of random documents are never shown, and come back with whatever else a client edits', () => {
  let refused = 0;
  for (let run = 0; run < RUNS; run += 1) {
    const seed = SEED + run;
    const random = seeded(seed);
    const data = dataOf(randomYaml(random).text);
    const shown = masked(data) as Record<string, unknown>;
    assert.equal(JSON.stringify(shown).includes('secret-of-item'), false, `seed ${seed}`);
    assert.deepEqual(
      unmasked(JSON.parse(JSON.stringify(shown)), data),
      { value: data, strays: [] },
      `seed ${seed}`,
    );
    // The same draws make the same edit of what is stored and of what the client sees.
    const stored = randomEdit(seeded(seed), data);
    const sent = randomEdit(seeded(seed), shown);
    const { value, strays } = unmasked(sent.after, data);
    if (strays.length > 0) refused += 1;
    else assert.deepEqual(value, stored.after, `seed ${seed}: ${sent.kind} ${sent.touched.join('.')}`);
  }
  assert.ok(refused < RUNS / 10, `${refused} of ${RUNS}`);
});

/** What stands behind or inside of what was touched may go with it. */
function mustStay({ path, where }: Comment, touched: readonly (string | number)[]): boolean {
  const isInside = touched.every((step, index) => path[index] === step);
  return !isInside || (path.length === touched.length && where === 'above');
}
