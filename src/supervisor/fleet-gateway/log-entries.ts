/**
 * The newest log entries of several agents together. One log after the other, and of each only what may still be among
 * the newest: fifty agents cost little more than the one that wrote most.
 */
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import PQueue from 'p-queue';
import { AppError } from '../../contract/errors.ts';
import type { FleetLimits } from '../../contract/fleet/fleet-limits.ts';
import { type LogEntry, readLog } from '../../logging/read-log.ts';

export interface LogPlace {
  readonly agent: string;
  readonly dir: string;
}

type AgentLogEntry = LogEntry & { readonly agent: string };

export interface LogEntriesQuery {
  readonly entries: number;
  /** The beginning of the event's name. */
  readonly event: string;
}

export interface LogEntries {
  /** A JSON array, oldest first. Rejects with `logs.full` when too many ask at once. */
  read(places: readonly LogPlace[], query: LogEntriesQuery): Promise<Uint8Array>;
}

type Limits = Pick<FleetLimits, 'logAnswerBytes' | 'logScanBytes' | 'logReads' | 'logReadsWaiting'>;

/** More old files than any agent keeps: reading ends with the first one that is not there. */
const OLD_FILES = 1_000;
const ENTRIES_AT_ONCE = 500;
const [OPENING, COMMA, CLOSING] = [Buffer.from('['), Buffer.from(','), Buffer.from(']')];

export function createLogEntries(limits: Limits): LogEntries {
  const queue = new PQueue({ concurrency: limits.logReads });
  return {
    async read(places, query) {
      if (queue.size >= limits.logReadsWaiting) {
        throw new AppError('logs.full', 'Too many requests read the logs; try again in a moment');
      }
      return queue.add(() => readAll(places, query, limits));
    },
  };
}

async function readAll(
  places: readonly LogPlace[],
  query: LogEntriesQuery,
  limits: Limits,
): Promise<Uint8Array> {
  const share = Math.max(1, places.length);
  const bounds = {
    entries: query.entries,
    prefix: query.event,
    answerBytes: limits.logAnswerBytes,
    scanBytes: Math.ceil(limits.logScanBytes / share),
  };
  let newest: AgentLogEntry[] = [];
  for (const { agent, dir } of places) {
    // What is older than all of a full answer is not needed.
    const sinceTs = newest.length < query.entries ? Number.NEGATIVE_INFINITY : newest[0]!.ts;
    const found = await readLogOf(dir, { ...bounds, sinceTs });
    const named = found.map((entry) => ({ ...entry, agent }));
    newest = [...newest, ...named].sort((a, b) => a.ts - b.ts).slice(-query.entries);
  }
  return encoded(newest, limits.logAnswerBytes);
}

async function readLogOf(dir: string, query: Parameters<typeof readLog>[2]): Promise<readonly LogEntry[]> {
  try {
    return await readLog(join(dir, 'logs', 'events.jsonl'), OLD_FILES, query);
  } catch {
    // An agent whose log cannot be read (its directory is gone, or not ours) must not hide those of the others.
    return [];
  }
}

/** As JSON, made a part at a time: other requests are answered in between. The oldest are left out where all are too much. */
async function encoded(entries: readonly AgentLogEntry[], bytesMax: number): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (let end = entries.length; end > 0; end -= ENTRIES_AT_ONCE) {
    for (let at = end - 1; at >= Math.max(0, end - ENTRIES_AT_ONCE); at -= 1) {
      const part = Buffer.from(JSON.stringify(entries[at]));
      bytes += part.length + 1;
      if (bytes > bytesMax) return joined(parts);
      parts.push(part);
    }
    await immediate();
  }
  return joined(parts);
}

/** `parts`: newest first. */
function joined(parts: readonly Buffer[]): Uint8Array {
  const pieces: Buffer[] = [];
  for (const part of [...parts].reverse()) pieces.push(pieces.length === 0 ? OPENING : COMMA, part);
  return Buffer.concat([...(pieces.length === 0 ? [OPENING] : pieces), CLOSING]);
}
