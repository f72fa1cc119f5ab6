/** What the file system says, told as what a client can do about it. */
import { AppError, type ErrorCode } from '../contract/errors.ts';

/** `ENOENT` and the like; undefined for everything that is not an error of a system call. */
export function systemCode(cause: unknown): string | undefined {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** There is nothing of that name, or something on the way is no folder. */
export function isAbsent(cause: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(cause) ?? '');
}

export function notFound(path: string): AppError {
  return new AppError('vault.not_found', `Not found: there is no "${path}" in the vault`);
}

export function alreadyThere(path: string, what = 'something of that name'): AppError {
  return new AppError(
    'vault.exists',
    `There is already ${what} at "${path}": choose another name, or move that away first`,
  );
}

const CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOSPC: ['storage.full', 'the disk is full; free some space, nothing was changed'],
  EDQUOT: ['storage.full', 'the quota of this disk is used up; free some space, nothing was changed'],
  ENAMETOOLONG: ['vault.path_invalid', 'the file system does not take so long a name'],
  EINVAL: ['vault.path_invalid', 'the file system does not take such a name'],
  EILSEQ: ['vault.path_invalid', 'the file system does not take such a name'],
  EISDIR: ['vault.exists', 'a folder has that name'],
  ENOTDIR: ['vault.exists', 'a file stands where a folder is needed'],
  ELOOP: ['vault.path_invalid', 'it leads through a symbolic link, which is not followed in a vault'],
};

export function toVaultError(cause: unknown, path: string): unknown {
  if (AppError.is(cause)) return cause;
  const code = systemCode(cause);
  // A defect of ours stays one.
  if (code === undefined || !/^E[A-Z0-9]+$/.test(code)) return cause;
  const [known, why] = CODES[code] ?? ['vault.unavailable', `the file system says ${code}`];
  return new AppError(known, `"${path}" cannot be used: ${why}`, { cause });
}

export async function withVaultErrors<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw toVaultError(cause, path);
  }
}
