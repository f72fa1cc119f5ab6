import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { TurnTally } from '../../src/actors/turns/turn-tally.ts';
import { TURN_SECONDS } from '../../src/contract/worker-protocol.ts';
import { callOf as call, openTurns, startTurns as start, tempDir, until } from '../fixtures/turns.ts';

test('every turn is counted once, as what became of it', async (t) => {
  const s = await start(t);
  for (const text of ['a', 'b', 'c', 'd']) s.submit(text);
  (await call(s, 0)).answer('fine');
  (await call(s, 1)).fail(new Error('no such model'));
  await call(s, 2);
  s.engine.stop(s.outlet.client, undefined);
  await until(() => s.outlet.ends().length === 4, 'four ends');
  assert.equal(s.defects.splice(0).length, 1);

  const { took, tookMs, ...counts } = s.engine.totals();
  assert.deepEqual(counts, { accepted: 4, done: 1, failed: 1, cancelled: 2, interrupted: 0 });
  assert.equal(sum(took), 4);
  assert.ok(tookMs >= 0);
});

test('a turn that an earlier start left open counts as ended here, and as accepted there', async (t) => {
  const path = join(await tempDir(t), 'openagent.db');
  const first = await openTurns(path);
  first.submit('acts', { sessionId: 'one' });
  first.submit('answers', { sessionId: 'two' });
  await call(first, 1);
  assert.equal(first.engine.totals().accepted, 2);
  first.db.prepare(`UPDATE turns SET effects = 1 WHERE text = 'acts'`).run();
  first.db.close();

  const second = await openTurns(path);
  t.after(() => second.db.close());
  (await call(second, 0)).answer('late');
  await until(() => second.outlet.ends().length === 2, 'both ends');
  const { took, tookMs: _, ...counts } = second.engine.totals();
  assert.deepEqual(counts, { accepted: 0, done: 1, failed: 0, cancelled: 0, interrupted: 1 });
  assert.equal(sum(took), 2);
});

test('a time on a bound belongs to it, and a longer one to the next', () => {
  const tally = new TurnTally();
  TURN_SECONDS.forEach((seconds, at) => {
    tally.ended('done', seconds * 1_000);
    tally.ended('done', seconds * 1_000 + 1);
    const { took } = tally.totals();
    assert.equal(took[at], at === 0 ? 1 : 2, `${seconds} s`);
    assert.equal(took[at + 1], 1);
  });
  tally.ended('failed', -5);
  const { took, tookMs, done, failed } = tally.totals();
  assert.deepEqual([took[0], done, failed], [2, 2 * TURN_SECONDS.length, 1]);
  const bounds = TURN_SECONDS.reduce((total: number, seconds) => total + seconds * 2_000 + 1, 0);
  assert.ok(Math.abs(tookMs - bounds) < 1e-6);
});

test('what was told before does not change afterwards', () => {
  const tally = new TurnTally();
  const before = tally.totals();
  tally.accepted();
  tally.ended('done', 1);
  assert.equal(before.accepted + before.done + sum(before.took), 0);
});

const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
