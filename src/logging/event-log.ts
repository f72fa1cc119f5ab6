/**
 * `logs/events.jsonl` of one agent: levels, the shape of a line, secrets out, everything else in. A call of the log
 * never throws, whatever it is given and whatever the disk does, or logging a failure would become one.
 *
 * pino builds the line (0.8 µs); `redact.ts` and `log-file.ts` are its destination, for which see there. The head of
 * a line, `{"ts":…,"event":…`, goes through pino's timestamp hook: it is the only text pino writes before the fields.
 */
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import type { Clock } from '../contract/clock.ts';
import type { LogLevel } from '../contract/worker-protocol.ts';
import type { Log, LogFields } from './log.ts';
import { LOG_CLEARED } from './log-cleared.ts';
import { type LogFile, openLogFile } from './log-file.ts';
import { createRedactor } from './redact.ts';

export interface EventLogOptions {
  /** `<agent>/logs`; made when it is not there. */
  readonly dir: string;
  readonly level: LogLevel;
  readonly rotateBytes: number;
  readonly keepFiles: number;
  /** Removed wherever they appear, beside what looks like a secret by its name or form. */
  readonly secrets: readonly string[];
  readonly clock: Clock;
  /** Told once when the file cannot be written; the log goes on and recovers by itself. */
  readonly onProblem: (error: unknown) => void;
}

export interface EventLog extends Log {
  setLevel(level: LogLevel): void;
  /** Begins a new file, whose first line says so: for readers the log starts there. Throws when it cannot. */
  rotate(by: string): void;
  /** Tells of every line that is logged from now on, as it stands in the file; what is given back ends that. */
  follow(follower: LogFollower): () => void;
  flush(): Promise<void>;
  /** For the exit hook of a thread, where nothing can be awaited. Tries once: a full disk does not hold an exit up. */
  flushSync(): void;
  close(): Promise<void>;
}

/** Must return at once and log nothing. The line ends with a newline. */
export type LogFollower = (line: string, event: string, level: LogLevel) => void;

const RANK = { debug: 20, info: 30, warn: 40, error: 50 } as const satisfies Record<LogLevel, number>;
/** A longer line keeps its head only: nobody reads it, and `tail` on it hurts. */
const LINE_CHARS = 64 * 1024;
const NO_FIELDS: LogFields = Object.freeze({});
/** What a field may not replace, and a key that no field has, to keep pino's own rules for errors and texts out. */
const HEAD_KEYS = ['ts', 'event'] as const;
const NO_KEY = '(none)';

export function openEventLog(options: EventLogOptions): EventLog {
  const { clock } = options;
  const redact = createRedactor(options.secrets);
  const file = openFile(options);
  let rank: number = RANK[options.level];
  const followers = new Set<LogFollower>();
  /** The line that is being written. */
  const now: { head: string; event: string; level: LogLevel } = { head: '', event: '', level: 'info' };
  const begin = (level: LogLevel, event: string): void => {
    now.head = toHead(clock, event, level);
    now.event = event;
    now.level = level;
  };
  const append = (line: string): void => {
    const clean = redact(line);
    file.append(clean);
    if (followers.size > 0) for (const follower of followers) follower(clean, now.event, now.level);
  };
  const appendCut = (line: string): void =>
    append(line.length > LINE_CHARS ? `${now.head},"truncated_chars":${line.length}}\n` : line);
  const lines = createLineBuilder(() => now.head, appendCut);

  const write = (level: LogLevel, event: string, fields: LogFields): void => {
    if (RANK[level] < rank) return;
    begin(level, String(event));
    try {
      const plain = toPlainText(fields);
      if (plain === undefined) lines.info(toFields(fields));
      else appendCut(`${now.head}${plain}}\n`);
    } catch (error) {
      // A getter or toJSON of somebody's object threw: the event itself is still worth a line.
      append(`${now.head},"unserialisable":${JSON.stringify(toText(error))}}\n`);
    }
  };

  return {
    debug: (event, fields = NO_FIELDS) => write('debug', event, fields),
    info: (event, fields = NO_FIELDS) => write('info', event, fields),
    warn: (event, fields = NO_FIELDS) => write('warn', event, fields),
    error: (event, fields = NO_FIELDS) => write('error', event, fields),
    isEnabled: (level) => RANK[level] >= rank,
    setLevel: (level) => {
      rank = RANK[level];
    },
    rotate: (by) => {
      file.rotate();
      // Whatever the level is: readers look for it.
      begin('info', LOG_CLEARED);
      append(`${now.head},"by":${JSON.stringify(by)}}\n`);
    },
    follow: (follower) => {
      followers.add(follower);
      return () => void followers.delete(follower);
    },
    flush: async () => file.flush(),
    flushSync: () => file.flush(),
    close: async () => file.close(),
  };
}

function openFile({ dir, rotateBytes, keepFiles, clock, onProblem }: EventLogOptions): LogFile {
  const lostLine = (count: number) => `${toHead(clock, 'log.dropped', 'warn')},"count":${count}}\n`;
  return openLogFile({ path: join(dir, 'events.jsonl'), rotateBytes, keepFiles, clock, onProblem, lostLine });
}

function createLineBuilder(head: () => string, write: (line: string) => void): Logger {
  return pino(
    {
      base: null,
      errorKey: NO_KEY,
      messageKey: NO_KEY,
      serializers: {},
      // pino joins level and timestamp without a comma between them: `{` and our head without its brace.
      formatters: { level: () => ({}), log: toPlainFields },
      timestamp: () => head().slice(1),
    },
    { write },
  );
}

/** `level` stands only where it says something: readers of the reference's log know `ts`, `event` and fields. */
function toHead(clock: Clock, event: string, level: LogLevel): string {
  const shown = RANK[level] >= RANK.warn ? `,"level":"${level}"` : '';
  return `{"ts":${clock.wallMs() / 1000},"event":${quoted(event)}${shown}`;
}

/** As `JSON.stringify` writes it, which for short texts is three times as slow. */
function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

/** ASCII but for quote, backslash and control characters. */
const PLAIN = /^[ !#-[\]-~]*$/;

/**
 * What pino would make of fields that are texts and numbers, without its general way there: two such lines are written
 * for each turn. Undefined where pino is to see to it.
 */
function toPlainText(fields: LogFields): string | undefined {
  if (typeof fields !== 'object' || fields === null) return undefined;
  if (Object.getPrototypeOf(fields) !== Object.prototype) return undefined;
  let text = '';
  for (const key in fields) {
    const value = fields[key];
    if (key === 'ts' || key === 'event') return undefined;
    if (typeof value === 'string') text += `,"${key}":${quoted(value)}`;
    else if (typeof value === 'number' && Number.isFinite(value)) text += `,"${key}":${value}`;
    else if (value !== undefined) return undefined;
  }
  return text;
}

/** User code in bridges calls this log too, and JavaScript does not hold it to the types. */
function toFields(fields: unknown): object {
  if (fields instanceof Error) return { error: fields };
  if (typeof fields === 'object') return fields ?? NO_FIELDS;
  return { value: fields };
}

/** Returns its argument where it can: most lines hold only strings and numbers. */
function toPlainFields(fields: Record<string, unknown>): Record<string, unknown> {
  let plain = fields;
  for (const key in fields) {
    const value = fields[key];
    if (typeof value !== 'object' || value === null) continue;
    if (plain === fields) plain = { ...fields };
    plain[key] = toPlain(value, 0, { left: PLAIN_OBJECTS });
  }
  for (const key of HEAD_KEYS) {
    if (!(key in plain)) continue;
    const { [key]: value, ...others } = plain;
    plain = { ...others, [`field_${key}`]: value };
  }
  return plain;
}

const PLAIN_DEPTH = 8;
/** Objects copied for one field: a socket or a machine that lands in a log by mistake refers to half the heap. */
const PLAIN_OBJECTS = 500;

/** JSON knows no Error, Map or Set, and would write each as `{}`. */
function toPlain(value: unknown, depth: number, budget: { left: number }): unknown {
  if (typeof value !== 'object' || value === null) return value;
  budget.left -= 1;
  if (depth > PLAIN_DEPTH || budget.left < 0) return '[more]';
  const inner = (each: unknown) => toPlain(each, depth + 1, budget);
  if (value instanceof Error) return toPlainError(value, inner);
  if (value instanceof Map || value instanceof Set) return inner([...value]);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.map(inner);
  if ('toJSON' in value && typeof value.toJSON === 'function') return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, inner(each)]));
}

function toPlainError(error: Error, inner: (value: unknown) => unknown): Record<string, unknown> {
  const { name, message, stack, cause, ...own } = error;
  const fields = inner(own);
  return {
    name: error.name,
    message: error.message,
    ...(error.stack === undefined ? {} : { stack: error.stack }),
    ...(error.cause === undefined ? {} : { cause: inner(error.cause) }),
    ...(error instanceof AggregateError ? { errors: inner(error.errors) } : {}),
    ...(typeof fields === 'object' ? fields : {}),
  };
}

function toText(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown reason';
}
