/**
 * Starts the thread that can read this process while it is stuck; see `src/boot/agent-monitor.ts`. Without it an agent
 * process that hangs can only be killed, and nobody learns where it hung.
 */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Log } from '../logging/log.ts';

const ENTRY = join(import.meta.dirname, 'agent-monitor.cjs');
/** It holds a socket and a stack trace. */
const HEAP_MB = 16;

export function startMonitor(vitals: SharedArrayBuffer, log: Log): void {
  const monitor = new Worker(ENTRY, {
    name: 'monitor',
    workerData: { vitals },
    env: {},
    execArgv: [],
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 2 },
  });
  monitor.on('error', (error) => log.warn('monitor.failed', { error }));
  monitor.unref();
}
