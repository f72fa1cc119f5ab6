import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createActor } from 'xstate';
import { childMachine } from '../../src/supervisor/child.machine.ts';
import { toStatus } from '../../src/supervisor/child-facts.ts';
import { DEFAULT_SPEC, FATAL_CODES, LADDER } from '../../src/supervisor/child-spec.ts';
import type { AgentCommand } from '../../src/supervisor/fleet.ts';
import { createStartSlots } from '../../src/supervisor/start-slots.ts';
import { type ChildActor, supervisorMachine } from '../../src/supervisor/supervisor.machine.ts';
import { preparedAgent } from '../fixtures/prepared-agent.ts';
import { seeded } from '../fixtures/seeded-random.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { createStubWorkers, type StubWorker } from '../fixtures/stub-worker.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 200);
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);
const IDS = ['alpha', 'beta', 'gamma', 'delta'];
const STEPS = 60;
const STEP_MS = 500;
/** The whole ladder, and a step of reserve for each of its rungs. */
const LADDER_MS =
  DEFAULT_SPEC.drainMs +
  DEFAULT_SPEC.closeMs +
  LADDER.graceMs +
  LADDER.interruptMs +
  LADDER.killMs +
  5 * STEP_MS;

test(`${RUNS} random schedules keep what a supervisor promises (seed ${SEED})`, async () => {
  for (let run = 0; run < RUNS; run += 1) {
    const seed = SEED + run;
    const schedule = startSchedule(seed);
    try {
      for (let step = 0; step < STEPS; step += 1) await schedule.step();
      await schedule.shutdown();
    } catch (cause) {
      throw new Error(`seed ${seed}: ${(cause as Error).message}\n${schedule.story.slice(-30).join('\n')}`, {
        cause,
      });
    }
  }
});

/** The real machines and start slots; operators, workers and time act at random. */
function startSchedule(seed: number) {
  const random = seeded(seed);
  const clock = createTestClock();
  const story: string[] = [];
  const crashes = new Map<string, number[]>();
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  const workers = createStubWorkers(obey);
  const startSlot = createStartSlots({ concurrency: 2, prepare: ({ agent }) => Promise.resolve(agent) });
  const child = childMachine.provide({ actors: { worker: workers.logic, startSlot } });
  const supervisor = createActor(supervisorMachine.provide({ actors: { child } }), {
    clock: { setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout },
    input: { clock, random, onDefect: (error) => assert.fail(String(error)) },
  }).start();

  /** Some workers do as they are told, some only when interrupted or terminated, some never. */
  function obey(worker: StubWorker, command: { type: string }): void {
    story.push(`${worker.id} is told ${command.type}`);
    const isObeyed =
      command.type === 'terminate' ? random() < 0.95 : random() < (command.type === 'shutdown' ? 0.7 : 0.6);
    const delayMs = Math.floor(random() * 8_000);
    if (isObeyed) clock.setTimeout(() => exit(worker, command.type === 'shutdown' ? 0 : 71), delayMs);
  }

  function exit(worker: StubWorker, exitCode: number): void {
    // What happens after the end is nobody's business any more.
    if (!worker.isLive || supervisor.getSnapshot().status !== 'active') return;
    story.push(`${worker.id} exits with ${exitCode}`);
    worker.exit(exitCode);
  }

  async function settle(advanceMs: number): Promise<void> {
    clock.advance(advanceMs);
    await new Promise((resolve) => setImmediate(resolve));
    for (const id of IDS) {
      assert.ok(workers.live(id) <= 1, `${id} has ${workers.live(id)} workers`);
      const actor = agent(id);
      // The count begins anew when an operator took the agent in hand.
      if (actor && ['stopped', 'quarantined'].includes(stateOf(actor))) crashes.delete(id);
    }
    assert.equal(supervisor.getSnapshot().status === 'error', false, 'the supervisor failed');
  }

  function agent(id: string): ChildActor | undefined {
    return supervisor.getSnapshot().context.agents.get(id);
  }

  function add(id: string): void {
    const isKnown = agent(id) !== undefined;
    const isolation = pick(['thread', 'process'] as const);
    supervisor.send({
      type: 'agent.added',
      agent: preparedAgent({ id, restart: pick(RESTARTS) }, { isolation }),
    });
    if (isKnown) return;
    agent(id)?.on('child.crashed', () => noteCrash(id));
  }

  function noteCrash(id: string): void {
    const now = clock.monotonicMs();
    const recent = [...(crashes.get(id) ?? []), now].filter((at) => at > now - DEFAULT_SPEC.periodMs);
    crashes.set(id, recent);
    assert.ok(
      recent.length <= DEFAULT_SPEC.intensity,
      `${id} was restarted ${recent.length} times in a window`,
    );
  }

  /** Something a worker does by itself. */
  function act(worker: StubWorker): void {
    const deeds = [
      'ready',
      'ready',
      'crash',
      'crash',
      'failed',
      'closed',
      'restart',
      'soft',
      'hard',
    ] as const;
    const deed = pick(deeds);
    story.push(`${worker.id} does ${deed}`);
    if (deed === 'ready') worker.ready({ survivesTerminate: random() < 0.5 });
    else if (deed === 'crash') exit(worker, pick([0, 1, 7]));
    else if (deed === 'closed') worker.send({ type: 'worker.transportClosed' });
    else if (deed === 'soft' || deed === 'hard')
      worker.send({ type: `memory.${deed}`, error: { code: 'agent.memory', message: 'at random' } });
    else if (deed === 'restart') worker.send({ type: 'worker.restartRequested', requestedBy: 'rest' });
    else worker.send({ type: 'worker.failed', error: { code: pick(FAILURES), message: 'at random' } });
  }

  async function stopEnds(id: string): Promise<void> {
    const actor = agent(id);
    if (!actor) return;
    story.push(`stop of ${id} is waited for`);
    supervisor.send({ type: 'agent.command', id, command: 'stop' });
    for (let waitedMs = 0; waitedMs < LADDER_MS; waitedMs += STEP_MS) await settle(STEP_MS);
    assert.ok(actor.getSnapshot().hasTag('settled'), `${id} did not end, it is ${stateOf(actor)}`);
    assert.ok(['stopped', 'wedged'].includes(stateOf(actor)), `${id} is ${stateOf(actor)} after a stop`);
  }

  return {
    story,
    step: async () => {
      const live = workers.spawned.filter((worker) => worker.isLive);
      const dice = random();
      if (dice < 0.1) add(pick(IDS));
      else if (dice < 0.3) {
        const command = { type: 'agent.command', id: pick(IDS), command: pick(COMMANDS) } as const;
        story.push(`${command.command} ${command.id}`);
        supervisor.send(command);
      } else if (dice < 0.33) await stopEnds(pick(IDS));
      else if (dice < 0.75 && live.length > 0) act(pick(live));
      await settle(Math.floor(random() * pick([10, 400, 5_000, 20_000])));
    },
    shutdown: async () => {
      story.push('shutdown');
      supervisor.send({ type: 'shutdown', force: random() < 0.3 });
      for (let waitedMs = 0; waitedMs < LADDER_MS; waitedMs += STEP_MS) {
        if (supervisor.getSnapshot().status === 'done') break;
        if (random() < 0.05) supervisor.send({ type: 'shutdown', force: true });
        await settle(STEP_MS);
      }
      const { output, status } = supervisor.getSnapshot();
      assert.equal(status, 'done', 'the shutdown did not end');
      const left = IDS.filter((id) => workers.live(id) > 0);
      assert.deepEqual([...(output?.wedged ?? [])].sort(), left.sort(), 'what is left is not what is told');
    },
  };
}

const RESTARTS = ['permanent', 'permanent', 'transient', 'temporary'] as const;
const COMMANDS: readonly AgentCommand[] = ['start', 'stop', 'restart', 'release'];
const FAILURES = ['storage.locked', 'bind.no_free_port', [...FATAL_CODES][0]!] as const;

function stateOf(actor: ChildActor): string {
  return toStatus(actor.getSnapshot()).state;
}
