import type { LogLevel } from '../contract/worker-protocol.ts';

/**
 * An event log in the reference's shape: one JSON object a line, `{ts, event, ...fields}` in `logs/events.jsonl`. Event
 * names are dotted and past tense or as in the reference's list (`message.received`, `server.start`).
 */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  isEnabled(level: LogLevel): boolean;
}

export type LogFields = Readonly<Record<string, unknown>>;
