/**
 * Files on their way in and out: what clients send is put into `uploads/` and recorded, what answers announce is
 * recorded where it lies, and both are handed out by an id. Loaded when the first of this is asked for.
 */
import { join } from 'node:path';
import { lookup } from 'mrmime';
import type { Clock } from '../contract/clock.ts';
import { AppError } from '../contract/errors.ts';
import type { Limits } from '../contract/limits.ts';
import type { ByteStream } from '../contract/route.ts';
import type { FileInfo, FilesQuery } from '../contract/schemas/files.ts';
import type { Log } from '../logging/log.ts';
import type { FileRecord, FileRecords } from '../storage/file-records.ts';
import { shownName } from './file-name.ts';
import { Pace } from './pace.ts';
import { readMultipart } from './read-multipart.ts';
import { findServed, readServed, type ServedFile, type ServedPlaces } from './served-file.ts';
import { isSpeech, type Transcribe } from './transcribe.ts';
import { type Incoming, type StoredFile, UploadDirectory } from './upload-directory.ts';
import { tooLarge, toUploadError } from './upload-errors.ts';

export interface UploadsOptions {
  /** Of the agent. */
  readonly dir: string;
  /** Directories besides `uploads/` from which files are handed out. */
  readonly roots: readonly string[];
  /** The agent's own, never handed out; nor is what lies beside them under their names. */
  readonly privateFiles: readonly string[];
  readonly retentionDays: number | undefined;
  readonly limits: Pick<
    Limits,
    'uploadFiles' | 'uploadFileBytes' | 'uploadTotalBytes' | 'uploadsAtOnce' | 'uploadReserveBytes'
  >;
  readonly records: FileRecords;
  readonly transcribe: Transcribe | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

export interface Upload {
  readonly contentType: string;
  readonly announcedBytes: number;
  readonly body: ByteStream;
}

export interface KeptFile {
  readonly filename: string;
  readonly bytes: Uint8Array;
}

type Fill = (incoming: Incoming) => Promise<void>;
type Received = StoredFile & { readonly transcription?: string };

const DAY_MS = 86_400_000;
/** How long another program's lock on the database is waited for. */
const RECORD_ATTEMPTS = 40;
const RECORD_RETRY_MS = 50;

export class Uploads {
  readonly #options: UploadsOptions;
  readonly #directory: UploadDirectory;
  readonly #places: ServedPlaces;
  readonly #pace: Pace;
  #underWay = 0;

  constructor(options: UploadsOptions) {
    this.#options = options;
    const dir = join(options.dir, 'uploads');
    this.#pace = new Pace(options.clock);
    this.#directory = new UploadDirectory(dir, options.limits);
    this.#places = { roots: [dir, ...options.roots], privateFiles: options.privateFiles };
  }

  /** What an end of the agent left half-written. Before anything is received. */
  sweep(): Promise<void> {
    return this.#directory.sweep();
  }

  /** Removes uploads that are older than they may become. */
  async expire(): Promise<void> {
    const { retentionDays, clock, records, log } = this.#options;
    if (retentionDays === undefined) return;
    const gone = await this.#directory.expire(clock.wallMs() - retentionDays * DAY_MS);
    if (gone.length === 0) return;
    records.remove(gone);
    log.info('upload.expired', { files: gone.length });
  }

  async receive({ contentType, announcedBytes, body }: Upload): Promise<readonly Received[]> {
    const { uploadFiles: filesMax } = this.#options.limits;
    const fill: Fill = (incoming) =>
      readMultipart({
        ...{ contentType, body: this.#pace.through(body), filesMax },
        onFile: (name, content) => incoming.add(name, content),
      });
    return this.#inTurn(async () => this.#transcribe(await this.#store(announcedBytes, fill)));
  }

  /** What came in another way than an upload, with the limits of one. */
  async keep(files: readonly KeptFile[]): Promise<readonly StoredFile[]> {
    const { uploadFiles: max } = this.#options.limits;
    if (files.length > max) throw tooLarge('uploadFiles', max, 'The request has more files');
    const bytes = files.reduce((sum, file) => sum + file.bytes.byteLength, 0);
    return this.#inTurn(() =>
      this.#store(bytes, async (incoming) => {
        for (const file of files) await incoming.add(file.filename, once(file.bytes));
      }),
    );
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const { uploadsAtOnce } = this.#options.limits;
    if (this.#underWay >= uploadsAtOnce) {
      throw new AppError('upload.busy', `${uploadsAtOnce} uploads are under way; try again in a moment`);
    }
    this.#underWay += 1;
    try {
      return await work();
    } finally {
      this.#underWay -= 1;
    }
  }

  async list(query: FilesQuery): Promise<{ files: FileInfo[]; next: string | null }> {
    const { origin, turn_id: turnId, before, limit } = query;
    const records = this.#options.records.select({ origin, turnId, before, limit });
    const files = await Promise.all(records.map((record) => this.#describe(record)));
    return { files, next: records.length < limit ? null : (records.at(-1)?.id ?? null) };
  }

  async open(id: string) {
    const record = this.#options.records.find(id);
    if (record === undefined) throw new AppError('file.not_found', 'There is no file with this id');
    const found = await findServed(record.path, this.#places);
    return {
      filename: shownName(record.filename),
      mediaType: mediaTypeOf(record.filename),
      bytes: found.bytes,
      version: found.version,
      read: (from: number, to: number) => this.#read(id, found, from, to),
    };
  }

  async #store(announcedBytes: number, fill: Fill): Promise<readonly StoredFile[]> {
    const { log } = this.#options;
    let incoming: Incoming | undefined;
    try {
      incoming = await this.#directory.begin(announcedBytes);
      await fill(incoming);
      const stored = await incoming.commit();
      await this.#record(stored);
      for (const { id, filename, bytes } of stored) log.info('upload.saved', { id, filename, bytes });
      return stored;
    } catch (cause) {
      const error = toUploadError(cause);
      // What was foreseen needs no stack.
      const reason = AppError.is(error) ? { code: error.code, error: error.message } : { error };
      log.warn('upload.failed', reason);
      // The failure is what has to be told, not what cleaning up after it may meet.
      await incoming?.discard().catch((problem: unknown) => log.warn('upload.discard_failed', { problem }));
      throw error;
    }
  }

  async #record(stored: readonly StoredFile[]): Promise<void> {
    const { records, clock } = this.#options;
    const files = stored.map(({ id, path, filename }) => ({
      ...{ id, path, filename, origin: 'received' as const, type: typeOf(filename) },
      ...{ sessionId: null, turnId: null },
    }));
    for (let attempt = 1; ; attempt += 1) {
      try {
        return records.add(files);
      } catch (error) {
        const isBusy = AppError.is(error) && error.code === 'storage.locked';
        if (isBusy && attempt < RECORD_ATTEMPTS) {
          await new Promise<void>((resolve) => void clock.setTimeout(resolve, RECORD_RETRY_MS));
          continue;
        }
        await this.#directory.remove(stored.map(({ id }) => id));
        throw isBusy ? new AppError('storage.unavailable', error.message, { cause: error }) : error;
      }
    }
  }

  async #transcribe(stored: readonly StoredFile[]): Promise<readonly Received[]> {
    const { transcribe, log } = this.#options;
    if (transcribe === undefined) return stored;
    const received: Received[] = [];
    for (const file of stored) {
      const { filename } = file;
      try {
        if (!isSpeech(filename)) received.push(file);
        else {
          const transcription = await transcribe(file.path);
          log.info('upload.transcribed', { filename, chars: transcription.length });
          received.push({ ...file, transcription });
        }
      } catch (error) {
        log.warn('upload.transcribe_error', { filename, error });
        received.push(file);
      }
    }
    return received;
  }

  async #describe(record: FileRecord): Promise<FileInfo> {
    const { id, origin, type, path, sessionId, turnId, createdAtMs } = record;
    const filename = shownName(record.filename);
    const found = await findServed(path, this.#places).catch(() => undefined);
    return {
      ...{ id, origin, type, filename, path, media_type: mediaTypeOf(filename) },
      bytes: found?.bytes ?? null,
      ...{ session_id: sessionId, turn_id: turnId, created_at: createdAtMs / 1000 },
    };
  }

  /** Whoever sends it only sees that it ends. */
  async *#read(id: string, found: ServedFile, from: number, to: number): AsyncGenerator<Uint8Array> {
    try {
      yield* readServed(found, this.#places, { from, to });
    } catch (error) {
      this.#options.log.warn('file.read_failed', { id, error });
      throw error;
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function mediaTypeOf(filename: string): string {
  return lookup(filename) ?? 'application/octet-stream';
}

function typeOf(filename: string): FileRecord['type'] {
  if (isSpeech(filename)) return 'voice';
  const [family] = mediaTypeOf(filename).split('/');
  if (family === 'image' || family === 'video') return family;
  return family === 'audio' ? 'voice' : 'file';
}
