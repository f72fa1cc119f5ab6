import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRawConfig } from '../../src/supervisor/config/parse-config.ts';
import { editText } from '../../src/supervisor/config-store/edit-document.ts';
import { type Comment, randomEdit, randomYaml, seeded } from '../fixtures/random-yaml.ts';

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

/** What stands behind or inside of what was touched may go with it. */
function mustStay({ path, where }: Comment, touched: readonly (string | number)[]): boolean {
  const isInside = touched.every((step, index) => path[index] === step);
  return !isInside || (path.length === touched.length && where === 'above');
}
