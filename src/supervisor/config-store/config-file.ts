/**
 * `openagent.yaml` as bytes with a version. A symbolic link is followed within the agent's directory; one that leads out
 * of it is read, as at the start, and never written: replacing it would cut the link, and writing behind it would change
 * a file that may be others' too.
 */
import { createHash } from 'node:crypto';
import { lstat, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { CONFIG_NAME, readConfigBytes } from '../config/read-config.ts';
import { writeAtomically } from './atomic-write.ts';

/** Larger ones start an agent, but would keep the main thread for too long at each request. */
export const EDIT_BYTES_MAX = 128 * 1024;

export interface ConfigFile {
  readonly bytes: Buffer;
  readonly text: string;
  readonly etag: string;
  readonly exists: boolean;
}

export async function readConfigFile(dir: string): Promise<ConfigFile> {
  const path = join(dir, CONFIG_NAME);
  const bytes = (await isThere(path)) ? await readConfigBytes(path) : undefined;
  if (bytes === undefined) return toConfigFile(Buffer.alloc(0), false);
  return toConfigFile(bytes, true);
}

export function toConfigFile(bytes: Buffer, exists: boolean): ConfigFile {
  if (bytes.length > EDIT_BYTES_MAX) throw tooLarge();
  return { bytes, text: toText(bytes), etag: etagOf(bytes), exists };
}

export function tooLarge(): AppError {
  const message = `${CONFIG_NAME} is larger than the ${EDIT_BYTES_MAX / 1024} KiB that can be read and written here; edit the file itself`;
  return new AppError('body.too_large', message);
}

export function etagOf(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

/** The content is replaced; who may read it stays. */
export async function writeConfigFile(dir: string, text: string): Promise<void> {
  const path = join(dir, CONFIG_NAME);
  if (!(await isThere(path))) return writeAtomically(path, text, { mode: 0o600 });
  const target = await realpath(path);
  if (!target.startsWith(`${await realpath(dir)}${sep}`)) {
    const message = `${CONFIG_NAME} is a link to ${target}, outside of the agent's directory: edit that file`;
    throw new AppError('config.linked', message);
  }
  const { mode, uid, gid } = await stat(target);
  await writeAtomically(target, text, { mode: mode & 0o777, owner: { uid, gid } });
}

/** Also when it is a link that leads nowhere: reading it then says so. */
async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new AppError('config.unreadable', `${CONFIG_NAME} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Bytes that are no text would come back as other ones. */
function toText(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new AppError('config.unreadable', `${CONFIG_NAME} is not UTF-8: save it as UTF-8`, { cause });
  }
}
