/**
 * Uploads, files and the log, as routes and turns ask for them. What they need is loaded on first use; until then all
 * there is of it is one look for what a crash left half-written.
 */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Clock, TimerHandle } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { AttachmentInfo } from '../contract/frames.ts';
import type { WorkerInit } from '../contract/worker-protocol.ts';
import type { LogService } from '../gateway/services/log-service.ts';
import type { UploadService } from '../gateway/services/upload-service.ts';
import type { EventLog } from '../logging/event-log.ts';
import type { Database } from '../storage/database.ts';
import { createFileRecords, type FileRecord, newFileId } from '../storage/file-records.ts';
import type { KeptFile, Uploads } from '../uploads/uploads.ts';
import type { ChildProcesses } from './child-processes.ts';

export interface FileServicesOptions {
  readonly init: WorkerInit;
  readonly clock: Clock;
  readonly log: EventLog;
  readonly db: Database;
  readonly children: ChildProcesses;
}

export interface Announced {
  readonly turnId: string;
  readonly sessionId: string | number | null;
  readonly attachments: readonly AttachmentInfo[];
}

export interface FileServices {
  readonly uploads: UploadService;
  readonly logs: LogService;
  /** Images that came with a request, as files of its turn. Throws codes of `upload` and `storage`. */
  keepImages(images: readonly KeptFile[]): Promise<readonly AttachmentInfo[]>;
  /** The files of an answer, so that clients may ask for them. Never throws. */
  announce(answer: Announced): void;
  stop(): void;
}

const HOUR_MS = 3_600_000;
/** A start has better things to do. */
const FIRST_EXPIRY_MS = 60_000;
const RECORD_ATTEMPTS = 40;
const RECORD_RETRY_MS = 50;
/** Of one answer: a model that repeats a marker for ever fills no table. */
const ANNOUNCED_MAX = 64;
const PATH_CHARS = 4_096;

export function createFileServices(options: FileServicesOptions): FileServices {
  const { init, clock, log, db } = options;
  const { settings, dir } = init;
  const records = createFileRecords(db, settings.dbPath, clock);
  let loading: Promise<Uploads> | undefined;
  const load = (): Promise<Uploads> => {
    loading ??= openUploadsOf(options, records).catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
  const onProblem = (error: unknown) => log.warn('upload.upkeep_failed', { error });
  void readdir(join(dir, 'uploads', '.incoming')).then(
    (left) => (left.length > 0 ? load().catch(onProblem) : undefined),
    () => undefined, // Nothing was ever uploaded.
  );
  const expiry = createExpiry(options, () => load().then((uploads) => uploads.expire().catch(onProblem)));
  return {
    uploads: {
      receive: async (upload) => (await load()).receive(upload),
      list: async (query) => (await load()).list(query),
      open: async (id) => (await load()).open(id),
    },
    logs: createLogService(options),
    keepImages: async (images) => {
      const stored = await (await load()).keep(images);
      return stored.map(({ path, filename }) => ({ type: 'image', path, filename }));
    },
    announce: (answer) => record(toRecords(answer, dir), 1),
    stop: expiry.stop,
  };

  function record(files: readonly Omit<FileRecord, 'createdAtMs'>[], attempt: number): void {
    try {
      if (files.length > 0) records.add(files);
    } catch (error) {
      const isBusy = AppError.is(error) && error.code === 'storage.locked';
      if (!isBusy || attempt >= RECORD_ATTEMPTS) return log.warn('files.record_failed', { error });
      clock.setTimeout(() => record(files, attempt + 1), RECORD_RETRY_MS);
    }
  }
}

async function openUploadsOf(
  { init, clock, log, children }: FileServicesOptions,
  records: ReturnType<typeof createFileRecords>,
): Promise<Uploads> {
  const { settings, dir } = init;
  const { openUploads } = await import('../uploads/open-uploads.ts');
  return openUploads({
    ...{ dir, records, clock, log, limits: settings.limits, transcription: settings.transcription },
    roots: [join(dir, 'outputs'), settings.vaultPath, ...settings.uploads.roots],
    privateFiles: [settings.dbPath],
    retentionDays: settings.uploads.retentionDays,
    openOnline: async (online) => (await import('../models/speech-to-text.ts')).createSpeechToText(online),
    spawn: (command, args, spawnOptions) => children.spawn(command, args, spawnOptions),
  });
}

/** Only where uploads grow old. */
function createExpiry(
  { init, clock }: FileServicesOptions,
  expire: () => Promise<unknown>,
): { stop(): void } {
  let timer: TimerHandle | undefined;
  const next = (delayMs: number): void => {
    timer = clock.setTimeout(() => {
      void expire();
      next(HOUR_MS);
    }, delayMs);
  };
  if (init.settings.uploads.retentionDays !== undefined) next(FIRST_EXPIRY_MS);
  return { stop: () => clock.clearTimeout(timer) };
}

function createLogService({ init, log }: FileServicesOptions): LogService {
  const { limits, logging } = init.settings;
  return {
    async read({ lines, event }) {
      await log.flush();
      const { readLog } = await import('../logging/read-log.ts');
      return readLog(join(init.dir, 'logs', 'events.jsonl'), logging.keepFiles, {
        // The reference gives one where none is asked for.
        entries: Math.min(Math.max(lines, 1), limits.logEntries),
        prefix: event,
        answerBytes: limits.logAnswerBytes,
        scanBytes: limits.logScanBytes,
      });
    },
    clear(by) {
      try {
        log.rotate(by);
      } catch (cause) {
        throw new AppError('storage.unavailable', 'The log file cannot be moved away', { cause });
      }
    },
  };
}

/** What is a path; clients of the reference also name files by URL. */
function toRecords(
  { turnId, sessionId, attachments }: Announced,
  dir: string,
): readonly Omit<FileRecord, 'createdAtMs'>[] {
  const files = attachments.filter(
    ({ path }) =>
      path !== '' && path.length <= PATH_CHARS && !path.includes('\0') && !/^[a-z][a-z0-9+.-]+:/i.test(path),
  );
  return files.slice(0, ANNOUNCED_MAX).map(({ type, path, filename }) => ({
    ...{ id: newFileId(), origin: 'produced' as const, type, turnId, sessionId },
    ...{ path: resolve(dir, path), filename: filename.slice(0, 512) },
  }));
}
