/** Reads `openagent.yaml` and nothing that only looks like it: a pipe would block the start, a huge file exhaust it. */
import { open, stat } from 'node:fs/promises';
import { AppError } from '../../contract/errors.ts';

export const CONFIG_NAME = 'openagent.yaml';
export const CONFIG_BYTES_MAX = 1024 * 1024;

export async function readConfig(file: string): Promise<string> {
  try {
    const found = await stat(file);
    if (!found.isFile()) throw unreadable(file, 'it is not a regular file');
    const handle = await open(file, 'r');
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

/** The size is taken from what is read: a file may grow between `stat` and `read`. */
async function readBounded(file: string, handle: Awaited<ReturnType<typeof open>>): Promise<string> {
  const buffer = Buffer.allocUnsafe(Math.min((await handle.stat()).size, CONFIG_BYTES_MAX) + 1);
  let length = 0;
  while (length < buffer.length) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return buffer.toString('utf8', 0, length);
    length += bytesRead;
  }
  if (length > CONFIG_BYTES_MAX) {
    throw unreadable(file, `it is larger than ${CONFIG_BYTES_MAX / 1024} KiB`);
  }
  throw unreadable(file, 'it changed while it was read; try again');
}

function unreadable(file: string, why: string, cause?: unknown): AppError {
  return new AppError('config.unreadable', `${file} cannot be read: ${why}`, {
    cause,
    details: { file },
  });
}
