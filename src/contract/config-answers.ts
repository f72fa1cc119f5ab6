/** What the main thread answers to questions about the configuration. All values are masked. */

export interface ConfigDocument {
  readonly value: unknown;
  readonly etag: string;
}

/** How a change reaches the agent that runs. */
export type ConfigApplied =
  /** It has it already. */
  | 'live'
  /** The supervisor restarts it in a moment, drained. */
  | 'restart'
  /** When somebody restarts it. */
  | 'next start'
  /** Nothing changed for it. */
  | 'nothing';

export interface ConfigChange {
  /** Of the whole, or of the section that was written. */
  readonly value: unknown;
  readonly etag: string;
  /** False when the file said the same before. */
  readonly changed: boolean;
  readonly applied: ConfigApplied;
  readonly restartRequired: boolean;
  readonly warnings: readonly string[];
}

export interface ConfigVersionInfo {
  readonly id: string;
  /** When it was replaced, in milliseconds since the Unix epoch. */
  readonly replacedMs: number;
  readonly bytes: number;
}
