import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { systemClock } from '../../src/contract/clock.ts';
import { DEFAULT_LIMITS } from '../../src/contract/limits.ts';
import { FakeOutlet, openTurns, type Setup, tempDir, until } from '../fixtures/turns.ts';

interface AwaySetup extends Setup {
  later(ms: number): void;
  /** The same directory at its next start. */
  again(): Promise<Setup>;
}

/** One answer whose client is away. */
async function answerNobody(t: TestContext): Promise<AwaySetup> {
  let nowMs = Date.now();
  const clock = { ...systemClock, wallMs: () => nowMs };
  const path = join(await tempDir(t), 'openagent.db');
  const s = await openTurns(path, { clock });
  t.after(() => s.db.close());
  s.submit('a');
  const call = await until(() => s.model.calls[0], 'the model call');
  s.outlet.close();
  s.engine.detach(s.outlet, []);
  call.answer('b');
  await until(() => s.rows()[0]?.state === 'done', 'the outcome');
  const again = async () => {
    s.db.close();
    const next = await openTurns(path, { clock });
    t.after(() => next.db.close());
    return next;
  };
  const later = (ms: number) => {
    nowMs += ms;
  };
  return { ...s, later, again };
}

describe('a frame that nobody came back for', () => {
  test('is let go when it is too old to be sent, and not before', async (t) => {
    const s = await answerNobody(t);
    s.later(DEFAULT_LIMITS.redeliveryMs);
    s.engine.expireUndelivered();
    s.journal.flush();
    assert.equal(s.rows()[0]?.open, 1);
    s.later(1);
    s.engine.expireUndelivered();
    s.journal.flush();
    assert.equal(s.rows()[0]?.open, 0);
    const back = new FakeOutlet();
    s.engine.attach(back);
    assert.deepEqual(back.frames, []);
  });

  test('is let go by the next start when it is too old', async (t) => {
    const s = await answerNobody(t);
    s.later(DEFAULT_LIMITS.redeliveryMs + 1);
    const next = await s.again();
    next.journal.flush();
    assert.equal(next.rows()[0]?.open, 0);
  });

  test('is read by the next start without the message it answers', async (t) => {
    const s = await answerNobody(t);
    const { journal } = s;
    assert.deepEqual(
      journal.openTurns().map(({ endedAtMs, text }) => [typeof endedAtMs, text]),
      [['number', '']],
    );
  });

  test('waits on when the socket it was to follow is cut', async (t) => {
    const s = await openTurns(join(await tempDir(t), 'openagent.db'));
    t.after(() => s.db.close());
    s.outlet.close();
    s.engine.detach(s.outlet, []);
    for (const index of [0, 1]) {
      s.submit('a', { sessionId: `s${index}` });
      (await until(() => s.model.calls[index], 'the model call')).answer(`b${index}`);
      await until(() => s.rows()[index]?.state === 'done', 'the outcome');
    }
    const slow = new FakeOutlet();
    const send = slow.send.bind(slow);
    slow.send = (frame) => {
      send(frame);
      slow.close();
    };
    s.engine.attach(slow);
    s.engine.detach(slow, []);
    const back = new FakeOutlet();
    s.engine.attach(back);
    assert.deepEqual(
      [slow, back].map((outlet) => outlet.ends().map(({ text }) => text)),
      [['b0'], ['b1']],
    );
  });
});
