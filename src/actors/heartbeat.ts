/** Tells the supervisor that the event loop turns, how late it is, that work goes on, and how much of it was done. */
import { readlinkSync } from 'node:fs';
import type { Clock, TimerHandle } from '../contract/clock.ts';
import type { Vitals } from '../contract/vitals.ts';
import type { Isolation, ModelTotals } from '../contract/worker-protocol.ts';
import type { SocketHub } from '../gateway/ws/socket-hub.ts';
import type { AgentPort } from './run-worker.ts';
import type { TurnEngine } from './turns/turn-engine.ts';

const MARKS = 2;

export function startHeartbeat(options: {
  readonly agent: AgentPort;
  readonly clock: Clock;
  readonly turns: TurnEngine;
  readonly hub: SocketHub;
  readonly models: () => ModelTotals;
  readonly vitals: Vitals;
  readonly intervalMs: number;
}): { stop(): void } {
  const { agent, clock, turns, hub, models, vitals, intervalMs } = options;
  const task = taskId(agent.init.isolation);
  let dueMs = clock.monotonicMs();
  let timer: TimerHandle;
  let markTimer: TimerHandle;

  function tell(): number {
    const atMs = clock.monotonicMs();
    const { running, waiting } = turns.counts();
    const load = { turnsRunning: running, turnsWaiting: waiting, sockets: hub.count() };
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    const memory = { heapUsed, external, arrayBuffers };
    const facts = {
      atMs,
      lagMs: Math.max(0, atMs - dueMs),
      progress: vitals.progressCount(),
      ...load,
      memory,
      turns: turns.totals(),
      models: models(),
      task,
    };
    agent.report({ type: 'worker.heartbeat', beat: facts });
    return atMs;
  }

  function beat(): void {
    dueMs = tell() + intervalMs;
    timer = clock.setTimeout(beat, intervalMs);
  }

  /** More often than it is told: what shares memory with us knows the sooner when the loop stopped. */
  function mark(): void {
    vitals.beat();
    markTimer = clock.setTimeout(mark, intervalMs / MARKS);
  }

  // At once: one that never gave a sign is not missed.
  mark();
  beat();
  return {
    stop: () => {
      clock.clearTimeout(timer);
      clock.clearTimeout(markTimer);
      // What was counted since the last one would be missing.
      tell();
    },
  };
}

/** By it the supervisor reads from outside what time this thread has used, also while it hangs. */
function taskId(isolation: Isolation): number | undefined {
  if (isolation === 'process') return process.pid;
  try {
    const id = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    return Number.isSafeInteger(id) ? id : undefined;
  } catch {
    return undefined; // not Linux
  }
}
