/**
 * What the host's main thread knows of its agents: the vocabulary shared by the machines, the command line's report
 * and, later, the fleet gateway. Types only.
 */
import type { WireError } from '../contract/errors.ts';
import type { AgentState } from '../contract/fleet/agent-states.ts';
import type { HostNotice } from '../contract/host-link.ts';
import type {
  AgentSettings,
  Heartbeat,
  Isolation,
  TransportChoice,
  TransportKind,
} from '../contract/worker-protocol.ts';
import type { ChildPast, ChildSpec } from './child-spec.ts';
import type { IncidentNotice } from './incidents.ts';

/** A directory that has been found, locked, and whose configuration is valid: ready to be supervised. */
export interface PreparedAgent {
  readonly spec: ChildSpec;
  readonly settings: AgentSettings;
  readonly isolation: Isolation;
  readonly transport: TransportChoice;
  /** `channels.websocket.port` or the command line's: where the search for a free port begins. */
  readonly preferredPort: number;
  /** What an earlier life of the host leaves to this one. */
  readonly past?: ChildPast;
}

/** One agent as an operator sees it. */
export interface AgentStatus {
  readonly id: string;
  readonly dir: string;
  readonly name: string | undefined;
  readonly state: AgentState;
  readonly reason: WireError | undefined;
  readonly host: string | undefined;
  readonly port: number | undefined;
  readonly model: string | undefined;
  readonly transport: TransportKind | undefined;
  readonly transportNote: string | undefined;
  readonly isolation: Isolation | undefined;
  /** Starts after the first. */
  readonly restarts: number;
  readonly restartInMs: number | undefined;
  readonly beat: Heartbeat | undefined;
  /** Programs it has started and that run. */
  readonly children: number;
}

/** Told to whoever watches the fleet; never used for control flow. */
export type FleetEvent =
  | { readonly type: 'agent.changed'; readonly agent: AgentStatus }
  | { readonly type: 'agent.warning'; readonly id: string; readonly warning: WireError }
  | { readonly type: 'agent.incident'; readonly id: string; readonly incident: IncidentNotice };

export interface Fleet {
  add(agent: PreparedAgent): void;
  /** False when no such agent is supervised or it cannot do that now. */
  command(id: string, command: 'start' | 'stop' | 'restart'): boolean;
  agents(): readonly AgentStatus[];
  /** Tells an agent that is there; false when there is none to tell. */
  notify(id: string, notice: HostNotice): boolean;
  /** Resolves when every agent is stopped, quarantined or wedged: their ids are what did not end. */
  shutdown(options: { readonly force: boolean }): Promise<{ readonly wedged: readonly string[] }>;
  /** For a host about to end by a signal: the process groups of agents go first, however hung, and at once. */
  killProcesses(): void;
  subscribe(listener: (event: FleetEvent) => void): () => void;
}
