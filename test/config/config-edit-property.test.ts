import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRawConfig } from '../../src/supervisor/config/parse-config.ts';
import { editText } from '../../src/supervisor/config-store/edit-document.ts';
import { masked, unmasked } from '../../src/supervisor/config-store/mask.ts';
import { type Comment, randomEdit, randomYaml } from '../fixtures/random-yaml.ts';
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
