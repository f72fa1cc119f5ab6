import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createWorkerProcess } from '../../src/supervisor/worker-process.ts';
import { describeWorkerHost, startHost } from './worker-host.contract.ts';

describeWorkerHost('process', createWorkerProcess);

test('a killed process is reported with its signal', async (t) => {
  const host = startHost(t, 'process', createWorkerProcess, 'deaf');
  await host.until('worker.ready');
  host.send({ type: 'terminate' });
  const exited = await host.until('worker.exited');
  assert.equal(exited.signal, 'SIGKILL');
  assert.equal(exited.exitCode, 137);
  assert.match(exited.error?.message ?? '', /SIGKILL/);
});

for (const end of ['terminate', 'shutdown'] as const) {
  test(`what a process started ends with it (${end})`, async (t) => {
    const host = startHost(t, 'process', createWorkerProcess, 'grandchild');
    const { model } = await host.until('worker.ready');
    const pid = Number(model);
    assert.equal(isRunning(pid), true);
    host.send(end === 'terminate' ? { type: end } : { type: end, reason: 'stop', drainMs: 0, closeMs: 0 });
    await host.until('worker.exited');
    const deadline = AbortSignal.timeout(5_000);
    while (isRunning(pid)) {
      deadline.throwIfAborted();
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
}

/** One that was killed and that nobody has waited for yet does not run any more. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false; // No such process.
  }
}
