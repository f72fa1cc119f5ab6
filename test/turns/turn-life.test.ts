import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { namedClient, unnamedClient } from '../../src/contract/client-key.ts';
import { systemClock } from '../../src/contract/clock.ts';
import { callOf as call, FakeOutlet, startTurns as start, until } from '../fixtures/turns.ts';

describe('stop and clear', () => {
  test('stop ends the running turn and every waiting one, each with its own error', async (t) => {
    const s = await start(t);
    for (const text of ['a', 'b', 'c']) s.submit(text);
    await call(s, 0);
    assert.deepEqual(s.engine.stop(s.outlet.client, undefined), { running: 1, waiting: 2 });
    await until(() => s.outlet.ends().length === 3, 'three ends');
    assert.deepEqual(
      new Set(s.outlet.ends().map((f) => f.code)),
      new Set(['turn.cancelled', 'turn.dropped']),
    );
    assert.equal(new Set(s.outlet.ends().map((f) => f.turn_id)).size, 3);
    assert.deepEqual(
      s.rows().map((row) => row.state),
      ['cancelled', 'cancelled', 'cancelled'],
    );
  });

  test('stop reaches a message that is not durable yet', async (t) => {
    const s = await start(t);
    s.submit('a');
    s.engine.stop(s.outlet.client, undefined);
    await until(() => s.outlet.ends().length === 1, 'its end');
    assert.equal(s.outlet.ends()[0]?.code, 'turn.dropped');
    assert.equal(s.model.calls.length, 0);
  });

  test('stop of one session leaves the others alone', async (t) => {
    const s = await start(t);
    s.submit('a', { sessionId: 'one' });
    s.submit('b', { sessionId: 'two' });
    await call(s, 1);
    s.engine.stop(s.outlet.client, 'one');
    await until(() => s.outlet.ends().length === 1, 'an end');
    s.model.calls[1]?.answer('still here');
    await until(() => s.outlet.ends().length === 2, 'the other end');
    assert.deepEqual(
      s.outlet.ends().map((f) => [f.session_id, f.type]),
      [
        ['one', 'error'],
        ['two', 'response'],
      ],
    );
  });

  test('stop of one client leaves the others alone', async (t) => {
    const s = await start(t);
    const other = new FakeOutlet(namedClient('other', ''));
    s.submit('a', { sessionId: 'one' });
    s.submit('b', { sessionId: 'two', outlet: other });
    await call(s, 1);
    assert.deepEqual(s.engine.stop(other.client, undefined), { running: 1, waiting: 0 });
    await until(() => other.ends().length === 1, 'the end');
    assert.equal(s.outlet.ends().length, 0);
  });

  test('a model that ignores its signal keeps neither the turn nor its place', async (t) => {
    const s = await start(t, { limits: { concurrentModelCalls: 1 } });
    s.model.isDeaf = true;
    s.submit('a');
    s.submit('b', { sessionId: 'other' });
    await call(s, 0);
    s.engine.stop(s.outlet.client, 's');
    (await call(s, 1)).answer('mine');
    await until(() => s.outlet.ends().length === 2, 'both ends');
    s.model.calls[0]?.answer('too late');
    await until(() => s.rows().every((row) => row.ended_at !== null), 'both outcomes');
    assert.equal(s.outlet.ends().length, 2);
  });

  test('clear withdraws what waits and leaves what runs', async (t) => {
    const s = await start(t);
    for (const text of ['a', 'b']) s.submit(text);
    await call(s, 0);
    assert.equal(s.engine.clear(s.outlet.client, undefined), 1);
    s.model.calls[0]?.answer('done');
    await until(() => s.outlet.ends().length === 2, 'both ends');
    assert.deepEqual(new Set(s.outlet.types()), new Set(['status', 'queued', 'error', 'response']));
  });
});

describe('a client that goes away', () => {
  test('gets its answer when it is back, once', async (t) => {
    const s = await start(t);
    s.submit('a');
    await call(s, 0);
    s.outlet.close();
    s.engine.detach(s.outlet, []);
    s.model.calls[0]?.answer('for later');
    await until(() => s.rows()[0]?.state === 'done', 'the outcome');
    const back = new FakeOutlet();
    s.engine.attach(back);
    assert.deepEqual(
      back.frames.map((f) => f.text),
      ['for later'],
    );
    const again = new FakeOutlet();
    s.engine.attach(again);
    assert.deepEqual(again.frames, []);
    s.engine.confirm(back.terminals);
    s.journal.flush();
    assert.equal(s.rows()[0]?.open, 0);
  });

  test('gets again what may not have arrived', async (t) => {
    const s = await start(t);
    s.submit('a');
    (await call(s, 0)).answer('answer');
    await until(() => s.outlet.ends().length === 1, 'the answer');
    s.outlet.close();
    s.engine.detach(s.outlet, s.outlet.terminals);
    const back = new FakeOutlet();
    s.engine.attach(back);
    assert.deepEqual(back.frames, s.outlet.ends());
  });

  test('is served on its other connection', async (t) => {
    const s = await start(t);
    const second = new FakeOutlet();
    s.engine.attach(second);
    s.submit('a');
    await call(s, 0);
    s.outlet.close();
    s.engine.detach(s.outlet, []);
    s.model.calls[0]?.answer('there');
    await until(() => second.ends().length === 1, 'the answer');
  });

  test('never sees the answers of a client with another name or credential', async (t) => {
    const s = await start(t);
    s.submit('a');
    await call(s, 0);
    s.outlet.close();
    s.engine.detach(s.outlet, []);
    s.model.calls[0]?.answer('private');
    await until(() => s.rows()[0]?.state === 'done', 'the outcome');
    for (const client of [namedClient('other', ''), namedClient('tester', 'abc'), unnamedClient(1, 1)]) {
      const stranger = new FakeOutlet(client);
      s.engine.attach(stranger);
      assert.deepEqual(stranger.frames, []);
    }
  });

  test('without a name leaves nothing open', async (t) => {
    const s = await start(t);
    const unnamed = new FakeOutlet(unnamedClient(1, 1));
    s.submit('a', { outlet: unnamed });
    (await call(s, 0)).answer('x');
    await until(() => unnamed.ends().length === 1, 'the answer');
    assert.equal(s.rows()[0]?.open, 0);
  });

  test('gets no more than its limit of missed frames, the newest', async (t) => {
    const s = await start(t, { limits: { redeliveriesPerClient: 2 } });
    s.outlet.close();
    s.engine.detach(s.outlet, []);
    for (const i of [0, 1, 2]) {
      s.submit('x', { sessionId: `s${i}` });
      (await call(s, i)).answer(`a${i}`);
      await until(() => s.rows()[i]?.state === 'done', 'the outcome');
    }
    const back = new FakeOutlet();
    s.engine.attach(back);
    assert.deepEqual(
      back.frames.map((f) => f.text),
      ['a1', 'a2'],
    );
  });

  test('gets nothing that is older than the limit', async (t) => {
    let nowMs = Date.now();
    const clock = { ...systemClock, wallMs: () => nowMs };
    const s = await start(t, { clock });
    s.submit('a');
    await call(s, 0);
    s.outlet.close();
    s.engine.detach(s.outlet, []);
    s.model.calls[0]?.answer('old');
    await until(() => s.rows()[0]?.state === 'done', 'the outcome');
    nowMs += 10 * 60_000 + 1;
    const back = new FakeOutlet();
    s.engine.attach(back);
    assert.deepEqual(back.frames, []);
  });
});

describe('drain', () => {
  test('for a restart lets the running turn end, queues new ones, and starts none', async (t) => {
    const s = await start(t);
    s.submit('a');
    await call(s, 0);
    s.engine.beginDrain('restart');
    s.submit('b', { sessionId: 'new' });
    const queued = await until(() => s.outlet.frames.find((f) => f.type === 'queued'), 'queued');
    assert.equal(queued.position, 1);
    const drained = s.engine.drained(60_000);
    s.model.calls[0]?.answer('done');
    await drained;
    assert.equal(s.model.calls.length, 1);
    assert.deepEqual(
      s.rows().map((row) => row.state),
      ['done', 'accepted'],
    );
  });

  test('for a stop refuses new messages with agent.stopping', async (t) => {
    const s = await start(t);
    s.engine.beginDrain('stop');
    s.submit('a');
    assert.equal(s.outlet.frames[0]?.code, 'agent.stopping');
    assert.equal(s.rows().length, 0);
  });

  test('leaves what does not end in time to the next start, without a frame', async (t) => {
    const s = await start(t, { limits: { concurrentModelCalls: 1 } });
    s.model.isDeaf = true;
    s.submit('a', { sessionId: 'one' });
    s.submit('b', { sessionId: 'two' });
    await call(s, 0);
    s.engine.beginDrain('stop');
    await s.engine.drained(1);
    assert.equal(s.outlet.ends().length, 0);
    s.journal.flush();
    assert.ok(s.rows().every((row) => row.ended_at === null && row.open === 1));
  });
});
