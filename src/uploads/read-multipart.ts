/**
 * A multipart body as it arrives: each file is handed on while it is still being sent, no faster than it is taken, so
 * that its size costs no memory. Whatever goes wrong on either side ends both; nobody waits for a part that never comes.
 */
import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy';
import { AppError } from '../contract/errors.ts';
import type { ByteStream } from '../contract/route.ts';
import { tooLarge } from './upload-errors.ts';

export interface MultipartOptions {
  readonly contentType: string;
  readonly body: ByteStream;
  readonly filesMax: number;
  /** One after the other; the next one only when this one has been dealt with. */
  readonly onFile: (name: string, content: AsyncIterable<Uint8Array>) => Promise<void>;
}

/** Parts that are no files are of no interest, but somebody may send them. */
const FIELDS_MAX = 64;
const FIELD_BYTES = 64 * 1024;
const HEADER_BYTES = 16 * 1024;
const HEADER_PAIRS = 32;

/** Resolves when all of it was read and every file was dealt with. */
export async function readMultipart(options: MultipartOptions): Promise<void> {
  await new MultipartReader(options).read();
}

class MultipartReader {
  readonly #options: MultipartOptions;
  readonly #parser: BusboyInstance;
  readonly #open = new Set<BusboyFileStream>();
  #files: Promise<void> = Promise.resolve();
  #fileCount = 0;
  #failure: { readonly error: unknown } | undefined;
  #stopWaiting: (error: unknown) => void = () => {};

  constructor(options: MultipartOptions) {
    this.#options = options;
    this.#parser = createParser(options.contentType, options.filesMax);
    this.#parser.on('file', (_field, file, name) => this.#take(file, name));
    this.#parser.on('partsLimit', () => this.#fail(invalid('it has too many parts')));
    this.#parser.on('error', (error) => this.#fail(invalid(messageOf(error))));
  }

  async read(): Promise<void> {
    try {
      for await (const chunk of this.#options.body) {
        await this.#step((done) => this.#parser.write(chunk, done));
      }
      await this.#step((done) => {
        this.#parser.once('finish', done);
        this.#parser.end();
      });
    } catch (error) {
      this.#fail(error);
    }
    await this.#files;
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#fileCount === 0) throw new AppError('upload.invalid', 'No file');
  }

  #take(file: BusboyFileStream, name: string | undefined): void {
    // Whoever reads it hears of its errors; before and after, nobody has to.
    file.on('error', () => {});
    this.#open.add(file);
    this.#fileCount += 1;
    if (this.#fileCount > this.#options.filesMax) {
      return this.#fail(tooLarge('uploadFiles', this.#options.filesMax, 'The upload has more files'));
    }
    this.#files = this.#files
      .then(() => (this.#failure === undefined ? this.#options.onFile(name ?? '', file) : undefined))
      .catch((error: unknown) => this.#fail(error))
      .then(() => void this.#open.delete(file));
  }

  /** The parser may wait for a file to be read, and who reads it may have given up. */
  #step(work: (done: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure.error);
      this.#stopWaiting = reject;
      work(resolve);
    });
  }

  /** The first failure is the cause; the others follow from it. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stopWaiting(this.#failure.error);
    for (const file of this.#open) file.destroy();
  }
}

function createParser(contentType: string, filesMax: number): BusboyInstance {
  if (!/^multipart\/form-data\s*(;|$)/i.test(contentType)) {
    throw new AppError('content_type.unsupported', 'An upload is sent as multipart/form-data');
  }
  let parts = 0;
  try {
    return new Busboy({
      headers: { 'content-type': contentType },
      preservePath: true,
      // The first part is a file whatever it is called, as in the reference; of the others, those with a file's name.
      isPartAFile: (_field, _type, name) => parts++ === 0 || name !== undefined,
      limits: {
        parts: filesMax + FIELDS_MAX,
        fieldSize: FIELD_BYTES,
        headerSize: HEADER_BYTES,
        headerPairs: HEADER_PAIRS,
      },
    });
  } catch (error) {
    throw invalid(messageOf(error));
  }
}

function invalid(reason: string): AppError {
  return new AppError('upload.invalid', `The upload is no whole multipart document: ${reason}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
