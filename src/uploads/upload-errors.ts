/** Refusals of uploads, each with the limit to look at; and what the disk says, told as the table of errors tells it. */
import { AppError, type ErrorCode } from '../contract/errors.ts';
import { type Limits, limitKey } from '../contract/limits.ts';

export function tooLarge(limit: keyof Limits, max: number, what: string): AppError {
  const name = limitKey(limit);
  return new AppError('upload.too_large', `${what} than limits.${name} (${max}) allows`, {
    details: { limit: name, max },
  });
}

export function diskFull(): AppError {
  return new AppError('storage.full', 'The disk has no room for the upload: free some space');
}

const CODES: Readonly<Record<string, { readonly code: ErrorCode; readonly text: string }>> = {
  ENOSPC: { code: 'storage.full', text: 'The disk has no room for the upload: free some space' },
  EDQUOT: { code: 'storage.full', text: 'The disk quota has no room for the upload: free some space' },
  EFBIG: { code: 'storage.full', text: 'The file system takes no file of this size' },
  EACCES: { code: 'directory.unwritable', text: 'uploads/ cannot be written: permission denied' },
  EPERM: { code: 'directory.unwritable', text: 'uploads/ cannot be written: not permitted' },
  EROFS: { code: 'directory.unwritable', text: 'uploads/ cannot be written: its file system is read-only' },
  EEXIST: { code: 'directory.unwritable', text: 'uploads/ cannot be made: there is a file of this name' },
  ENOTDIR: { code: 'directory.unwritable', text: 'uploads/ cannot be made: there is a file of this name' },
};

/** What is not foreseen stays as it is. */
export function toUploadError(error: unknown): unknown {
  const { code = '' } = error as NodeJS.ErrnoException;
  const known = AppError.is(error) ? undefined : CODES[code];
  return known === undefined ? error : new AppError(known.code, known.text, { cause: error });
}
