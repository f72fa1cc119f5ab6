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
import type { AgentSums } from './agent-sums.ts';
import type { ChildPast, ChildSpec } from './child-spec.ts';
import type { CpuUse } from './cpu-watch.ts';
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

export interface AgentError extends WireError {
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/** What became of the newest `openagent.yaml`. `invalid`: the last good one stays in use. */
export interface ConfigStatus {
  readonly state: 'ok' | 'invalid' | 'restarting';
  /** When the file was last read anew, milliseconds since the Unix epoch; undefined: not since the start. */
  readonly changedAtMs: number | undefined;
  readonly problem: WireError | undefined;
}

/** What was done about a changed `openagent.yaml`. */
export type ConfigOutcome =
  | {
      readonly type: 'config.applied';
      /** `nothing`: a problem was mended, and what is in use is what the file says. */
      readonly how: 'live' | 'restart' | 'next start' | 'nothing';
      /** Which of its parts differ, as dotted keys. */
      readonly sections: readonly string[];
    }
  | {
      readonly type: 'config.invalid';
      readonly problem: WireError;
      /** Where in the file, from 1, if at a place in it. */
      readonly line: number | undefined;
    };

export type AgentCommand = 'start' | 'stop' | 'restart' | 'release';

/** One agent as an operator sees it. */
export interface AgentStatus extends CpuUse {
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
  /** Starts so far; 1 for the first. */
  readonly incarnation: number;
  /** Starts after the first. */
  readonly restarts: number;
  readonly restartInMs: number | undefined;
  /** When this incarnation was ready, milliseconds since the Unix epoch. */
  readonly readyAtMs: number | undefined;
  /** Times it hung or stalled since the host's start. */
  readonly hangs: number;
  /** The newest failure, also of one that runs again. */
  readonly lastError: AgentError | undefined;
  readonly config: ConfigStatus;
  readonly beat: Heartbeat | undefined;
  /** What it has done in all its incarnations. */
  readonly sums: AgentSums;
  /** Programs it has started and that run. */
  readonly children: number;
}

/** Told to whoever watches the fleet; never used for control flow. */
export type FleetEvent =
  | { readonly type: 'agent.changed'; readonly agent: AgentStatus }
  | { readonly type: 'agent.warning'; readonly id: string; readonly warning: WireError }
  | { readonly type: 'agent.incident'; readonly id: string; readonly incident: IncidentNotice }
  /** While the fleet runs; each agent's first state is also told as `agent.changed`. */
  | { readonly type: 'agent.added'; readonly agent: AgentStatus }
  | { readonly type: 'agent.removed'; readonly id: string; readonly dir: string }
  /** Somebody's wish, which was possible; what follows is told as `agent.changed`. */
  | { readonly type: 'agent.commanded'; readonly id: string; readonly command: AgentCommand }
  | (ConfigOutcome & { readonly id: string });

export interface Fleet {
  add(agent: PreparedAgent): void;
  /**
   * Stops an agent in order if it is alive, and knows it no more once it is gone. Rejects with `agent.not_found`, or with
   * `agent.action_refused` when it does not end: it stays listed then, for its thread still has the directory.
   */
  remove(id: string): Promise<void>;
  /**
   * False when no such agent is supervised or it cannot do that now. To start one that runs and to stop one that is
   * stopped is fine. `release`: forgive a quarantined one its crashes, and start it.
   */
  command(id: string, command: AgentCommand): boolean;
  /** How it is supervised from now on; it goes on running. */
  respec(id: string, spec: ChildSpec): void;
  /** What was done about its changed configuration. */
  configChanged(id: string, outcome: ConfigOutcome): void;
  agents(): readonly AgentStatus[];
  /** Tells an agent that is there; false when there is none to tell. */
  notify(id: string, notice: HostNotice): boolean;
  /** Resolves when every agent is stopped, quarantined or wedged: their ids are what did not end. */
  shutdown(options: { readonly force: boolean }): Promise<{ readonly wedged: readonly string[] }>;
  /** For a host about to end by a signal: the process groups of agents go first, however hung, and at once. */
  killProcesses(): void;
  subscribe(listener: (event: FleetEvent) => void): () => void;
}
