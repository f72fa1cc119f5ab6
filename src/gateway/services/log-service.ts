/** What the log's routes ask of the agent. */
export interface LogService {
  /** The newest entries whose event begins with `event`, oldest first. */
  read(query: { readonly lines: number; readonly event: string }): Promise<LogEntryOnWire[]>;
  /** Begins a new file; what was logged before is no longer read, and stays on disk as a rotated file. */
  clear(by: string): void;
}

export interface LogEntryOnWire {
  ts: number;
  event: string;
  [field: string]: unknown;
}
