/** Bodies of answers between the network and what reads them: first words at once, all else in turns. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { BodyTurns, paceBody } from '../../src/models/paced-body.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';

/** An answer whose bytes come when a test says so. */
function createAnswer(turns: BodyTurns) {
  let network: ReadableStreamDefaultController<Uint8Array> | undefined;
  const state = { hasSpoken: false, reads: 0, cancelled: undefined as unknown, touches: 0 };
  const abort = new AbortController();
  const source = new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        network = controller;
      },
      pull: () => {
        state.reads += 1;
      },
      cancel: (reason) => {
        state.cancelled = reason;
      },
    },
    { highWaterMark: 0 },
  );
  const body = paceBody(source, {
    turns,
    onBytes: () => {
      state.touches += 1;
    },
    isUrgent: () => !state.hasSpoken,
    signal: abort.signal,
  });
  const pieces: string[] = [];
  const reader = body.getReader();
  const read = async (): Promise<string> => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return 'end';
      pieces.push(Buffer.from(value).toString());
    }
  };
  return {
    state,
    abort,
    pieces,
    reader,
    read,
    send: (text: string) => network?.enqueue(Buffer.from(text)),
    end: () => network?.close(),
    fail: (error: Error) => network?.error(error),
  };
}

/** All that can happen without the clock has happened. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await turnOfTheLoop();
}

function createSpeaking(turns: BodyTurns) {
  const answer = createAnswer(turns);
  answer.state.hasSpoken = true;
  const ended = answer.read();
  return { ...answer, ended };
}

describe('the body of an answer', () => {
  test('passes each piece at once until the answer has begun to speak', async () => {
    const answer = createAnswer(new BodyTurns(createTestClock()));
    const ended = answer.read();
    for (const piece of ['a', 'b', 'c']) {
      answer.send(piece);
      await settled();
    }
    assert.deepEqual(answer.pieces, ['a', 'b', 'c']);
    assert.equal(answer.state.touches, 3);
    answer.end();
    assert.equal(await ended, 'end');
  });

  test('has one turn a millisecond with others, and then all that came meanwhile is one piece', async () => {
    const clock = createTestClock();
    const turns = new BodyTurns(clock);
    const [one, two] = [createSpeaking(turns), createSpeaking(turns)];
    for (const piece of ['a', 'b', 'c']) {
      for (const { send } of [one, two]) send(piece);
    }
    await settled();
    assert.deepEqual([one.pieces, two.pieces], [['abc'], []]);
    two.send('d');
    await settled();
    clock.advance(1);
    await settled();
    assert.deepEqual([one.pieces, two.pieces], [['abc'], ['abcd']]);
  });

  test('waits no longer for its turn than a moment, however many speak', async () => {
    const clock = createTestClock();
    const turns = new BodyTurns(clock);
    const answers = Array.from({ length: 200 }, () => createSpeaking(turns));
    for (const { send } of answers) send('a');
    await settled();
    for (let ms = 0; ms < 150; ms += 1) {
      clock.advance(1);
      await settled();
    }
    assert.ok(answers.every(({ pieces }) => pieces.length === 1));
  });

  test('begins while others wait for their turn', async () => {
    const turns = new BodyTurns(createTestClock());
    const speaking = Array.from({ length: 10 }, () => createSpeaking(turns));
    for (const { send } of speaking) send('more');
    const fresh = createAnswer(turns);
    void fresh.read();
    fresh.send('first');
    await settled();
    assert.deepEqual(fresh.pieces, ['first']);
    assert.equal(speaking.filter(({ pieces }) => pieces.length > 0).length, 1);
  });

  test('ends behind all that it holds, well or badly', async () => {
    const clock = createTestClock();
    const turns = new BodyTurns(clock);
    const [first, good, bad] = [createSpeaking(turns), createSpeaking(turns), createSpeaking(turns)];
    for (const { send } of [first, good, bad]) send('last');
    await settled();
    good.end();
    bad.fail(new Error('cut'));
    await settled();
    assert.deepEqual([good.pieces, bad.pieces], [[], []]);
    const failed = assert.rejects(bad.ended, /cut/);
    clock.advance(1);
    await settled();
    clock.advance(1);
    assert.equal(await good.ended, 'end');
    await failed;
    assert.deepEqual([good.pieces, bad.pieces], [['last'], ['last']]);
  });

  test('ends at once when nobody wants it any more', async () => {
    const turns = new BodyTurns(createTestClock());
    const [first, stopped] = [createSpeaking(turns), createSpeaking(turns)];
    for (const { send } of [first, stopped]) send('more');
    await settled();
    const reason = new Error('stopped');
    stopped.abort.abort(reason);
    await assert.rejects(stopped.ended, /stopped/);
    assert.deepEqual(stopped.pieces, []);
    assert.equal(stopped.state.cancelled, reason, 'also where what gives the bytes never heard of it');
    const late = createAnswer(turns);
    late.abort.abort(reason);
    await assert.rejects(late.read(), /stopped/);
  });

  test('is read a few kilobytes at a time, nothing lost and nothing twice', async () => {
    const clock = createTestClock();
    const answer = createSpeaking(new BodyTurns(clock));
    const text = Array.from({ length: 3_000 }, (_, at) => String(at)).join(' ');
    answer.send(text);
    answer.end();
    for (let turn = 0; turn < 10; turn += 1) {
      await settled();
      clock.advance(1);
    }
    assert.equal(await answer.ended, 'end');
    assert.ok(answer.pieces.length > 2 && answer.pieces.every(({ length }) => length <= 4_096));
    assert.equal(answer.pieces.join(''), text);
  });

  test('leaves what nobody reads in the network', async () => {
    const answer = createAnswer(new BodyTurns(createTestClock()));
    for (let sent = 0; sent < 100; sent += 1) {
      answer.send('x'.repeat(16_384));
      await settled();
    }
    assert.ok(answer.state.touches <= 17, String(answer.state.touches));
    const { value } = await answer.reader.read();
    assert.equal(value?.byteLength, 4_096);
  });

  test('tells its source that it is not wanted', async () => {
    const answer = createAnswer(new BodyTurns(createTestClock()));
    await answer.reader.cancel('enough');
    assert.equal(answer.state.cancelled, 'enough');
  });
});
