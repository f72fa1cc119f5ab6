/** One agent's status in the words of the wire: seconds since the epoch, `null` for what is not known. */
import type { FleetAgent } from '../../contract/fleet/schemas.ts';
import type { Heartbeat } from '../../contract/worker-protocol.ts';
import type { AgentStatus } from '../fleet.ts';

export interface Now {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

export function toFleetAgent(status: AgentStatus, now: Now): FleetAgent {
  const { lastError, config, beat, readyAtMs } = status;
  return {
    id: status.id,
    dir: status.dir,
    name: status.name ?? null,
    state: status.state,
    reason: status.reason ?? null,
    last_error: lastError ? { ...problemOf(lastError), at: lastError.atMs / 1000 } : null,
    host: status.host ?? null,
    port: status.port ?? null,
    model: status.model ?? null,
    transport: status.transport ?? null,
    transport_note: status.transportNote ?? null,
    isolation: status.isolation ?? null,
    started_at: readyAtMs === undefined ? null : readyAtMs / 1000,
    // The wall clock may have been set back.
    uptime_seconds: readyAtMs === undefined ? null : Math.max(0, (now.wallMs - readyAtMs) / 1000),
    incarnation: status.incarnation,
    restarts: status.restarts,
    restart_in_ms: status.restartInMs ?? null,
    hangs: status.hangs,
    ...vitalsOf(beat, now),
    cpu_percent: status.cpuPercent ?? null,
    children: status.children,
    config: {
      state: config.state,
      changed_at: config.changedAtMs === undefined ? null : config.changedAtMs / 1000,
      problem: config.problem ?? null,
    },
  };
}

type Vitals = Pick<
  FleetAgent,
  'turns' | 'sockets' | 'heap_bytes' | 'external_bytes' | 'lag_ms' | 'silent_ms'
>;

function vitalsOf(beat: Heartbeat | undefined, { monotonicMs }: Now): Vitals {
  if (beat === undefined) {
    const unknown = { turns: null, sockets: null, heap_bytes: null, external_bytes: null };
    return { ...unknown, lag_ms: null, silent_ms: null };
  }
  const { turns, memory } = beat;
  return {
    turns: {
      running: beat.turnsRunning,
      waiting: beat.turnsWaiting,
      done: turns.done,
      failed: turns.failed,
      cancelled: turns.cancelled,
      interrupted: turns.interrupted,
    },
    sockets: beat.sockets,
    heap_bytes: memory.heapUsed,
    external_bytes: memory.external,
    lag_ms: Math.max(0, beat.lagMs),
    // All threads and processes of a machine share the monotonic clock.
    silent_ms: Math.max(0, monotonicMs - beat.atMs),
  };
}

function problemOf({ code, message, details }: NonNullable<AgentStatus['lastError']>) {
  return details === undefined ? { code, message } : { code, message, details };
}
