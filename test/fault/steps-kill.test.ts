/** kill -9 in the middle of a turn with tools: nothing unsafe runs twice, one end, a text without gap or repetition. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ModelRequest } from '../../src/models/provider.ts';
import { actsOf, killableTurns, WHOLE } from '../fixtures/killable-turns.ts';
import { seeded } from '../fixtures/seeded-random.ts';
import { type Frame, openTurns, tempDir, until } from '../fixtures/turns.ts';
import { TYPESCRIPT } from '../fixtures/typescript.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/journal-kill.ts', import.meta.url));
/** In torture each point, and random ones; otherwise those where most is at stake. */
const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 0);
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);
/** About as many points as a turn has. */
const POINTS = 26;

type Ending = 'done' | 'interrupted';
const CASES: readonly (readonly [point: string, message: string, ends: Ending])[] = [
  ['step pending', 'tool-unsafe', 'done'],
  ['step committed', 'tool-unsafe', 'done'],
  ['call pending', 'tool-unsafe', 'done'],
  ['call committed', 'tool-unsafe', 'interrupted'],
  ['tool acting', 'tool-unsafe', 'interrupted'],
  ['tool acting', 'tool-repeatable', 'done'],
  ['answer pending', 'tool-unsafe', 'interrupted'],
  ['answer committed', 'tool-unsafe', 'done'],
  ['delta pending', 'tool-none', 'done'],
  ['delta committed', 'tool-none', 'done'],
  ['sent delta', 'tool-none', 'done'],
  ['memory pending', 'tool-none', 'done'],
  ['memory committed', 'tool-unsafe', 'done'],
];

const USUAL = ['call committed', 'answer committed', 'delta committed'];

/** Of the start that finds such a turn, and ends it. */
const ENDING = ['memory pending', 'interrupted pending', 'interrupted committed', 'interrupted delivered'];
const USUAL_ENDING = ['interrupted committed'];

describe('kill -9 of a turn with tools', () => {
  for (const [point, message, ends] of RUNS > 0 ? CASES : CASES.filter(([point]) => USUAL.includes(point))) {
    test(`at "${point}" of ${message} ends it as ${ends}, once`, async (t) => {
      const path = join(await tempDir(t), 'openagent.db');
      const { seen, isKilled } = await run(path, point, message);
      assert.ok(isKilled, `"${point}" was not reached`);
      const state = await comeBackAndCheck(path, seen, message);
      assert.equal(state, ends);
    });
  }

  for (const point of RUNS > 0 ? ENDING : USUAL_ENDING) {
    test(`and of the start that ends it, at "${point}", keeps its end and its memory together`, async (t) => {
      const path = join(await tempDir(t), 'openagent.db');
      const first = await run(path, 'tool acting', 'tool-unsafe');
      const second = await run(path, point, '');
      assert.deepEqual([first.isKilled, second.isKilled], [true, true], `"${point}" was not reached`);
      const state = await comeBackAndCheck(path, [...first.seen, ...second.seen], 'tool-unsafe');
      assert.equal(state, 'interrupted');
    });
  }

  test('of a start that had found it waiting, in its tool, does not call that again', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    const first = await run(path, 'accept committed', 'tool-unsafe');
    const second = await run(path, 'tool acting', '');
    assert.deepEqual([first.isKilled, second.isKilled], [true, true]);
    const state = await comeBackAndCheck(path, [...first.seen, ...second.seen], 'tool-unsafe');
    assert.equal(state, 'interrupted');
  });

  test(`at any point, twice, leaves it whole (${RUNS} seeds)`, { skip: RUNS === 0 }, async (t) => {
    for (let seed = SEED; seed < SEED + RUNS; seed += 1) {
      const path = join(await tempDir(t), 'openagent.db');
      const random = seeded(seed);
      const message = ['tool-none', 'tool-repeatable', 'tool-unsafe'][Math.floor(random() * 3)] ?? '';
      const seen: Frame[] = [];
      for (const messages of [message, '']) {
        const { seen: frames } = await run(path, `#${1 + Math.floor(random() * POINTS)}`, messages);
        seen.push(...frames);
      }
      await comeBackAndCheck(path, seen, message).catch((error: unknown) => {
        throw new Error(`seed ${seed}, ${message}: ${String(error)}`, { cause: error });
      });
    }
  });
});

async function run(path: string, point: string, messages: string) {
  const child = spawn(process.execPath, [...TYPESCRIPT, PROGRAM, path, point, messages], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk));
  const [, signal] = (await once(child, 'close')) as [number | null, string | null];
  const lines = output.split('\n').filter(Boolean);
  return { seen: lines.map((line) => JSON.parse(line) as Frame), isKilled: signal === 'SIGKILL' };
}

/** The next start, the same client, which resumes where it was. The state of the turn; undefined: never accepted. */
async function comeBackAndCheck(path: string, seen: readonly Frame[], message: string) {
  const { memory, ...parts } = killableTurns(path, () => {});
  const back = await openTurns(path, {
    model: parts.model,
    mind: ({ records }) => ({ ...parts, ...memory(records) }),
  });
  try {
    Object.assign(back.outlet, { wantsDeltas: true, wantsResume: true });
    const [row] = back.rows();
    if (row === undefined) {
      assert.ok(!seen.some(({ turn_id: turnId }) => turnId !== undefined), 'nobody was told of it');
      return undefined;
    }
    const afterSeq = Math.max(
      0,
      ...seen.filter(({ type }) => type === 'delta').map(({ seq }) => Number(seq)),
    );
    back.engine.resume({ sessionId: 's', afterSeq, turnId: undefined, id: undefined }, back.outlet);
    await until(() => back.rows().every(({ ended_at }) => ended_at !== null), 'the turn ends', 15_000);
    const [ended] = back.rows();
    await until(() => back.outlet.ends().length > 0 || isEnded(seen), 'its end arrives', 15_000);
    check(seen, back.outlet.frames, String(ended?.outcome), path, message);
    await checkMemory(back, parts.model.requests, ended?.state as Ending, actsOf(path).length);
    return ended?.state as Ending;
  } finally {
    // A check that failed leaves a turn behind, which would write for ever.
    await back.journal.close(1_000);
    back.db.close();
  }
}

/** The next turn of the conversation knows what was asked, and what was done. */
async function checkMemory(
  back: Awaited<ReturnType<typeof openTurns>>,
  requests: readonly ModelRequest[],
  state: Ending,
  acts: number,
): Promise<void> {
  const [before, [first]] = [requests.length, back.rows()];
  back.submit('tool-none');
  const request = await until(() => requests[before], 'the next turn asks the model', 15_000);
  const [asked, ...answer] = request.messages;
  assert.deepEqual(asked, { role: 'user', text: first?.text });
  const told = JSON.stringify(answer);
  assert.equal(told.includes('Ended here by a crash'), state === 'interrupted', told);
  const answers = answer.flatMap((said) => (said.role === 'tool' ? said.results : []));
  assert.equal(answers.length, 2, told);
  const known = answers.filter(({ isError }) => !isError).length;
  const unknown = answers.filter(({ text }) => text.includes('nobody knows')).length;
  assert.equal(unknown, state === 'interrupted' ? 1 : 0, told);
  if (state === 'interrupted') assert.ok(known <= acts && acts <= known + unknown, `${acts} acts: ${told}`);
  await until(() => back.rows().every(({ ended_at }) => ended_at !== null), 'it ends', 15_000);
}

const isEnd = ({ type }: Frame) => type === 'response' || type === 'error';
const isEnded = (frames: readonly Frame[]) => frames.some(isEnd);

function check(
  before: readonly Frame[],
  after: readonly Frame[],
  outcome: string,
  path: string,
  message: string,
): void {
  const ends = new Set([...before, ...after].filter(isEnd).map((frame) => JSON.stringify(frame)));
  assert.deepEqual([...ends], [outcome], 'one end, however often it is told');
  const deltas = [...before, ...after].filter(({ type }) => type === 'delta');
  let said: { seq: number; text: string }[] = [];
  for (const [at, { seq, text, void_after: voidAfter }] of deltas.entries()) {
    assert.equal(seq, at + 1, `no gap and nothing twice: ${JSON.stringify(deltas)}`);
    if (typeof voidAfter === 'number') said = said.filter((piece) => piece.seq <= voidAfter);
    said.push({ seq: Number(seq), text: String(text) });
  }
  const whole = said.map(({ text }) => text).join('');
  if ((JSON.parse(outcome) as Frame).type === 'response') {
    assert.equal((JSON.parse(outcome) as Frame).text, WHOLE);
    if (whole !== '') assert.equal(whole, WHOLE);
  } else assert.ok(WHOLE.startsWith(whole));
  const acts = actsOf(path);
  if (message === 'tool-unsafe') assert.equal(new Set(acts).size, acts.length, `twice: ${acts.join(', ')}`);
  assert.ok(acts.length > 0 || !outcome.includes('"response"'));
}
