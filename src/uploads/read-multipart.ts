/**
 * A multipart body as it arrives: each file is handed on while it is still being sent, no faster than it is taken, so
 * that its size costs no memory. The body may use the memory of a chunk again for the next one, so that is asked for only
 * when all of this one was dealt with. Whatever goes wrong on either side ends both; nobody waits for a part that never comes.
 */
import { Busboy, type BusboyFileStream, type BusboyInstance } from '@fastify/busboy';
import { AppError } from '../contract/errors.ts';
import type { ByteStream } from '../contract/route.ts';
import { FileContent } from './file-content.ts';
import { tooLarge } from './upload-errors.ts';

export interface MultipartOptions {
  readonly contentType: string;
  readonly body: ByteStream;
  readonly filesMax: number;
  /**
   * One after the other; the next one only when this one has been dealt with. A piece of the content is valid until the
   * next one is asked for.
   */
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
  readonly #contents: FileContent[] = [];
  #files: Promise<void> = Promise.resolve();
  #failure: { readonly error: unknown } | undefined;
  #isParsed = true;
  #goOn: () => void = () => {};
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
    if (this.#contents.length === 0) throw new AppError('upload.invalid', 'No file');
  }

  #take(file: BusboyFileStream, name: string | undefined): void {
    this.#contents.at(-1)?.end();
    if (this.#contents.length >= this.#options.filesMax) {
      file.on('error', () => {});
      return this.#fail(tooLarge('uploadFiles', this.#options.filesMax, 'The upload has more files'));
    }
    const content = new FileContent(file, () => this.#lookOn());
    this.#contents.push(content);
    this.#files = this.#files
      .then(() => (this.#failure === undefined ? this.#options.onFile(name ?? '', content) : undefined))
      .catch((error: unknown) => this.#fail(error))
      .then(() => content.letGo());
  }

  /** Until all of it was parsed and taken; or somebody has given up. */
  #step(work: (done: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure.error);
      this.#goOn = resolve;
      this.#stopWaiting = reject;
      this.#isParsed = false;
      work(() => {
        this.#isParsed = true;
        this.#lookOn();
      });
    });
  }

  #lookOn(): void {
    if (this.#isParsed && this.#contents.every((content) => content.isTaken)) this.#goOn();
  }

  /** The first failure is the cause; the others follow from it. */
  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#stopWaiting(this.#failure.error);
    for (const content of this.#contents) content.fail(this.#failure.error);
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
