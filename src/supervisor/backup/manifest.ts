/**
 * What the manifest says of a backup. It is the last entry of the archive: a backup without one was cut off, and what
 * it does not name is not restored.
 */
import { z } from 'zod';

/** In a directory of its own: an agent may have a file of that name. */
export const MANIFEST_NAME = '.backup/manifest.json';
/** Raised when an older program could not restore what a newer one writes. */
export const FORMAT = 1;
export const MANIFEST_BYTES_MAX = 128 * 1024 * 1024;
const ENTRIES_MAX = 1_000_000;

/** Relative, without `.` and `..`, without a drive or a backslash: the same place on every system. */
export function isPlainPath(path: string): boolean {
  if (path === '' || path.length > 4_096 || /[\0\\]/.test(path) || /^[a-z]:/i.test(path)) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..' && part.length <= 255);
}

const Path = z.string().refine(isPlainPath, 'a relative path');

export const BackupFile = z.object({
  path: Path,
  size: z.int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
export type BackupFile = z.output<typeof BackupFile>;

/** A secret that was left out, and the variable that stands in its place. */
export const LeftOut = z.object({
  variable: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/),
  /** Dotted path in `openagent.yaml`. */
  key: z.string(),
});
export type LeftOut = z.output<typeof LeftOut>;

export const Manifest = z.object({
  format: z.int().positive(),
  /** Of the program that wrote it. */
  version: z.string(),
  agent: z.string(),
  /** ISO 8601. */
  created: z.string(),
  /** Real path of the agent's directory. */
  dir: z.string(),
  /** `PRAGMA user_version` of the database; null: the agent had none yet. */
  schema: z.int().nonnegative().nullable(),
  /** Which of the files it is. */
  database: Path.nullable(),
  includes: z.object({ secrets: z.boolean(), uploads: z.boolean(), logs: z.boolean() }),
  left_out: z.array(LeftOut),
  directories: z.array(Path).max(ENTRIES_MAX),
  files: z.array(BackupFile).max(ENTRIES_MAX),
});
export type Manifest = z.output<typeof Manifest>;
