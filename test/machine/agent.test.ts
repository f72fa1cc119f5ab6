import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createActor, fromPromise, toPromise } from 'xstate';
import { type AgentResources, agentMachine } from '../../src/actors/agent.machine.ts';
import { AppError } from '../../src/contract/errors.ts';
import type { WorkerCommand } from '../../src/contract/worker-protocol.ts';

/** An agent whose parts are in the hands of the test. */
function start(open?: () => Promise<AgentResources>) {
  const calls: string[] = [];
  let settleDrain = () => {};
  const resources: AgentResources = {
    port: 1,
    transport: 'node',
    transportNote: undefined,
    survivesTerminate: true,
    model: 'echo',
    beginDrain: (reason) => void calls.push(`drain ${reason}`),
    drained: (drainMs) => {
      calls.push(`drained ${drainMs}`);
      return new Promise((resolve) => {
        settleDrain = resolve;
      });
    },
    close: async (reason) => void calls.push(`close ${reason}`),
  };
  const machine = agentMachine.provide({ actors: { open: fromPromise(open ?? (async () => resources)) } });
  const agent = createActor(machine).start();
  const shutdown = (reason: WorkerCommand['reason'], drainMs: number) =>
    agent.send({ type: 'shutdown', reason, drainMs, closeMs: 100 });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return { agent, calls, shutdown, turn, endDrain: () => settleDrain() };
}

describe('agent machine', () => {
  test('drains, closes and ends with 0', async () => {
    const { agent, calls, shutdown, turn, endDrain } = start();
    await turn();
    assert.equal(agent.getSnapshot().value, 'serving');
    shutdown('restart', 500);
    endDrain();
    assert.deepEqual(await toPromise(agent), { exitCode: 0 });
    assert.deepEqual(calls, ['drain restart', 'drained 500', 'close restart']);
  });

  test('asked to stop while it opens, it closes what it has opened', async () => {
    const { agent, calls, shutdown, turn, endDrain } = start();
    shutdown('stop', 0);
    await turn();
    endDrain();
    assert.deepEqual(await toPromise(agent), { exitCode: 0 });
    assert.equal(calls.at(-1), 'close stop');
  });

  test('hurries when it is asked again with less time, and never takes more', async () => {
    const { agent, calls, shutdown, turn, endDrain } = start();
    await turn();
    shutdown('restart', 500);
    shutdown('restart', 900);
    shutdown('stop', 0);
    endDrain();
    await toPromise(agent);
    assert.deepEqual(calls, ['drain restart', 'drained 500', 'drain stop', 'drained 0', 'close stop']);
  });

  test('the last wish decides how clients are told', async () => {
    const { agent, calls, shutdown, turn, endDrain } = start();
    await turn();
    shutdown('restart', 500);
    shutdown('stop', 500);
    endDrain();
    await toPromise(agent);
    assert.equal(calls.at(-1), 'close stop');
  });

  test('that cannot open ends with 1 and the reason', async () => {
    const { agent } = start(async () => {
      throw new AppError('bind.no_free_port', 'No free port');
    });
    assert.deepEqual(await toPromise(agent), {
      exitCode: 1,
      error: { code: 'bind.no_free_port', message: 'No free port' },
    });
  });
});
