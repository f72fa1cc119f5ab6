/** Tells the supervisor that the event loop turns, how late it is, and that work goes on. */
import type { Clock } from '../contract/clock.ts';
import type { SocketHub } from '../gateway/ws/socket-hub.ts';
import type { AgentPort } from './run-worker.ts';
import type { TurnEngine } from './turns/turn-engine.ts';

export function startHeartbeat(options: {
  readonly agent: AgentPort;
  readonly clock: Clock;
  readonly turns: TurnEngine;
  readonly hub: SocketHub;
  readonly progress: { readonly count: number };
  readonly intervalMs: number;
}): { stop(): void } {
  const { agent, clock, turns, hub, progress, intervalMs } = options;
  let dueMs = clock.monotonicMs() + intervalMs;
  let timer = clock.setTimeout(beat, intervalMs);

  function beat(): void {
    const atMs = clock.monotonicMs();
    const { running, waiting } = turns.counts();
    const load = { turnsRunning: running, turnsWaiting: waiting, sockets: hub.count() };
    const { heapUsed, external, arrayBuffers } = process.memoryUsage();
    const memory = { heapUsed, external, arrayBuffers };
    const facts = { atMs, lagMs: Math.max(0, atMs - dueMs), progress: progress.count, ...load, memory };
    agent.report({ type: 'worker.heartbeat', beat: facts });
    dueMs = atMs + intervalMs;
    timer = clock.setTimeout(beat, intervalMs);
  }

  return { stop: () => clock.clearTimeout(timer) };
}
