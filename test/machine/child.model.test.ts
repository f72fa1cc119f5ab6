import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromCallback, fromPromise } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import {
  type ChildEvent,
  childMachine,
  type StartSlot,
  type StartSlotInput,
} from '../../src/supervisor/child.machine.ts';
import { stateOf } from '../../src/supervisor/child-facts.ts';
import type { WorkerActorEvent, WorkerActorInput } from '../../src/supervisor/worker-host.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';

const agent = preparedAgent({ intensity: 1 });
const READY = {
  type: 'worker.ready',
  port: 1,
  transport: 'node',
  transportNote: undefined,
  model: 'echo',
} as const;

const AUTOPSY = {
  place: undefined,
  stack: [],
  heap: undefined,
  facts: undefined,
  activities: [],
  output: [],
} as const;

const EVENTS: ChildEvent[] = [
  { type: 'start' },
  { type: 'stop' },
  { type: 'stop', force: true },
  { type: 'restart' },
  { ...READY, survivesTerminate: true },
  { ...READY, survivesTerminate: false },
  { type: 'worker.transportClosed' },
  { type: 'worker.restartRequested', requestedBy: 'rest' },
  { type: 'worker.failed', error: { code: 'config.invalid', message: 'model: expected a map' } },
  { type: 'worker.exited', exitCode: 1 },
  { type: 'worker.exited', exitCode: 0 },
  ...(['hung', 'stalled', 'recovered', 'wedged'] as const).map(
    (verdict): ChildEvent => ({ type: `judge.${verdict}`, silentMs: 2_000 }),
  ),
  ...(['ended', 'alive', 'native', 'unreachable'] as const).map(
    (outcome): ChildEvent => ({ type: 'worker.examined', autopsy: { ...AUTOPSY, outcome } }),
  ),
  // What timers and actors would send; the model is explored without running either.
  ...[
    ['xstate.done.actor.startSlot', { output: { agent, release: () => {} } }],
    ['xstate.after.startTimeout.child.alive.starting', {}],
    ['xstate.after.shutdownTimeout.child.alive.stopping', {}],
    ['xstate.after.interruptTimeout.child.alive.interrupting', {}],
    ['xstate.after.killTimeout.child.alive.killing', {}],
    ['xstate.after.backoff.child.backoff', {}],
  ].map(([type, extra]) => Object.assign({ type }, extra) as unknown as ChildEvent),
];

test('every state is reachable, and stop is possible in all of them', () => {
  const worker = fromCallback<WorkerActorEvent, WorkerActorInput>(() => {});
  const startSlot = fromPromise<StartSlot, StartSlotInput>(() => new Promise(() => {}));
  const machine = childMachine.provide({ actors: { worker, startSlot } });
  const paths = getShortestPaths(machine, {
    events: EVENTS,
    input: { agent, clock: createTestClock(), random: () => 0.5 },
    serializeState: ({ value, context }) =>
      JSON.stringify([
        value,
        context.intent,
        context.restarts.length,
        context.survivesTerminate,
        context.failure?.code,
      ]),
  });
  const seen = new Set(paths.map(({ state }) => JSON.stringify(state.value)));
  const inner = ['starting', 'running', 'hung', 'stalled', 'stopping', 'interrupting', 'killing', 'wedged'];
  const expected = [
    ...['waiting', 'backoff', 'stopped', 'quarantined'].map((value) => JSON.stringify(value)),
    ...inner.map((alive) => JSON.stringify({ alive })),
  ];
  assert.deepEqual([...seen].sort(), expected.sort());
  for (const { state } of paths) {
    const at = JSON.stringify(state.value);
    assert.ok(state.matches('stopped') || state.can({ type: 'stop' }), `stop is impossible in ${at}`);
    const isHeld = state.matches('alive');
    assert.equal(state.children.worker !== undefined, isHeld, `the worker is owned by alive alone: ${at}`);
    assert.ok(stateOf(state));
  }
});
