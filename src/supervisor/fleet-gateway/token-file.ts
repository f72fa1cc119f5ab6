/**
 * The token of the fleet's port. A port that is the same after each restart keeps its token, else every scrape
 * configuration would be wrong after the death of a host; that of a port which is another one each time ends with it.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** What is known of a port's token before the port is had. */
export interface KeptToken {
  readonly value: string;
  /** Already in its file. */
  readonly isKept: boolean;
}

const TOKEN_BYTES = 32;
/** As many as a header may carry without being quoted, and not few enough to guess. */
const WELL_FORMED = /^[\w.~+/=-]{32,512}$/;
const FILE_BYTES_MAX = 1_024;
const OTHERS = 0o077;
/** A link may lead anywhere, and a pipe would hold a thread. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export function tokenFile(dir: string, port: number): string {
  return join(dir, `port-${port}.token`);
}

export async function newToken(): Promise<KeptToken> {
  return { value: (await promisify(randomBytes)(TOKEN_BYTES)).toString('base64url'), isKept: false };
}

/** The one that is there if nobody else can know it, else a new one. `warn`: what is there will be replaced, and why. */
export async function keptToken(path: string, warn: (why: string) => void): Promise<KeptToken> {
  const found = await readToken(path);
  if ('value' in found) return { value: found.value, isKept: true };
  if (found.why !== undefined) warn(found.why);
  return newToken();
}

async function readToken(
  path: string,
): Promise<{ readonly value: string } | { readonly why: string | undefined }> {
  const file = await open(path, OPEN_FLAGS).catch((error: NodeJS.ErrnoException) => error);
  if (file instanceof Error) return { why: file.code === 'ENOENT' ? undefined : file.message };
  try {
    const { uid, mode, size } = await file.stat();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) return { why: 'it is no regular file' };
    if (process.getuid && uid !== process.getuid()) return { why: 'it belongs to another user' };
    if ((mode & OTHERS) !== 0) return { why: 'other users may open it' };
    if (size > FILE_BYTES_MAX) return { why: 'it is too long for a token' };
    const value = (await file.readFile('utf8')).trim();
    return WELL_FORMED.test(value) ? { value } : { why: 'what is in it is no token' };
  } finally {
    await file.close();
  }
}

/** In place of whatever is there. */
export async function replaceToken(path: string, value: string): Promise<void> {
  await rm(path, { force: true });
  await writeNewToken(path, value);
}

/** Where only this user can read it. Rejects with `EEXIST` where something is already. */
export async function writeNewToken(path: string, value: string): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.writeFile(`${value}\n`);
  } catch (error) {
    // Half a token is none.
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}
