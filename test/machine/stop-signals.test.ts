import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStopSignals, SAME_SIGNAL_MS, type StopSignals } from '../../src/supervisor/stop-signals.ts';

test('the first signal drains, whatever it is', () => {
  const { signals, wishes } = listen();
  signals.receive('SIGHUP', 0);
  assert.deepEqual(wishes, ['drain SIGHUP']);
});

test('signals within a second of the first are the same wish', () => {
  const { signals, wishes, clock } = listen();
  signals.receive('SIGINT', 0);
  for (const atMs of [1, 500, SAME_SIGNAL_MS - 1]) {
    clock.nowMs = atMs;
    signals.receive('SIGINT', atMs);
  }
  assert.deepEqual(wishes, ['drain SIGINT']);
});

test('a second signal a second after the first forces, once', () => {
  const { signals, wishes, clock } = listen();
  signals.receive('SIGINT', 0);
  for (const atMs of [SAME_SIGNAL_MS, SAME_SIGNAL_MS + 1, 10 * SAME_SIGNAL_MS]) {
    clock.nowMs = atMs;
    signals.receive('SIGTERM', atMs);
  }
  assert.deepEqual(wishes, ['drain SIGINT', 'force SIGTERM']);
});

test('a signal that was sent with the first but heard late is still the first', () => {
  const { signals, wishes, clock } = listen();
  signals.receive('SIGINT', 0);
  clock.nowMs = 5 * SAME_SIGNAL_MS;
  signals.receive('SIGINT', 3);
  assert.deepEqual(wishes, ['drain SIGINT']);
});

test('two that are heard together are one, however far apart the clocks of their senders are', () => {
  const { signals, wishes } = listen();
  signals.receive('SIGINT', 0);
  signals.receive('SIGINT', 5 * SAME_SIGNAL_MS);
  assert.deepEqual(wishes, ['drain SIGINT']);
});

function listen(): { signals: StopSignals; wishes: string[]; clock: { nowMs: number } } {
  const wishes: string[] = [];
  const clock = { nowMs: 0 };
  const signals = createStopSignals({
    nowMs: () => clock.nowMs,
    onDrain: (signal) => wishes.push(`drain ${signal}`),
    onForce: (signal) => wishes.push(`force ${signal}`),
  });
  return { signals, wishes, clock };
}
