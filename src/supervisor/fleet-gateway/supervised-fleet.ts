/**
 * What the fleet gateway knows of the agents: what the main thread knows, at once. Nothing here asks an agent, so nothing
 * waits for one that hangs. Types only.
 */
import type { AgentCommand, AgentStatus, FleetEvent } from '../fleet.ts';

/** `starting`: not every agent's first start is decided yet. */
export type FleetPhase = 'starting' | 'settled' | 'stopping';

export interface SupervisedFleet {
  /** In the order of the command line; those that were refused come last. */
  agents(): readonly AgentStatus[];
  /** False when it cannot do that now; true also when there is nothing to do. */
  command(id: string, command: AgentCommand): boolean;
  /** Rejects with what would refuse the directory at the start. */
  add(dir: string): Promise<AgentStatus>;
  /** Resolves when it is gone. */
  remove(id: string): Promise<void>;
  /** Folders of vaults that are watched. */
  vaultFolders(): number;
}

/** What happens to the fleet as a whole, beside what it tells of its agents. */
export type FleetNews =
  | FleetEvent
  | { readonly type: 'fleet.started' }
  | { readonly type: 'fleet.settled' }
  | { readonly type: 'fleet.stopping' };

/** The process, as it was started. */
export interface HostFacts {
  readonly pid: number;
  readonly version: string;
  readonly startedAtMs: number;
  /** Without secrets. */
  readonly args: readonly string[];
  readonly cwd: string;
  /** The agents' directories, as far as they are known before they are looked for. */
  readonly dirs: readonly string[];
  readonly watchdog: () => string;
  readonly deaths: number;
}
