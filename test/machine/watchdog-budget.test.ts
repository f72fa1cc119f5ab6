/** When the launcher starts a host again, when it gives up, and when it takes silence for death. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRespawnBudget, createSilence } from '../../bin/respawn-budget.mjs';
import { EXIT_CODES } from '../../src/supervisor/exit-codes.ts';
import { readSource } from '../fixtures/source-tree.ts';

test('the first death is answered at once, each further one later, the sixth within a minute not at all', () => {
  const budget = createRespawnBudget();
  const waits = [0, 1_000, 2_000, 3_000, 4_000, 5_000].map((at) => budget.died(at));
  assert.deepEqual(waits, [0, 250, 500, 1_000, 2_000, undefined]);
});

test('deaths are forgotten after a minute, and the pauses with them', () => {
  const budget = createRespawnBudget();
  for (let at = 0; at < 3; at++) budget.died(at);
  assert.equal(budget.recent(60_000), 2);
  assert.equal(budget.died(70_000), 0);
});

test('one death every 13 seconds is never given up', () => {
  const budget = createRespawnBudget();
  for (let at = 0; at < 3_600_000; at += 13_000) assert.notEqual(budget.died(at), undefined);
});

test('pauses end at their bound', () => {
  const budget = createRespawnBudget({ intensity: 50 });
  const waits = Array.from({ length: 12 }, () => budget.died(0));
  assert.equal(waits.at(-1), 5_000);
});

test('a forgiven death costs nothing: whoever did it pays', () => {
  const budget = createRespawnBudget();
  for (let at = 0; at < 100; at++) {
    assert.equal(budget.died(at), 0);
    budget.forgive();
  }
  assert.equal(budget.recent(100), 0);
});

test('a host is replaced on request only while a death would be survived', () => {
  const budget = createRespawnBudget();
  for (let deaths = 0; deaths < 5; deaths++) {
    assert.ok(budget.mayDie(0));
    assert.notEqual(budget.died(0), undefined);
  }
  assert.equal(budget.mayDie(0), false);
});

const never = () => false;
const always = () => true;

test('silence of ten seconds is death, and one word less is not', () => {
  const silence = createSilence(0);
  for (let at = 1_000; at < 10_000; at += 1_000) assert.equal(silence.tick(at, never), false, `${at}`);
  assert.equal(silence.tick(10_000, never), true);
  const talking = createSilence(0);
  for (let at = 1_000; at < 60_000; at += 1_000) {
    if (at % 9_000 === 0) talking.heard(at);
    assert.equal(talking.tick(at, never), false, `${at}`);
  }
});

test('a launcher that was itself suspended blames nobody', () => {
  const silence = createSilence(0);
  assert.equal(silence.tick(1_000, never), false);
  assert.equal(silence.tick(31_000, never), false, 'both slept');
  for (let at = 32_000; at < 41_000; at += 1_000) assert.equal(silence.tick(at, never), false, `${at}`);
  assert.equal(silence.tick(41_000, never), true, 'the time starts anew, it does not end');
});

test('a host that is stopped or waits for its disk is excused for as long, and gets the whole time afterwards', () => {
  const silence = createSilence(0);
  for (let at = 1_000; at <= 60_000; at += 1_000) assert.equal(silence.tick(at, always), false);
  for (let at = 61_000; at < 70_000; at += 1_000) assert.equal(silence.tick(at, never), false, `${at}`);
  assert.equal(silence.tick(70_000, never), true);
});

test('the launcher and the table of exit codes agree', () => {
  const [, code] = /EXIT_HOST_LOST = (\d+)/.exec(readSource('bin/watchdog.mjs')) ?? [];
  assert.equal(Number(code), EXIT_CODES.hostLost.code);
});
