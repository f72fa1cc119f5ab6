import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type CallbackActorLogic, createActor, setup } from 'xstate';
import { systemClock } from '../../src/contract/clock.ts';
import { AppError } from '../../src/contract/errors.ts';
import type { HostQuestion } from '../../src/contract/host-link.ts';
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

    test('questions are answered with a value or an error, and notices arrive', async (t) => {
      const host = start(t, 'asks');
      await host.until('worker.ready');
      await host.untilAsked(4);
      assert.deepEqual(
        host.asked.find(({ type }) => type === 'config.patch'),
        { type: 'config.patch', section: 'name', value: { deep: ['é', null, 1.5] } },
      );
      host.send({ type: 'host.notice', notice: { type: 'log.level', level: 'debug' } });
      const told = await host.until('worker.ready', ({ model }) => model !== 'asked');
      assert.deepEqual(JSON.parse(told.model).sort(byAsk), [
        { type: 'host.notice', notice: { type: 'log.level', level: 'debug' } },
        { type: 'host.answer', ask: 1, ok: true, value: { type: 'config.read' } },
        {
          type: 'host.answer',
          ask: 2,
          ok: true,
          value: { type: 'config.patch', section: 'name', value: { deep: ['é', null, 1.5] } },
        },
        {
          type: 'host.answer',
          ask: 3,
          ok: false,
          error: { code: 'route.not_found', message: 'There is none' },
        },
        { type: 'host.answer', ask: 4, ok: false, error: { code: 'internal', message: 'Internal error' } },
      ]);
      assert.equal(host.defects.length, 1);
    });

    test('what is no question of ours is answered with an error where it can be, and told once', async (t) => {
      const host = start(t, 'asksOddly');
      await host.until('worker.ready', ({ model }) => JSON.parse(model).ask === 200);
      const answers = host.seen.flatMap((event) =>
        event.type === 'worker.ready' ? [JSON.parse(event.model)] : [],
      );
      assert.deepEqual(
        answers.map(({ ask, ok, error }) => [ask, ok, error?.code]),
        [
          ...Array.from({ length: 12 }, (_, index) => [100 + index, false, 'request.invalid']),
          [200, true, undefined],
        ],
      );
      assert.equal(host.seen.filter(({ type }) => type === 'worker.warning').length, 1);
      assert.deepEqual(
        host.asked.map(({ type }) => type),
        ['config.read'],
      );
    });

    test('no more than a bounded number of its questions is worked on at once', async (t) => {
      const host = start(t, 'asksTooMuch');
      const { model } = await host.until('worker.ready');
      assert.deepEqual(JSON.parse(model), [
        '65 host.unavailable',
        '66 host.unavailable',
        '67 host.unavailable',
      ]);
      assert.equal(host.asked.length, 64);
    });

    test('an answer that comes after its end goes nowhere', async (t) => {
      const host = start(t, 'asksTooMuch');
      await host.until('worker.ready');
      host.send({ type: 'shutdown', reason: 'stop', drainMs: 0, closeMs: 0 });
      await host.until('worker.exited');
      host.answerAll();
      await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(host.defects, []);
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
  const asked: HostQuestion[] = [];
  const unanswered: (() => void)[] = [];
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
    onQuestion: async (_, question) => {
      asked.push(question);
      notify();
      if (question.type !== 'config.version') return question;
      if (question.id === 'gone') throw new AppError('route.not_found', 'There is none');
      if (question.id === 'defect') throw new TypeError('a path that nobody outside should see');
      return new Promise<void>((resolve) => unanswered.push(resolve));
    },
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

  async function found<T>(find: () => T | undefined, what: string): Promise<T> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    for (;;) {
      const value = find();
      if (value !== undefined) return value;
      await new Promise<void>((resolve, reject) => {
        notify = resolve;
        signal.onabort = () => reject(new Error(`No ${what}; saw ${JSON.stringify(seen)}`));
      });
    }
  }

  type Seen<K> = Extract<WorkerHostEvent, { type: K }>;
  const until = <K extends WorkerHostEvent['type']>(
    type: K,
    matches: (event: Seen<K>) => boolean = () => true,
  ): Promise<Seen<K>> =>
    found(
      () => seen.find((event): event is Seen<K> => event.type === type && matches(event as Seen<K>)),
      type,
    );

  return {
    seen,
    lines,
    defects,
    asked,
    until,
    untilAsked: (count: number) => found(() => (asked.length >= count ? asked : undefined), 'question'),
    answerAll: () => {
      for (const answer of unanswered) answer();
    },
    send: (command: WorkerActorEvent) => worker?.send(command),
  };
}

function byAsk(a: { ask?: number }, b: { ask?: number }): number {
  return (a.ask ?? 0) - (b.ask ?? 0);
}
