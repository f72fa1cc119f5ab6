import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type CallbackActorLogic, createActor, setup } from 'xstate';
import { systemClock } from '../../src/contract/clock.ts';
import { type Isolation, WORKER_PROTOCOL } from '../../src/contract/worker-protocol.ts';
import type {
  WorkerActorEvent,
  WorkerActorInput,
  WorkerHostEvent,
  WorkerHostOptions,
} from '../../src/supervisor/worker-host.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';

export type CreateHost = (
  options: WorkerHostOptions,
) => CallbackActorLogic<WorkerActorEvent, WorkerActorInput>;

const ENTRY = fileURLToPath(new URL('../fixtures/fixture-worker.mjs', import.meta.url));
const DEADLINE_MS = 20_000;

/** What the child machine may rely on, whichever host it has. */
export function describeWorkerHost(isolation: Isolation, createHost: CreateHost): void {
  const start = (t: TestContext, fault: string, entry?: string) =>
    startHost(t, isolation, createHost, fault, entry);

  describe(`a worker in a ${isolation}`, () => {
    test('reports that it is ready, closes when asked, and its exit comes last', async (t) => {
      const host = start(t, 'none');
      await host.until('worker.ready');
      host.send({ type: 'shutdown', reason: 'stop', drainMs: 0, closeMs: 1_000 });
      const exited = await host.until('worker.exited');
      assert.equal(exited.exitCode, 0);
      const types = host.seen.map((event) => event.type);
      assert.deepEqual(types, ['worker.ready', 'worker.draining', 'worker.transportClosed', 'worker.exited']);
    });

    for (const [fault, message] of [
      ['throw', /injected crash.*at /],
      ['reject', /injected rejection.*at /],
    ] as const) {
      test(`an uncaught error (${fault}) is reported with its message and where it was`, async (t) => {
        const { error } = await start(t, fault).until('worker.exited');
        assert.equal(error?.code, 'agent.crashed');
        assert.match(error?.message ?? '', message);
      });
    }

    test('null can be thrown', async (t) => {
      const exited = await start(t, 'throwNull').until('worker.exited');
      assert.notEqual(exited.exitCode, 0);
      assert.ok(exited.error);
    });

    test('process.exit() is an exit with its code', async (t) => {
      const exited = await start(t, 'exit').until('worker.exited');
      assert.equal(exited.exitCode, 7);
      assert.equal(exited.error?.code, 'agent.exited');
      assert.match(exited.error?.message ?? '', /code 7/);
    });

    test('what it failed with arrives before its exit', async (t) => {
      const host = start(t, 'failed');
      await host.until('worker.exited');
      assert.deepEqual(
        host.seen.map((event) => event.type),
        ['worker.failed', 'worker.exited'],
      );
    });

    test('messages that are no reports are dropped and told once', async (t) => {
      const host = start(t, 'garbage');
      await host.until('worker.ready');
      assert.deepEqual(
        host.seen.map((event) => event.type),
        ['worker.warning', 'worker.ready'],
      );
    });

    test('what it prints comes as whole lines without its secrets, and is kept beside its exit', async (t) => {
      const host = start(t, 'print');
      const { error } = await host.until('worker.exited');
      const lines = ['first line', 'second [secret] line', 'no newline', 'to stderr'].sort();
      assert.deepEqual([...host.lines].sort(), lines);
      assert.deepEqual(
        [...((error?.details ?? { output: [] }) as { output: string[] }).output].sort(),
        lines,
      );
    });

    test('gets a small environment, no arguments, and its settings as data', async (t) => {
      process.env.OPENAGENT_TEST_SECRET = 'must not be seen';
      t.after(() => delete process.env.OPENAGENT_TEST_SECRET);
      const host = start(t, 'env');
      const { model } = await host.until('worker.ready');
      const { env, argv, init } = JSON.parse(model);
      const allowed = [
        'HOME',
        'LANG',
        'NODE_ENV',
        'PATH',
        'TMPDIR',
        'TZ',
        'NODE_CHANNEL_FD',
        'NODE_CHANNEL_SERIALIZATION_MODE',
      ];
      assert.deepEqual(
        env.filter((name: string) => !allowed.includes(name)),
        [],
      );
      assert.deepEqual(argv, []);
      assert.deepEqual(init.settings.secrets, ['s3cret-token']);
    });

    test('an entry that does not exist is an exit', async (t) => {
      const { exitCode, error } = await start(t, 'none', '/no/such/entry.mjs').until('worker.exited');
      assert.notEqual(exitCode, 0);
      assert.ok(error);
    });

    test('init that cannot be handed over is an exit', async (t) => {
      const host = startHost(t, isolation, createHost, 'none', ENTRY, { unclonable: () => {} });
      const { exitCode, error } = await host.until('worker.exited');
      assert.notEqual(exitCode, 0);
      assert.match(error?.message ?? '', /could not be cloned/);
      assert.equal(host.defects.length, 1);
    });

    test('terminate ends one that does not listen', async (t) => {
      const host = start(t, 'deaf');
      await host.until('worker.ready');
      host.send({ type: 'shutdown', reason: 'stop', drainMs: 0, closeMs: 0 });
      host.send({ type: 'terminate' });
      const exited = await host.until('worker.exited');
      assert.notEqual(exited.exitCode, 0);
      host.send({ type: 'terminate' });
      host.send({ type: 'interrupt' });
    });

    test('interrupt ends one that is stuck', async (t) => {
      const host = start(t, 'loop');
      await host.until('worker.ready');
      host.send({ type: 'interrupt' });
      await host.until('worker.exited');
    });
  });
}

/** One worker under a host, and everything it reported. */
export function startHost(
  t: TestContext,
  isolation: Isolation,
  createHost: CreateHost,
  fault: string,
  entry = ENTRY,
  extraInit: object = {},
) {
  const seen: WorkerHostEvent[] = [];
  const lines: string[] = [];
  const defects: unknown[] = [];
  let notify = () => {};
  const prepared = preparedAgent({}, { isolation });
  const agent = { ...prepared, settings: { ...prepared.settings, name: fault } };
  const logic = createHost({
    entry,
    clock: systemClock,
    toInit: ({ incarnation }) => ({
      protocol: WORKER_PROTOCOL,
      id: agent.spec.id,
      dir: agent.spec.dir,
      version: '0.0.0',
      incarnation,
      isolation,
      transport: agent.transport,
      ports: { first: undefined, preferred: 0, taken: [] },
      settings: agent.settings,
      heartbeatMs: 1_000,
      ...extraInit,
    }),
    onOutput: (_, line) => lines.push(line),
    onDefect: (error) => defects.push(error),
  });
  const machine = setup({
    types: { events: {} as WorkerHostEvent | { type: 'command'; command: WorkerActorEvent } },
    actors: { logic },
    actions: {
      note: ({ event }) => {
        if (event.type === 'command') return;
        seen.push(event);
        notify();
      },
    },
  }).createMachine({
    invoke: { id: 'worker', src: 'logic', input: () => ({ agent, incarnation: 1 }) },
    on: { 'worker.*': { actions: 'note' } },
  });
  const actor = createActor(machine).start();
  const worker = actor.getSnapshot().children.worker;
  t.after(() => {
    worker?.send({ type: 'terminate' });
    actor.stop();
  });

  async function until<K extends WorkerHostEvent['type']>(
    type: K,
  ): Promise<Extract<WorkerHostEvent, { type: K }>> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    for (;;) {
      const found = seen.find((event) => event.type === type);
      if (found) return found as Extract<WorkerHostEvent, { type: K }>;
      await new Promise<void>((resolve, reject) => {
        notify = resolve;
        signal.onabort = () => reject(new Error(`No ${type}; saw ${JSON.stringify(seen)}`));
      });
    }
  }

  return { seen, lines, defects, until, send: (command: WorkerActorEvent) => worker?.send(command) };
}
