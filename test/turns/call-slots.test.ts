/** Slots of model calls that are given away for a pause, and taken again. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallSlots } from '../../src/actors/turns/call-slots.ts';

function gate() {
  let open = (): void => {};
  const promise = new Promise<void>((resolve) => (open = resolve));
  return { promise, open: () => open() };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test('a pause leaves the slot to the others, and takes its place behind them', async () => {
  const slots = new CallSlots(1);
  const order: string[] = [];
  const goOn = gate();
  const held = gate();
  const pausing = slots.run(async (rest) => {
    await rest(() => goOn.promise);
    order.push('paused one');
  });
  const second = slots.run(async () => {
    order.push('second');
    await held.promise;
  });
  const third = slots.run(async () => void order.push('third'));
  await settled();
  assert.deepEqual(order, ['second']);
  goOn.open();
  await settled();
  assert.deepEqual(order, ['second']);
  held.open();
  await Promise.all([pausing, second, third]);
  assert.deepEqual(order, ['second', 'third', 'paused one']);
});

test('no slot is lost or made by a pause that is broken off, or that outlives its call', async () => {
  const slots = new CallSlots(1);
  const broken = slots.run((rest) => rest(() => Promise.reject(new Error('stopped'))));
  await assert.rejects(broken, /stopped/);
  let late: Promise<void> | undefined;
  const goOn = gate();
  await slots.run(async (rest) => {
    late = rest(() => goOn.promise);
  });
  goOn.open();
  await late;
  let running = 0;
  let most = 0;
  const call = () =>
    slots.run(async () => {
      most = Math.max(most, ++running);
      await settled();
      running -= 1;
    });
  await Promise.all([call(), call(), call()]);
  assert.equal(most, 1);
});
