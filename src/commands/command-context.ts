/** What a command has of its process: where it prints, whose signals end it, where it looks for fleets. */
export interface OutputStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  /** More is written than is read; `drain` comes when that is over. */
  readonly writableNeedDrain?: boolean;
  once?(event: 'drain', listener: () => void): unknown;
}

export interface CommandContext {
  readonly out: OutputStream;
  readonly err: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly homeDir: string;
  /** Aborted by Ctrl-C and its like, and when nobody reads `out` any more. */
  readonly signal: AbortSignal;
  readonly wallMs: () => number;
  readonly version: string;
}
