import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { namedClient } from '../../src/contract/client-key.ts';
import { createThinkingModel, type Said } from '../fixtures/thinking.ts';
import { FakeOutlet, startTurns, until } from '../fixtures/turns.ts';

function streaming(name = 'tester'): FakeOutlet {
  return Object.assign(new FakeOutlet(namedClient(name, '')), { wantsDeltas: true, wantsResume: true });
}

/** A model that says a word whenever the test lets it. */
async function start(t: TestContext) {
  const words: ((word: Said | undefined) => void)[] = [];
  const model = {
    ...createThinkingModel(() => []),
    async *stream() {
      for (;;) {
        const word = await new Promise<Said | undefined>((resolve) => words.push(resolve));
        if (word === undefined) break;
        yield { type: 'text', delta: String(word) } as const;
      }
      yield { type: 'finish', reason: 'stop' } as const;
    },
  };
  const s = await startTurns(t, { model, mind: () => ({}) });
  const say = async (word: Said | undefined) => {
    const next = await until(() => words.shift(), 'the model waits for a word');
    next(word);
  };
  return { ...s, say };
}

const deltas = (outlet: FakeOutlet) => outlet.frames.filter(({ type }) => type === 'delta');
const textOf = (outlet: FakeOutlet) =>
  deltas(outlet)
    .map(({ text }) => text)
    .join('');
const wish = (afterSeq: number) => ({ sessionId: 's', afterSeq, turnId: undefined, id: 'r' });

describe('a client that resumes', () => {
  test('gets what it missed, then the rest as it comes, nothing twice and nothing missing', async (t) => {
    const s = await start(t);
    const first = streaming();
    s.engine.attach(first);
    s.submit('go', { outlet: first });
    await s.say('one ');
    await until(() => textOf(first) === 'one ', 'the first piece');
    first.close();
    s.engine.detach(first, []);
    await s.say('two ');
    const second = streaming();
    s.engine.attach(second);
    s.engine.resume(wish(1), second);
    await s.say('three');
    await s.say(undefined);
    await until(() => second.types().includes('turn_complete'), 'the end');
    assert.deepEqual(
      [second.frames[0]?.type, second.frames[0]?.state, second.frames[0]?.id],
      ['resumed', 'running', 'r'],
    );
    const seqs = deltas(second).map(({ seq }) => seq);
    assert.deepEqual(
      seqs,
      seqs.map((_, at) => at + 2),
    );
    assert.equal(textOf(second), 'two three');
    assert.equal(second.ends()[0]?.text, 'one two three');
  });

  test('has each piece on disk before it is sent', async (t) => {
    const s = await start(t);
    const outlet = streaming();
    const send = outlet.send.bind(outlet);
    const rows: number[] = [];
    outlet.send = (frame) => {
      const { type, seq } = JSON.parse(frame);
      if (type === 'delta')
        rows.push(s.steps.deltasOf(2 ** 32 + 1, 0).filter((piece) => piece.seq === seq).length);
      send(frame);
    };
    s.submit('go', { outlet });
    for (const word of ['one ', 'two ', 'three', undefined]) await s.say(word);
    await until(() => outlet.ends().length === 1, 'the end');
    assert.ok(rows.length >= 2 && rows.every((count) => count === 1), rows.join());
    assert.equal(textOf(outlet), 'one two three');
  });

  test('of a turn that was begun without, gets all of it from then on', async (t) => {
    const s = await start(t);
    const plain = new FakeOutlet();
    s.submit('go', { outlet: plain });
    await s.say('one ');
    await s.say('two ');
    const outlet = streaming();
    s.engine.resume(wish(0), outlet);
    await s.say('three');
    await s.say(undefined);
    await until(() => outlet.ends().length === 1, 'the end');
    assert.equal(textOf(outlet), 'one two three');
    assert.equal(deltas(plain).length, 0);
  });

  test('to a turn that has ended, gets its pieces and the same end; to nothing, is told so', async (t) => {
    const s = await start(t);
    const outlet = streaming();
    s.submit('go', { outlet });
    for (const word of ['one ', undefined]) await s.say(word);
    await until(() => outlet.ends().length === 1, 'the end');
    const back = streaming();
    s.engine.resume(wish(0), back);
    assert.deepEqual(back.types(), ['resumed', 'delta', 'response', 'turn_complete']);
    assert.deepEqual(back.ends()[0], outlet.ends()[0]);
    const turnId = String(outlet.ends()[0]?.turn_id);
    for (const [wanted, from] of [
      [{ ...wish(0), sessionId: 'another' }, back],
      [{ ...wish(0), turnId: '9-9' }, back],
      [{ ...wish(0), turnId }, streaming('stranger')],
    ] as const) {
      from.frames = [];
      s.engine.resume(wanted, from);
      assert.deepEqual(from.frames, [
        { type: 'resumed', session_id: wanted.sessionId, state: 'none', id: 'r' },
      ]);
    }
  });
});
