/** What each command on a running fleet can be asked for. Types only: whoever parses the command line fills them in. */

/** Of every command that talks to a running fleet. */
export interface FleetOptions {
  /** The host's process id or the path of its socket; absent: the one that is found. */
  readonly fleet?: string;
  readonly json: boolean;
}

export interface PsOptions extends FleetOptions {
  /** Given: everything about these. */
  readonly agents: readonly string[];
  readonly wide: boolean;
}

/** Of what happened, the newest part, and then on as it happens. */
export interface TailOptions extends FleetOptions {
  /** Empty: all. */
  readonly agents: readonly string[];
  /** The beginning of the event's name. */
  readonly event?: string;
  readonly lines: number;
  readonly follow: boolean;
}

export interface IncidentsOptions extends FleetOptions {
  readonly agents: readonly string[];
  readonly lines: number;
}

export interface IncidentOptions extends FleetOptions {
  readonly agent: string;
  readonly name: string;
}

export interface WaitOptions extends FleetOptions {
  readonly wait: boolean;
  readonly timeoutSeconds: number;
}

export const AGENT_ACTIONS = ['start', 'stop', 'restart', 'release'] as const;
export type AgentAction = (typeof AGENT_ACTIONS)[number];

export interface ActOptions extends WaitOptions {
  readonly action: AgentAction;
  readonly agents: readonly string[];
  /** Every agent, in place of those that are named. */
  readonly all: boolean;
}

export interface AddOptions extends WaitOptions {
  readonly dirs: readonly string[];
}

export interface RemoveOptions extends WaitOptions {
  readonly agents: readonly string[];
}

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export interface CompletionOptions {
  readonly shell: Shell;
}
