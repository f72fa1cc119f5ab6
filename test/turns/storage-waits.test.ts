import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { FakeOutlet, openTurns, type Setup, tempDir, until } from '../fixtures/turns.ts';

const BIG = 'x'.repeat(100_000);

async function start(t: TestContext): Promise<Setup & { fill(): void }> {
  const setup = await openTurns(join(await tempDir(t), 'openagent.db'));
  const setPages = (count: number) => setup.db.pragma(`max_page_count = ${count}`);
  // With space again what is kept is written, and its timer lets the process end.
  t.after(async () => {
    setPages(100_000);
    await until(() => setup.journal.isIdle() || setup.journal.flush(), 'everything written');
    setup.db.close();
  });
  return { ...setup, fill: () => setPages(setup.db.pragma('page_count', { simple: true }) as number) };
}

/** A turn whose answer has come and finds the disk full. */
async function answerUnwritable(s: Setup & { fill(): void }): Promise<void> {
  s.submit('a');
  const call = await until(() => s.model.calls[0], 'the model call');
  s.journal.flush();
  s.fill();
  call.answer(BIG);
  await until(() => !s.journal.isIdle(), 'the outcome to be kept');
}

describe('while the disk is full', () => {
  test('a drain ends, and the outcome is still written when there is space', async (t) => {
    const s = await start(t);
    await answerUnwritable(s);
    s.submit('next');
    s.engine.beginDrain('restart');
    let isDrained = false;
    void s.engine.drained(1).then(() => {
      isDrained = true;
    });
    await until(() => isDrained, 'the drain to end');
    assert.equal(s.outlet.ends().filter((frame) => frame.type === 'response').length, 0);
    s.db.pragma('max_page_count = 100000');
    assert.equal(s.journal.flush(), true);
    assert.equal(s.rows()[0]?.state, 'done');
    assert.equal(s.outlet.ends().filter((frame) => frame.type === 'response').length, 1);
    assert.equal(s.model.calls.length, 1);
  });

  test('a message sent again from a new socket is refused there', async (t) => {
    const s = await start(t);
    s.fill();
    s.submit(BIG, { id: 'k' });
    s.outlet.close();
    const back = new FakeOutlet();
    s.submit(BIG, { id: 'k', outlet: back });
    const refusal = await until(() => back.ends()[0], 'the refusal');
    assert.equal(refusal.code, 'storage.unavailable');
    assert.equal(refusal.id, 'k');
  });
});
