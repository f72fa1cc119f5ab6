/** Uploads give way to what else the thread has to do, and none of them waits for ever. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Clock, systemClock } from '../../src/contract/clock.ts';
import { Pace } from '../../src/uploads/pace.ts';

const KIB = 1024;
/** However slow the machine is. */
const still: Clock = { ...systemClock, monotonicMs: () => 0 };

async function* body(chunks: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let n = 0; n < chunks; n += 1) yield new Uint8Array(bytes);
}

/** How often the event loop goes round until all of them are through. */
async function roundsOf(bodies: readonly AsyncIterable<Uint8Array>[], clock = still): Promise<number> {
  const pace = new Pace(clock);
  let rounds = 0;
  let isOver = false;
  const count = (): void => {
    if (isOver) return;
    rounds += 1;
    setImmediate(count);
  };
  count();
  await Promise.all(
    bodies.map(async (each) => {
      for await (const _ of pace.through(each));
    }),
  );
  isOver = true;
  return rounds;
}

test('the event loop goes round between two pieces of an upload, in which others have their turn', async () => {
  assert.ok((await roundsOf([body(100, 128 * KIB)])) >= 200);
});

test('many uploads take no more of the thread than one', async () => {
  const eight = Array.from({ length: 8 }, () => body(20, 128 * KIB));
  assert.ok((await roundsOf(eight)) >= 320);
});

test('where rounds take long, an upload waits for one of them only', async () => {
  let nowMs = 0;
  const slow: Clock = { ...systemClock, monotonicMs: () => (nowMs += 1_000) };
  const rounds = await roundsOf([body(100, 128 * KIB)], slow);
  assert.ok(rounds >= 90 && rounds < 250, `${rounds}`);
});

test('what comes in small chunks waits no more often than what comes in large ones', async () => {
  assert.ok((await roundsOf([body(127, KIB)])) < 10);
});

test('an upload whose client is slow holds up no other', async () => {
  const pace = new Pace(still);
  let send = (): void => {};
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(128 * KIB);
    await new Promise<void>((resolve) => {
      send = resolve;
    });
    yield new Uint8Array(1);
  }
  const slowOne = (async () => {
    let bytes = 0;
    for await (const chunk of pace.through(slow())) bytes += chunk.byteLength;
    return bytes;
  })();
  let bytes = 0;
  for await (const chunk of pace.through(body(50, 128 * KIB))) bytes += chunk.byteLength;
  assert.equal(bytes, 50 * 128 * KIB);
  send();
  assert.equal(await slowOne, 128 * KIB + 1);
});
