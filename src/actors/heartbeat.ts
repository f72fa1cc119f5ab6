/** Tells the supervisor that the event loop turns, how late it is, and that work goes on. */
import type { Clock, TimerHandle } from '../contract/clock.ts';
import type { Vitals } from '../contract/vitals.ts';
import type { SocketHub } from '../gateway/ws/socket-hub.ts';
import type { AgentPort } from './run-worker.ts';
import type { TurnEngine } from './turns/turn-engine.ts';

const MARKS = 2;

export function startHeartbeat(options: {
  readonly agent: AgentPort;
  readonly clock: Clock;
  readonly turns: TurnEngine;
  readonly hub: SocketHub;
  readonly vitals: Vitals;
  readonly intervalMs: number;
}): { stop(): void } {
  const { agent, clock, turns, hub, vitals, intervalMs } = options;
  let dueMs = clock.monotonicMs();
  let timer: TimerHandle;
  let markTimer: TimerHandle;

  function beat(): void {
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
    };
    agent.report({ type: 'worker.heartbeat', beat: facts });
    dueMs = atMs + intervalMs;
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
    },
  };
}
