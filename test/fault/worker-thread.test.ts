import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createWorkerThread } from '../../src/supervisor/worker-thread.ts';
import { describeWorkerHost, startHost } from './worker-host.contract.ts';

describeWorkerHost('thread', createWorkerThread);

test('a thread that hung says where before it ends', async (t) => {
  const host = startHost(t, 'thread', createWorkerThread, 'swallow');
  await host.until('worker.ready');
  host.send({ type: 'interrupt' });
  const { exitCode } = await host.until('worker.exited');
  assert.equal(exitCode, 71);
  const { stack } = await host.until('worker.interrupted');
  assert.match(String(stack), /stuckHere/);
});
