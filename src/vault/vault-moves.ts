/**
 * Moves notes and folders of a vault with the links to them. The files move first, in one step; links are written anew
 * afterwards, note by note, so a cut in between leaves links that lead nowhere and never a note that is lost.
 */
import { AppError } from '../contract/errors.ts';
import type { Gate } from './keyed-locks.ts';
import { type NoteFiles, type Precondition, toText } from './note-files.ts';
import type { LinkEdit, NoteSummary } from './note-index.ts';
import type { Moves } from './note-lookup.ts';
import { rewriteLinks } from './rewrite-links.ts';
import type { VaultRoot } from './vault-root.ts';
import type { VaultSync } from './vault-sync.ts';

export interface Movers {
  readonly root: VaultRoot;
  readonly files: NoteFiles;
  readonly gate: Gate;
  readonly sync: () => VaultSync;
  readonly plan: (sync: VaultSync, moves: Moves) => Promise<readonly LinkEdit[]>;
  readonly notesIn: (sync: VaultSync, folder: string) => Promise<readonly NoteSummary[]>;
  readonly write: (path: string, content: string, guard: Precondition) => Promise<unknown>;
  /** For the index. */
  readonly gone: (path: string) => void;
  readonly came: (path: string) => Promise<void>;
  readonly onChange: (action: 'created' | 'deleted', path: string) => void;
}

/** Paths have passed `toNotePath`. */
export interface Wanted {
  readonly from: string;
  readonly to: string;
  readonly updateLinks: boolean;
}

/** What a move waits for an index that is still being read: it would miss links. */
const WAIT_MS = 10_000;
/** How often a note that somebody else writes meanwhile is tried again for its links. */
const REWRITE_TRIES = 3;

export async function moveNote(movers: Movers, wanted: Wanted) {
  const { files, gate, onChange } = movers;
  const sync = await readySync(movers, wanted);
  const [from, to] = await located(movers, wanted);
  const planned = wanted.updateLinks && from !== to ? await movers.plan(sync, new Map([[from, to]])) : [];
  const moved = await gate.shared(async () => {
    const done = await files.move(wanted.from, wanted.to);
    movers.gone(done.from);
    await movers.came(done.to);
    return done;
  });
  onChange('deleted', moved.from);
  onChange('created', moved.to);
  return { ok: true as const, from: moved.from, path: moved.to, ...(await rewriteAll(movers, planned)) };
}

/** The notes in it are read at their new place before it is answered, or later where there are very many. */
export async function moveFolder(movers: Movers, wanted: Wanted) {
  const sync = await readySync(movers, wanted);
  const [from, to] = await located(movers, wanted);
  const notes = wanted.updateLinks && from !== to ? await movers.notesIn(sync, from) : [];
  const moves = new Map(notes.map(({ path }) => [path, `${to}${path.slice(from.length)}`]));
  const planned = moves.size === 0 ? [] : await movers.plan(sync, moves);
  // Nobody writes a note into it meanwhile: the index would have that note where the folder was.
  const moved = await movers.gate.alone(async () => {
    const done = await movers.files.moveFolder(wanted.from, wanted.to);
    sync.look([done.from, done.to]);
    return done;
  });
  await sync.caughtUp(WAIT_MS);
  return { ok: true as const, from: moved.from, path: moved.to, ...(await rewriteAll(movers, planned)) };
}

async function readySync({ sync }: Movers, { updateLinks }: Wanted): Promise<VaultSync> {
  const opened = sync();
  if (!updateLinks || (await opened.ready(WAIT_MS))) return opened;
  const message = 'The links of the vault are still being read, and would be missed: try again in a moment';
  throw new AppError('vault.unavailable', message);
}

async function located({ root }: Movers, { from, to }: Wanted): Promise<readonly [string, string]> {
  const [fromAt, toAt] = [await root.locate(from), await root.locate(to)];
  return [fromAt, toAt.toLowerCase() === from.toLowerCase() ? to.normalize('NFC') : toAt];
}

async function rewriteAll(movers: Movers, edits: readonly LinkEdit[]) {
  const [updated, failed]: [string[], string[]] = [[], []];
  for (const edit of edits) ((await rewrite(movers, edit)) ? updated : failed).push(edit.path);
  return { updated, failed };
}

/** False: it could not be read as text, or somebody else keeps writing it. */
async function rewrite({ files, write }: Movers, { path, replacements }: LinkEdit): Promise<boolean> {
  for (let tries = 0; tries < REWRITE_TRIES; tries += 1) {
    try {
      const note = await files.read(path);
      const { text, isExact } = toText(note.bytes);
      if (!isExact) return false;
      await write(path, rewriteLinks(text, replacements), { ifMatch: `"${note.etag}"` });
      return true;
    } catch (error) {
      if (!AppError.is(error)) throw error;
      if (error.code !== 'vault.conflict') return false;
    }
  }
  return false;
}
