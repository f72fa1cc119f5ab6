/** When the pieces of an answer are written, for a client to which each piece has to be durable. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerStream } from '../../src/actors/turns/answer-stream.ts';
import { createTurn } from '../../src/actors/turns/turn.ts';
import { namedClient, type SessionId } from '../../src/contract/client-key.ts';
import type { TurnSteps } from '../../src/storage/turn-steps.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { FakeOutlet } from '../fixtures/turns.ts';

/** Timers of Node count whole milliseconds: they may fire a part of one before their moment. */
function createEarlyClock() {
  const clock = createTestClock();
  return {
    ...clock,
    setTimeout: (callback: () => void, delayMs: number) =>
      clock.setTimeout(callback, Math.max(0, delayMs - 0.4)),
  };
}

test('answers that speak at once are written at the same moments, also where timers are early', () => {
  const clock = createEarlyClock();
  const writtenMs = new Set<number>();
  let pieces = 0;
  const steps = {
    recordDeltas: (_turn: number, _deltas: readonly unknown[], committed: () => void) => {
      writtenMs.add(Math.round(clock.monotonicMs()));
      pieces += 1;
      committed();
    },
  } as unknown as TurnSteps;
  const client = namedClient('tester', '');
  const streams = Array.from({ length: 4 }, (_, at) => {
    const outlet = Object.assign(new FakeOutlet(client), { wantsDeltas: true, wantsResume: true });
    const input = { rowId: at + 1, sessionId: `s${at}` as SessionId, client, messageId: undefined };
    const turn = createTurn({ ...input, text: '', attachments: [], acceptedAtMs: 0 }, outlet, false);
    return new AnswerStream(turn, { steps, clock });
  });
  // Each says a word every 20 ms, one after the other.
  for (let ms = 0; ms < 1_000; ms += 5) {
    streams[(ms / 5) % streams.length]?.push('word ');
    for (let step = 0; step < 25; step += 1) clock.advance(0.2);
  }
  assert.ok(pieces >= 4 * 19, String(pieces));
  // Four first words; from then on a moment every 50 ms.
  assert.ok(writtenMs.size <= 4 + 20, [...writtenMs].join(' '));
});
