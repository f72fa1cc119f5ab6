import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createActor, createMachine, fromPromise } from 'xstate';
import { logInspection } from '../../src/logging/inspect.ts';
import type { Log, LogFields } from '../../src/logging/log.ts';

test('one debug line for each change of state, none for an event that changes nothing', () => {
  const { log, entries } = recordingLog();
  const machine = createMachine({
    id: 'door',
    initial: 'closed',
    states: { closed: { on: { open: 'opened' } }, opened: { on: { knock: {} } } },
  });
  const actor = createActor(machine, { id: 'door', inspect: logInspection(log) });
  actor.start();
  actor.send({ type: 'open' });
  actor.send({ type: 'knock' });
  assert.deepEqual(entries, [
    ['debug', 'actor.state', { actor: 'door', on: 'xstate.init', from: undefined, to: '"closed"' }],
    ['debug', 'actor.state', { actor: 'door', on: 'open', from: '"closed"', to: '"opened"' }],
  ]);
});

test('a promise that rejects is told with its reason', async () => {
  const { log, entries } = recordingLog();
  const failure = new Error('no luck');
  const actor = createActor(
    fromPromise(() => Promise.reject(failure)),
    { id: 'weak', inspect: logInspection(log) },
  );
  const failed = new Promise((resolve) => actor.subscribe({ error: resolve }));
  actor.start();
  assert.equal(await failed, failure);
  assert.deepEqual(entries, [
    ['debug', 'actor.failed', { actor: 'weak', on: 'xstate.promise.reject', error: failure }],
  ]);
});

function recordingLog() {
  const entries: [string, string, LogFields | undefined][] = [];
  const at = (level: string) => (event: string, fields?: LogFields) =>
    void entries.push([level, event, fields]);
  const log: Log = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    isEnabled: () => true,
  };
  return { log, entries };
}
