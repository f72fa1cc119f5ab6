/**
 * Earlier contents of `openagent.yaml`, as they stood before each write, in `<agent>/.config-versions`. They hold the
 * same secrets as the file itself, so nobody else may read them.
 */
import { lstat, mkdir, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../contract/errors.ts';
import { removeLeftovers, writeAtomically } from './atomic-write.ts';
import { etagOf } from './config-file.ts';

export const VERSIONS_DIR = '.config-versions';
/** Its time in milliseconds, and the beginning of its ETag. */
const NAME = /^(\d{13})-[0-9a-f]{8}\.yaml$/;
const ID = /^\d{13}-[0-9a-f]{8}$/;

export interface ConfigVersion {
  readonly id: string;
  /** When it was replaced, in milliseconds since the Unix epoch. */
  readonly replacedMs: number;
  readonly bytes: number;
}

/** Newest first. */
export async function listVersions(agentDir: string): Promise<readonly ConfigVersion[]> {
  const dir = join(agentDir, VERSIONS_DIR);
  const versions: ConfigVersion[] = [];
  for (const name of await namesOf(dir)) {
    const found = await lstat(join(dir, name)).catch(() => undefined); // Removed just now.
    if (!found?.isFile()) continue;
    const id = name.slice(0, -'.yaml'.length);
    versions.push({ id, replacedMs: Number(NAME.exec(name)?.[1]), bytes: found.size });
  }
  return versions;
}

export async function readVersion(agentDir: string, id: string): Promise<Buffer> {
  const known = ID.test(id) && (await listVersions(agentDir)).some((version) => version.id === id);
  if (!known) {
    throw new AppError(
      'config.version_unknown',
      `No version ${id.slice(0, 40)} of the configuration is kept`,
    );
  }
  return readFile(join(agentDir, VERSIONS_DIR, `${id}.yaml`));
}

/** Keeps `bytes` as the newest version; one that is the newest already is not kept twice. */
export async function keepVersion(agentDir: string, bytes: Buffer, wallMs: number): Promise<void> {
  const dir = join(agentDir, VERSIONS_DIR);
  await makeOwnDirectory(dir);
  const [newest] = await namesOf(dir);
  const mark = etagOf(bytes).slice(0, 8);
  if (newest?.includes(`-${mark}.`)) return;
  // Sorted by their time, also where the clock was set back.
  const lastMs = newest === undefined ? 0 : Number(NAME.exec(newest)?.[1]);
  const timeMs = String(Math.max(Math.floor(wallMs), lastMs + 1)).padStart(13, '0');
  await writeAtomically(join(dir, `${timeMs}-${mark}.yaml`), bytes, { mode: 0o600 });
}

export async function dropVersions(agentDir: string, keep: number): Promise<void> {
  const dir = join(agentDir, VERSIONS_DIR);
  // A write that was cut off leaves a temporary name; each version has its own, so no later write would remove it.
  await removeLeftovers(dir);
  for (const name of (await namesOf(dir)).slice(keep)) await unlink(join(dir, name));
}

async function makeOwnDirectory(dir: string): Promise<void> {
  try {
    await mkdir(dir, { mode: 0o700 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && (await lstat(dir)).isDirectory()) return;
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    const why = code === 'EEXIST' ? 'it is there and no directory' : code;
    throw new AppError(
      full ? 'storage.full' : 'directory.unwritable',
      `${VERSIONS_DIR} cannot be made (${why}); nothing was changed`,
      { cause: error },
    );
  }
}

/** Newest first. */
async function namesOf(dir: string): Promise<readonly string[]> {
  try {
    const names = await readdir(dir);
    return names
      .filter((name) => NAME.test(name))
      .sort()
      .reverse();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
