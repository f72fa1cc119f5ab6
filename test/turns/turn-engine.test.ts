import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { namedClient } from '../../src/contract/client-key.ts';
import { systemClock } from '../../src/contract/clock.ts';
import { createEchoModel } from '../../src/models/echo.ts';
import { callOf as call, FakeOutlet, startTurns as start, until } from '../fixtures/turns.ts';

describe('a message', () => {
  test('is durable before its client hears of it, and its outcome before the answer', async (t) => {
    const s = await start(t);
    s.submit('hello');
    assert.equal(s.outlet.frames.length, 0);
    const first = await call(s, 0);
    assert.equal(s.rows()[0]?.state, 'accepted');
    assert.deepEqual(s.outlet.types(), ['status']);
    first.answer('hi');
    await until(() => s.outlet.frames.length >= 2, 'two frames');
    assert.equal(s.rows()[0]?.state, 'done');
    const turnId = s.outlet.frames[0]?.turn_id;
    assert.deepEqual(s.outlet.frames[1], {
      type: 'response',
      text: 'hi',
      attachments: null,
      model: 'scripted',
      session_id: 's',
      turn_id: turnId,
    });
    assert.equal(s.rows()[0]?.outcome, JSON.stringify(s.outlet.frames[1]));
  });

  test('waits for the one before it in its session, and says how many are ahead', async (t) => {
    const s = await start(t);
    for (const text of ['a', 'b', 'c']) s.submit(text);
    const first = await call(s, 0);
    await until(() => s.outlet.frames.length >= 3, 'three frames');
    assert.deepEqual(
      s.outlet.frames.filter((f) => f.type === 'queued').map((f) => [f.position, f.session_id]),
      [
        [1, 's'],
        [2, 's'],
      ],
    );
    assert.equal(s.model.calls.length, 1);
    first.answer('1');
    (await call(s, 1)).answer('2');
    (await call(s, 2)).answer('3');
    await until(() => s.outlet.ends().length === 3, 'three answers');
    assert.deepEqual(
      s.outlet.ends().map((f) => f.text),
      ['1', '2', '3'],
    );
  });

  test('runs beside those of other sessions', async (t) => {
    const s = await start(t);
    s.submit('a', { sessionId: 'one' });
    s.submit('b', { sessionId: 'two' });
    (await call(s, 1)).answer('second first');
    await until(() => s.outlet.ends().length === 1, 'an answer');
    assert.equal(s.outlet.ends()[0]?.session_id, 'two');
  });

  test('keeps numbers and null as session ids, apart from their texts', async (t) => {
    const s = await start(t);
    for (const sessionId of [5, '5', null]) s.submit('x', { sessionId });
    for (const index of [0, 1, 2]) (await call(s, index)).answer('y');
    await until(() => s.outlet.ends().length === 3, 'three answers');
    assert.deepEqual(new Set(s.outlet.ends().map((f) => f.session_id)), new Set([5, '5', null]));
    assert.deepEqual(
      s.rows().map((row) => row.session_id),
      [5, '5', null],
    );
  });

  test('with more than 20 waiting in its session is refused and leaves no trace', async (t) => {
    const s = await start(t);
    for (let i = 0; i < 22; i += 1) s.submit(`m${i}`);
    const refusal = await until(() => s.outlet.frames.find((f) => f.type === 'error'), 'a refusal');
    assert.equal(refusal.code, 'queue.session_full');
    assert.equal(refusal.session_id, 's');
    assert.equal(refusal.turn_id, undefined);
    await call(s, 0);
    assert.equal(s.rows().length, 21);
  });

  test('over the limit of its client or of the agent is refused', async (t) => {
    const s = await start(t, { limits: { waitingPerClient: 2, waitingPerAgent: 3 } });
    const other = new FakeOutlet(namedClient('other', ''));
    for (const i of [0, 1, 2]) s.submit('x', { sessionId: `s${i}` });
    for (const i of [3, 4]) s.submit('x', { sessionId: `s${i}`, outlet: other });
    assert.deepEqual(
      [s.outlet.frames[0]?.code, other.frames[0]?.code],
      ['queue.client_full', 'queue.agent_full'],
    );
  });

  test('that would fill the memory with waiting text is refused, one alone never', async (t) => {
    const s = await start(t, { limits: { waitingBytesPerAgent: 100 } });
    s.submit('x'.repeat(120), { sessionId: 'one' });
    s.submit('y', { sessionId: 'two' });
    assert.equal(s.outlet.frames[0]?.code, 'queue.agent_full');
    (await call(s, 0)).answer('done');
    await until(() => s.outlet.ends().length === 2, 'the answer');
    s.submit('y', { sessionId: 'two' });
    await call(s, 1);
  });

  test('whose model fails ends as an error with a code, and the next one runs', async (t) => {
    const s = await start(t);
    s.submit('a');
    s.submit('b');
    (await call(s, 0)).fail(new Error('secret internals'));
    (await call(s, 1)).answer('fine');
    await until(() => s.outlet.ends().length === 2, 'two ends');
    const [failed, fine] = s.outlet.ends();
    assert.equal(failed?.code, 'model.failed');
    assert.ok(!String(failed?.text).includes('secret'));
    assert.equal(fine?.text, 'fine');
    assert.equal(s.defects.length, 1);
    s.defects.length = 0;
  });

  test('has attachment markers taken out of its answer', async (t) => {
    const s = await start(t);
    s.submit('a');
    (await call(s, 0)).answer(' see [IMAGE: /tmp/a b.png] and [FILE:/x/y.pdf] [image:/no] [FILE:] ');
    await until(() => s.outlet.ends().length === 1, 'an answer');
    const [end] = s.outlet.ends();
    assert.equal(end?.text, 'see  and  [image:/no] [FILE:]');
    assert.deepEqual(end?.attachments, [
      { type: 'image', path: '/tmp/a b.png', filename: 'a b.png' },
      { type: 'file', path: '/x/y.pdf', filename: 'y.pdf' },
    ]);
  });

  test('streams deltas only to a client that asked for them, and ends with turn_complete', async (t) => {
    const model = createEchoModel({ delayMs: 1, clock: systemClock });
    const s = await start(t, { model });
    s.outlet.wantsDeltas = true;
    s.submit('one two');
    await until(() => s.outlet.types().includes('turn_complete'), 'turn_complete');
    const deltas = s.outlet.frames.filter((f) => f.type === 'delta');
    assert.deepEqual(
      deltas.map((f) => f.seq),
      [1, 2, 3],
    );
    assert.equal(deltas.map((f) => f.text).join(''), 'echo: one two');
    assert.deepEqual(s.outlet.types().slice(-2), ['response', 'turn_complete']);
  });

  test('runs at most as many model calls at once as allowed', async (t) => {
    const s = await start(t, { limits: { concurrentModelCalls: 2 } });
    for (const i of [0, 1, 2, 3]) s.submit('x', { sessionId: `s${i}` });
    await call(s, 1);
    assert.equal(s.model.calls.length, 2);
    s.model.calls[0]?.answer('y');
    await call(s, 2);
    assert.equal(s.model.calls.length, 3);
  });
});

describe('the same message again', () => {
  test('is not run twice, and gets the outcome of the first', async (t) => {
    const s = await start(t);
    s.submit('pay', { id: 'k1' });
    s.submit('pay', { id: 'k1' });
    (await call(s, 0)).answer('paid');
    await until(() => s.outlet.ends().length === 1, 'the answer');
    s.submit('pay', { id: 'k1' });
    assert.equal(s.outlet.ends().length, 2);
    assert.deepEqual(s.outlet.ends()[0], s.outlet.ends()[1]);
    assert.equal(s.outlet.ends()[0]?.id, 'k1');
    assert.equal(s.model.calls.length, 1);
    assert.equal(s.rows().length, 1);
  });

  test('under an id that another text has is refused', async (t) => {
    const s = await start(t);
    s.submit('pay', { id: 'k1' });
    s.submit('pay twice', { id: 'k1' });
    assert.equal(s.outlet.frames[0]?.code, 'message.id_reused');
  });

  test('from another client is another message', async (t) => {
    const s = await start(t);
    const other = new FakeOutlet(namedClient('other', ''));
    s.submit('pay', { id: 'k1' });
    s.submit('pay', { id: 'k1', sessionId: 's2', outlet: other });
    await call(s, 1);
    assert.equal(s.rows().length, 2);
  });
});
