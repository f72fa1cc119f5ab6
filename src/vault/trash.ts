/**
 * Deleted notes, kept under `.trash` of their vault: `.trash/<when>-<random>/<path the note had>`. The name says all
 * there is to know, so a deletion is one rename, and what another program puts into `.trash` is left alone.
 */
import { randomBytes } from 'node:crypto';
import { lstat, readdir, rm } from 'node:fs/promises';
import { AppError } from '../contract/errors.ts';
import { moveOver, refuseThere, requireFile } from './file-steps.ts';
import type { KeyedLocks } from './keyed-locks.ts';
import { checkPrecondition, isGuarded, type NoteFile, type Precondition } from './note-files.ts';
import { folderOf, joinPath, nameOf, pathKey } from './note-path.ts';
import { isAbsent, notFound, systemCode, withVaultErrors } from './vault-errors.ts';
import type { Folder, VaultRoot } from './vault-root.ts';

export interface TrashedNote {
  readonly id: string;
  /** Where it was. */
  readonly path: string;
  readonly deletedAtMs: number;
  readonly size: number;
}

export interface Trash {
  /** Gives back the path as it was on the disk. */
  add(path: string, precondition?: Precondition): Promise<{ readonly id: string; readonly path: string }>;
  /** The latest first. */
  list(limit: number): Promise<readonly TrashedNote[]>;
  /** To where it was, or to `to`; never over something that is there. */
  restore(id: string, to?: string): Promise<{ readonly path: string }>;
  /** How many went for good. */
  expire(beforeMs: number): Promise<number>;
}

const FOLDER = '.trash';
const ID = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z-[0-9a-f]{8}$/;
/** As deep as a note may be, and one more for damage to show. */
const DEPTH_MAX = 65;

export interface TrashOptions {
  readonly root: VaultRoot;
  readonly locks: KeyedLocks;
  readonly wallMs: () => number;
  readonly read: (path: string) => Promise<NoteFile>;
}

export function createTrash(options: TrashOptions): Trash {
  const { root, locks } = options;
  return {
    add: (path, precondition = {}) =>
      locks.run([pathKey(path)], () => withVaultErrors(path, () => add(options, path, precondition))),
    list: (limit) => withVaultErrors(FOLDER, () => list(root, limit)),
    restore: async (id, to) => {
      const { path: was } = await findTrashed(root, id);
      const wanted = to ?? was;
      return locks.run([pathKey(id), pathKey(wanted)], () =>
        withVaultErrors(wanted, () => restore(root, id, was, wanted)),
      );
    },
    expire: (beforeMs) => withVaultErrors(FOLDER, () => expire(root, beforeMs)),
  };
}

async function add(
  { root, wallMs, read }: TrashOptions,
  given: string,
  precondition: Precondition,
): Promise<{ readonly id: string; readonly path: string }> {
  const path = await root.locate(given);
  if (isGuarded(precondition)) checkPrecondition(path, await read(path), precondition);
  const source = await root.openFolder(folderOf(path));
  if (source === undefined) throw notFound(path);
  try {
    await requireFile(source, path);
    const id = toId(wallMs());
    const target = await root.ensureFolder(below(id, folderOf(path)));
    try {
      await moveOver(source.at(nameOf(path)), target.at(nameOf(path)));
      await target.sync();
      await source.sync();
    } finally {
      await target.close();
    }
    return { id, path };
  } finally {
    await source.close();
  }
}

function below(id: string, folder: string): string {
  return folder === '' ? `${FOLDER}/${id}` : `${FOLDER}/${id}/${folder}`;
}

function toId(nowMs: number): string {
  const when = new Date(nowMs).toISOString().replaceAll(/[-:.]/g, '');
  return `${when}-${randomBytes(4).toString('hex')}`;
}

function timeOf(id: string): number | undefined {
  const [, year, month, day, hour, minute, second, ms] = ID.exec(id) ?? [];
  if (year === undefined) return undefined;
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${ms}Z`);
  return Number.isNaN(time) ? undefined : time;
}

/** Ids, the latest first. */
async function idsOf(folder: Folder): Promise<string[]> {
  const names = await readdir(folder.at(''));
  return names
    .filter((name) => timeOf(name) !== undefined)
    .sort()
    .reverse();
}

async function list(root: VaultRoot, limit: number): Promise<readonly TrashedNote[]> {
  const folder = await root.openFolder(FOLDER);
  if (folder === undefined) return [];
  try {
    const found: TrashedNote[] = [];
    for (const id of await idsOf(folder)) {
      if (found.length >= limit) break;
      const note = await noteIn(root, id);
      if (note !== undefined) found.push({ id, deletedAtMs: timeOf(id) as number, ...note });
    }
    return found;
  } finally {
    await folder.close();
  }
}

/** The one file below an id. Undefined: a deletion or a restore was cut off just there, and nothing is in it. */
async function noteIn(
  root: VaultRoot,
  id: string,
): Promise<{ readonly path: string; readonly size: number } | undefined> {
  let path = '';
  for (let depth = 0; depth < DEPTH_MAX; depth += 1) {
    const folder = await root.openFolder(below(id, path));
    if (folder === undefined) return undefined;
    try {
      const [name] = await readdir(folder.at(''));
      if (name === undefined) return undefined;
      path = joinPath(path, name);
      const stats = await lstat(folder.at(name));
      if (stats.isFile()) return { path, size: stats.size };
      if (!stats.isDirectory()) return undefined;
    } catch (cause) {
      // Restored or expired meanwhile.
      if (isAbsent(cause)) return undefined;
      throw cause;
    } finally {
      await folder.close();
    }
  }
  return undefined;
}

async function findTrashed(
  root: VaultRoot,
  id: string,
): Promise<{ readonly path: string; readonly size: number }> {
  const note = timeOf(id) === undefined ? undefined : await noteIn(root, id);
  if (note !== undefined) return note;
  throw new AppError('vault.not_found', `Not found: there is no "${id}" in the trash`);
}

async function restore(root: VaultRoot, id: string, was: string, to: string): Promise<{ path: string }> {
  const path = await root.locate(to);
  const source = await root.openFolder(below(id, folderOf(was)));
  if (source === undefined) throw notFound(was);
  try {
    await requireFile(source, was);
    const target = await root.ensureFolder(folderOf(path));
    try {
      await refuseThere(target.at(nameOf(path)), path);
      await moveOver(source.at(nameOf(was)), target.at(nameOf(path)));
      await target.sync();
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
  await removeId(root, id);
  return { path };
}

async function removeId(root: VaultRoot, id: string): Promise<void> {
  const folder = await root.openFolder(FOLDER);
  if (folder === undefined) return;
  try {
    await rm(folder.at(id), { recursive: true, force: true });
  } catch (cause) {
    // Somebody has put a file there meanwhile; it goes with the next expiry.
    if (systemCode(cause) !== 'ENOTEMPTY') throw cause;
  } finally {
    await folder.close();
  }
}

async function expire(root: VaultRoot, beforeMs: number): Promise<number> {
  const folder = await root.openFolder(FOLDER);
  if (folder === undefined) return 0;
  let gone = 0;
  try {
    for (const id of await idsOf(folder)) {
      if ((timeOf(id) as number) >= beforeMs) continue;
      await removeId(root, id);
      gone += 1;
    }
  } finally {
    await folder.close();
  }
  return gone;
}
