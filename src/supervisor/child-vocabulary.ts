/** What a child machine knows, hears and tells: the vocabulary of `child.machine.ts`. Types only. */
import type { Clock } from '../contract/clock.ts';
import type { WireError } from '../contract/errors.ts';
import type { Activity } from '../contract/vitals.ts';
import type { Heartbeat, WorkerReport } from '../contract/worker-protocol.ts';
import type { Autopsy } from './autopsy.ts';
import type { ChildSpec } from './child-spec.ts';
import type { WorkerChild } from './child-sweep.ts';
import type { AgentError, ConfigStatus, PreparedAgent } from './fleet.ts';
import type { WorkerHostEvent } from './worker-host.ts';

/** Why the worker was asked to end. `none`: it was not, or it did not become ready in time. */
export type Intent = 'none' | 'stop' | 'restart';

export type ChildEvent =
  | { type: 'start' }
  | { type: 'stop'; force?: boolean }
  | { type: 'restart' }
  /** From `quarantined` only. */
  | { type: 'release' }
  /** What hot reload made of its configuration: shown, nothing follows from it. */
  | { type: 'config.noted'; config: ConfigStatus }
  /** How it is supervised from now on. */
  | { type: 'spec.changed'; spec: ChildSpec }
  | JudgeEvent
  | WorkerHostEvent;

/** What the judge of hangs has to say; `silentMs` without a sign of life. */
export type JudgeEvent = {
  type: `judge.${'hung' | 'stalled' | 'recovered' | 'wedged'}`;
  silentMs: number;
  /** What it was seen in the middle of, where that can be seen from outside. */
  activities?: readonly Activity[];
};

/** A hang that is being looked into, or that led to the end of this incarnation. */
export interface Hang {
  readonly silentMs: number;
  readonly autopsy: Autopsy | undefined;
  /** As a stall. */
  readonly isTold: boolean;
}

/** Facts for the log and the fleet; never for control flow. */
export type ChildEmitted =
  | { type: 'child.started'; id: string; port: number }
  | { type: 'child.crashed'; id: string; error: WireError; restartInMs: number }
  | { type: 'child.quarantined'; id: string; error: WireError }
  | { type: 'child.warning'; id: string; warning: WireError }
  | { type: 'child.incident'; id: string; incident: ChildIncident };

export interface ChildIncident extends Omit<Hang, 'isTold'> {
  readonly kind: 'hung' | 'stalled' | 'wedged';
  readonly agent: PreparedAgent;
  readonly incarnation: number;
  /** Programs it had started and that ran. */
  readonly children: readonly WorkerChild[];
}

/** A place among the agents that start at once, and the agent as it shall start now. */
export interface StartSlot {
  readonly agent: PreparedAgent;
  /** Gives the place back; may be called again. */
  release(): void;
}
export interface StartSlotInput {
  readonly agent: PreparedAgent;
  readonly incarnation: number;
}

export interface ChildInput {
  readonly agent: PreparedAgent;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface ChildContext extends ChildInput {
  readonly intent: Intent;
  /** When each crash that counts happened, monotonic milliseconds, newest last. */
  readonly restarts: readonly number[];
  /** Starts so far. */
  readonly incarnation: number;
  /** Wall clock. */
  readonly readyAtMs: number | undefined;
  readonly ready: Extract<WorkerReport, { type: 'worker.ready' }> | undefined;
  readonly beat: Heartbeat | undefined;
  /** Programs it has started and that run. */
  readonly children: readonly WorkerChild[];
  readonly survivesTerminate: boolean;
  readonly hang: Hang | undefined;
  /** Why the last incarnation failed; kept until one is ready or the operator stops it. */
  readonly failure: WireError | undefined;
  readonly exitCode: number;
  readonly lastError: AgentError | undefined;
  /** Hangs and stalls so far. */
  readonly hangs: number;
  readonly config: ConfigStatus;
  readonly backoffMs: number;
  /** Time given to running turns by the shutdown under way. */
  readonly drainMs: number;
  /** Monotonic end of the shutdown under way. */
  readonly stopByMs: number;
  readonly slot: StartSlot | undefined;
}
