/** Reads `openagent.yaml` and nothing that only looks like it: a pipe would block the start, a huge file exhaust it. */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { AppError } from '../../contract/errors.ts';

export const CONFIG_NAME = 'openagent.yaml';
/** A dense one of this size takes half a second of the main thread to read. */
export const CONFIG_BYTES_MAX = 256 * 1024;

/** Opening a pipe for reading would wait for its writer. */
const OPEN_FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

export async function readConfig(file: string): Promise<string> {
  return (await readConfigBytes(file)).toString('utf8');
}

/** As they stand, for whoever writes them back. */
export async function readConfigBytes(file: string): Promise<Buffer> {
  try {
    const handle = await open(file, OPEN_FLAGS);
    try {
      return await readBounded(file, handle);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (AppError.is(error)) throw error;
    throw unreadable(file, (error as NodeJS.ErrnoException).message, error);
  }
}

async function readBounded(file: string, handle: FileHandle): Promise<Buffer> {
  const found = await handle.stat();
  if (!found.isFile()) throw unreadable(file, 'it is not a regular file');
  if (found.size > CONFIG_BYTES_MAX) {
    throw unreadable(file, `it is larger than ${CONFIG_BYTES_MAX / 1024} KiB`);
  }
  const buffer = Buffer.allocUnsafe(found.size);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}

function unreadable(file: string, why: string, cause?: unknown): AppError {
  return new AppError('config.unreadable', `${file} cannot be read: ${why}`, {
    cause,
    details: { file },
  });
}
