import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createActor, fromPromise } from 'xstate';
import { childMachine, type StartSlot, type StartSlotInput } from '../../src/supervisor/child.machine.ts';
import { toStatus } from '../../src/supervisor/child-facts.ts';
import { DEFAULT_SPEC, LADDER } from '../../src/supervisor/child-spec.ts';
import { createStartSlots } from '../../src/supervisor/start-slots.ts';
import { supervisorMachine } from '../../src/supervisor/supervisor.machine.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { createStubWorkers } from '../fixtures/stub-worker.ts';

describe('the supervisor', () => {
  test('a crash of one agent does not touch another', async () => {
    const { add, state, workers } = startSupervisor();
    await add('alpha', 'beta');
    workers.latest('beta').ready();
    workers.latest('alpha').exit(1);
    assert.equal(state('alpha'), 'backoff');
    assert.equal(state('beta'), 'running');
  });

  test('never runs two workers for one id', async () => {
    const { add, workers } = startSupervisor();
    await add('alpha', 'alpha');
    await add('alpha');
    assert.equal(workers.spawned.length, 1);
  });

  test('a stopped agent starts again on command', async () => {
    const { add, state, supervisor, tick, workers } = startSupervisor();
    await add('alpha');
    supervisor.send({ type: 'agent.command', id: 'alpha', command: 'stop' });
    workers.latest('alpha').exit(0);
    assert.equal(state('alpha'), 'stopped');
    supervisor.send({ type: 'agent.command', id: 'alpha', command: 'start' });
    await tick();
    assert.equal(workers.spawned.length, 2);
  });

  test('shutdown stops all at once and ends when the last worker is gone', async () => {
    const { add, supervisor, workers } = startSupervisor();
    await add('alpha', 'beta');
    supervisor.send({ type: 'shutdown', force: false });
    for (const { commands } of workers.spawned) assert.deepEqual(commands, ['shutdown:stop:5000']);
    workers.latest('beta').exit(0);
    assert.equal(supervisor.getSnapshot().status, 'active');
    workers.latest('alpha').exit(0);
    assert.equal(supervisor.getSnapshot().status, 'done');
    assert.deepEqual(supervisor.getSnapshot().output, { wedged: [] });
  });

  test('shutdown of an empty fleet ends at once', () => {
    const { supervisor } = startSupervisor();
    supervisor.send({ type: 'shutdown', force: false });
    assert.equal(supervisor.getSnapshot().status, 'done');
  });

  test('a second, forced shutdown gives running turns no more time', async () => {
    const { add, supervisor, workers } = startSupervisor();
    await add('alpha');
    workers.latest('alpha').ready();
    supervisor.send({ type: 'shutdown', force: false });
    supervisor.send({ type: 'shutdown', force: true });
    assert.deepEqual(workers.latest('alpha').commands, ['shutdown:stop:5000', 'shutdown:stop:0']);
  });

  test('a wedged child counts as settled and is named', async () => {
    const { add, clock, supervisor, workers } = startSupervisor();
    await add('alpha', 'beta');
    workers.latest('alpha').ready();
    supervisor.send({ type: 'shutdown', force: false });
    workers.latest('beta').exit(0);
    clock.advance(DEFAULT_SPEC.drainMs + DEFAULT_SPEC.closeMs + LADDER.graceMs);
    clock.advance(LADDER.interruptMs);
    assert.deepEqual(supervisor.getSnapshot().output, { wedged: ['alpha'] });
  });

  test('an agent that waits for its place does not hold up the shutdown, and no command starts one after it', async () => {
    const { add, supervisor, workers } = startSupervisor({ startConcurrency: 1 });
    await add('alpha', 'beta');
    assert.equal(workers.spawned.length, 1);
    supervisor.send({ type: 'shutdown', force: false });
    supervisor.send({ type: 'agent.command', id: 'beta', command: 'start' });
    workers.latest('alpha').exit(0);
    assert.equal(supervisor.getSnapshot().status, 'done');
    assert.equal(workers.spawned.length, 1);
  });

  test('one that is removed stops first, takes no command, and is known no more when it is gone', async () => {
    const { add, state, supervisor, tick, workers } = startSupervisor();
    await add('alpha', 'beta');
    workers.latest('alpha').ready();
    const actor = supervisor.getSnapshot().context.agents.get('alpha');
    supervisor.send({ type: 'agent.removed', id: 'alpha' });
    assert.deepEqual(workers.latest('alpha').commands, ['shutdown:stop:5000']);
    supervisor.send({ type: 'agent.command', id: 'alpha', command: 'start' });
    assert.equal(state('alpha'), 'stopping');
    workers.latest('alpha').exit(0);
    assert.equal(state('alpha'), undefined);
    assert.equal(actor?.getSnapshot().status, 'stopped');
    assert.deepEqual([...supervisor.getSnapshot().context.leaving], []);
    await add('alpha');
    await tick();
    assert.deepEqual([workers.latest('alpha').incarnation, workers.live('alpha')], [1, 1]);
  });

  test('one that is given up, waits or is stopped is removed at once; nobody is removed who is not there', async () => {
    const { add, state, supervisor, workers } = startSupervisor();
    await add('alpha', 'beta');
    workers.latest('alpha').exit(1);
    assert.equal(state('alpha'), 'backoff');
    supervisor.send({ type: 'agent.removed', id: 'alpha' });
    supervisor.send({ type: 'agent.removed', id: 'nobody' });
    assert.deepEqual([state('alpha'), state('beta')], [undefined, 'starting']);
    assert.equal(supervisor.getSnapshot().value, 'supervising');
  });

  test('one that does not end is kept: its thread still has the directory', async () => {
    const { add, clock, state, supervisor, workers } = startSupervisor();
    await add('alpha');
    workers.latest('alpha').ready();
    supervisor.send({ type: 'agent.removed', id: 'alpha' });
    clock.advance(DEFAULT_SPEC.drainMs + DEFAULT_SPEC.closeMs + LADDER.graceMs);
    clock.advance(LADDER.interruptMs);
    assert.equal(state('alpha'), 'wedged');
    assert.deepEqual([...supervisor.getSnapshot().context.leaving], []);
  });

  test('a shutdown in the middle of a removal waits for that one too', async () => {
    const { add, supervisor, workers } = startSupervisor();
    await add('alpha');
    workers.latest('alpha').ready();
    supervisor.send({ type: 'agent.removed', id: 'alpha' });
    supervisor.send({ type: 'shutdown', force: false });
    assert.equal(supervisor.getSnapshot().status, 'active');
    workers.latest('alpha').exit(0);
    assert.equal(supervisor.getSnapshot().status, 'done');
  });

  test('a failing child machine is reported and ends nobody else', async () => {
    const { add, defects, state, supervisor, workers } = startSupervisor({ randomFails: true });
    await add('alpha', 'beta');
    workers.latest('beta').ready();
    workers.latest('alpha').exit(1);
    assert.equal(defects.length, 1);
    assert.equal(state('beta'), 'running');
    supervisor.send({ type: 'shutdown', force: false });
    workers.latest('beta').exit(0);
    assert.equal(supervisor.getSnapshot().status, 'done');
  });
});

describe('start slots', () => {
  test('no more agents than that are between spawn and ready', async () => {
    const { add, tick, workers } = startSupervisor({ startConcurrency: 2 });
    await add('a', 'b', 'c', 'd');
    assert.deepEqual(started(), ['a', 'b']);
    workers.latest('a').ready();
    await tick();
    assert.deepEqual(started(), ['a', 'b', 'c']);
    workers.latest('b').exit(1);
    await tick();
    assert.deepEqual(started(), ['a', 'b', 'c', 'd']);

    function started() {
      return workers.spawned.map(({ id }) => id);
    }
  });

  test('one that is stopped while it waits leaves the queue', async () => {
    const { add, supervisor, tick, workers } = startSupervisor({ startConcurrency: 1 });
    await add('a', 'b', 'c');
    supervisor.send({ type: 'agent.command', id: 'b', command: 'stop' });
    workers.latest('a').ready();
    await tick();
    assert.equal(workers.latest().id, 'c');
  });

  test('a place given to one that stopped in the same moment is not lost', async () => {
    const { add, supervisor, tick, workers } = startSupervisor({ startConcurrency: 1 });
    await add('a', 'b', 'c');
    workers.latest('a').ready();
    supervisor.send({ type: 'agent.command', id: 'b', command: 'stop' });
    await tick();
    assert.equal(workers.latest().id, 'c');
  });

  test('a configuration that cannot be read again gives its place back', async () => {
    const broken = Object.assign(new Error('unknown key'), { name: 'AppError', code: 'config.invalid' });
    const { add, state, tick, workers } = startSupervisor({
      startConcurrency: 1,
      prepare: ({ agent }) => (agent.spec.id === 'a' ? Promise.reject(broken) : Promise.resolve(agent)),
    });
    await add('a', 'b');
    await tick();
    assert.equal(state('a'), 'quarantined');
    assert.equal(workers.latest().id, 'b');
  });
});

interface SupervisorOptions {
  readonly startConcurrency?: number;
  readonly prepare?: (input: StartSlotInput) => Promise<StartSlot['agent']>;
  readonly randomFails?: boolean;
}

/** The real machines over stub workers and a clock that stands. */
function startSupervisor(options: SupervisorOptions = {}) {
  const clock = createTestClock();
  const workers = createStubWorkers();
  const defects: unknown[] = [];
  const startSlot =
    options.startConcurrency === undefined
      ? fromPromise<StartSlot, StartSlotInput>(async ({ input }) => ({
          agent: input.agent,
          release: () => {},
        }))
      : createStartSlots({
          concurrency: options.startConcurrency,
          prepare: options.prepare ?? (({ agent }) => Promise.resolve(agent)),
        });
  const child = childMachine.provide({ actors: { worker: workers.logic, startSlot } });
  const supervisor = createActor(supervisorMachine.provide({ actors: { child } }), {
    clock: { setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout },
    input: {
      clock,
      random: () => {
        if (options.randomFails) throw new Error('no randomness left');
        return 0.5;
      },
      onDefect: (error) => defects.push(error),
    },
  }).start();
  const tick = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    clock,
    defects,
    supervisor,
    tick,
    workers,
    add: async (...ids: string[]) => {
      for (const id of ids) supervisor.send({ type: 'agent.added', agent: preparedAgent({ id }) });
      await tick();
    },
    state: (id: string) => {
      const actor = supervisor.getSnapshot().context.agents.get(id);
      return actor && toStatus(actor.getSnapshot()).state;
    },
  };
}
