/**
 * What a database says of itself in its first bytes, and in those of its log. Read as plain files: SQLite itself, also
 * where it only reads, may make files beside a database in WAL mode and takes locks that its owner could meet.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

export interface DatabaseFacts {
  /** `PRAGMA user_version`, as of the last commit. */
  readonly schema: number;
  /** Undefined: whole, as far as its length tells. */
  readonly damage: string | undefined;
}

const HEADER_BYTES = 100;
const MAGIC = 'SQLite format 3\0';
const LOG_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** A log is cut at a thousand pages as a rule; of one that is far longer, the database itself says it well enough. */
const FRAMES_MAX = 20_000;

/** Undefined: there is none, or an empty file that the next start fills. */
export async function readDatabaseFacts(file: string): Promise<DatabaseFacts | undefined> {
  const handle = await openPlain(file);
  if (handle === undefined) return undefined;
  try {
    const { size } = await handle.stat();
    if (size === 0) return undefined;
    const header = await bytesAt(handle, 0, HEADER_BYTES);
    if (header.length < HEADER_BYTES || header.toString('latin1', 0, 16) !== MAGIC) {
      return { schema: 0, damage: 'it does not begin as an SQLite database does' };
    }
    const pageBytes = pageBytesOf(header);
    const pages = header.readUInt32BE(28);
    // Only a header that was written together with the count knows it.
    const knowsLength = header.readUInt32BE(24) === header.readUInt32BE(92);
    const isShort = knowsLength && size < pages * pageBytes;
    const damage = isShort ? `${pages * pageBytes} bytes are wanted and ${size} are there` : undefined;
    const inLog = await schemaInLog(`${file}-wal`, pageBytes);
    return { schema: inLog ?? schemaOf(header), damage };
  } finally {
    await handle.close();
  }
}

/** Throws what the system throws, but for a file that is not there. */
async function openPlain(file: string): Promise<FileHandle | undefined> {
  try {
    const handle = await open(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
    return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function bytesAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

function pageBytesOf(header: Buffer): number {
  const written = header.readUInt16BE(16);
  return written === 1 ? 65_536 : written;
}

const schemaOf = (header: Buffer): number => header.readUInt32BE(60);

/** Of the newest first page that a commit in the log has. Frames of an earlier round have another salt. */
async function schemaInLog(file: string, pageBytes: number): Promise<number | undefined> {
  const handle = await openPlain(file);
  if (handle === undefined) return undefined;
  try {
    const header = await bytesAt(handle, 0, LOG_HEADER_BYTES);
    if (header.length < LOG_HEADER_BYTES || header.readUInt32BE(8) !== pageBytes) return undefined;
    const salt = header.subarray(16, 24);
    let committed: number | undefined;
    let pending: number | undefined;
    for (let frame = 0; frame < FRAMES_MAX; frame += 1) {
      const at = LOG_HEADER_BYTES + frame * (FRAME_HEADER_BYTES + pageBytes);
      const head = await bytesAt(handle, at, FRAME_HEADER_BYTES);
      if (head.length < FRAME_HEADER_BYTES || !head.subarray(8, 16).equals(salt)) break;
      if (head.readUInt32BE(0) === 1) {
        const page = await bytesAt(handle, at + FRAME_HEADER_BYTES, HEADER_BYTES);
        if (page.length === HEADER_BYTES) pending = schemaOf(page);
      }
      if (head.readUInt32BE(4) !== 0) committed = pending;
    }
    return committed;
  } finally {
    await handle.close();
  }
}
