/**
 * From the words after `openagent-supervisor` to the agents to run. Ids and real paths are unique from here on; whatever
 * is refused says why by its full path, and the others go on.
 */
import { constants } from 'node:fs';
import { access, lstat, readdir, realpath, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { AppError, type ErrorCode, type WireError } from '../contract/errors.ts';
import { expandPattern, isPattern } from './agent-patterns.ts';
import { CONFIG_NAME } from './config/read-config.ts';
import { initDirectory, unwritable } from './init-directory.ts';

export interface Discovery {
  /** In the order given. `dir` is absolute but keeps symbolic links: its base name is the id. */
  readonly agents: readonly { readonly id: string; readonly dir: string }[];
  readonly refused: readonly { readonly dir: string; readonly error: WireError }[];
  /** Directories that did not exist or were empty, and are agents now. */
  readonly created: readonly string[];
  /** Words of the command line that are patterns, whatever they match now. */
  readonly patterns: readonly string[];
}

type Kind = 'agent' | 'empty' | 'missing' | 'other' | 'file';

export async function discover(args: readonly string[], cwd: string): Promise<Discovery> {
  const agents: { id: string; dir: string }[] = [];
  const refused: { dir: string; error: WireError }[] = [];
  const created: string[] = [];
  const dirByRealPath = new Map<string, string>();
  const dirById = new Map<string, string>();
  // One after another: the first of two that collide is the one that stays.
  const words = await expanded(args, cwd);
  for (const arg of words.flatMap(({ dirs }) => dirs)) {
    const dir = resolve(cwd, arg);
    const id = basename(dir);
    try {
      const kind = await kindOf(dir, arg);
      if (kind === 'file') continue;
      if (kind === 'other') throw notAnAgent(dir);
      refuseDuplicate(dir, kind === 'missing' ? dir : await realpath(dir), dirByRealPath);
      refuseSameId(dir, id, dirById);
      if (kind === 'agent') await access(dir, constants.W_OK | constants.X_OK);
      else if ((await initDirectory(dir)) === 'created') created.push(dir);
      dirByRealPath.set(await realpath(dir), dir);
      dirById.set(id, dir);
      agents.push({ id, dir });
    } catch (error) {
      refused.push({ dir, error: AppError.toWire(AppError.is(error) ? error : unwritable(dir, error)) });
    }
  }
  const patterns = words.filter(({ isPattern: is }) => is).map(({ arg }) => arg);
  return { agents, refused, created, patterns };
}

/** With directories that came to an earlier life of the host by command, where they are still agents. */
export async function discoverAgain(
  found: Discovery,
  added: readonly string[],
  cwd: string,
): Promise<Discovery> {
  const agents = [...found.agents];
  // One that vanishes at this moment is refused where it is prepared.
  const realOf = (dir: string): Promise<string> => realpath(dir).catch(() => dir);
  const present = await Promise.all(agents.map(async ({ id, dir }) => ({ id, dir: await realOf(dir) })));
  for (const dir of added) {
    try {
      const agent = await discoverOne(dir, cwd, present);
      agents.push(agent);
      present.push({ id: agent.id, dir: await realOf(agent.dir) });
    } catch (error) {
      // Gone since, or named by the command line as well.
      if (!AppError.is(error)) throw error;
    }
  }
  return { ...found, agents };
}

/** A pattern is what it matches now; one without a match stays, to be refused as it was typed. */
async function expanded(args: readonly string[], cwd: string): Promise<readonly Word[]> {
  return Promise.all(
    args.map(async (arg) => {
      if (!(await isPattern(arg, cwd))) return { arg, dirs: [arg], isPattern: false };
      const { matches } = await expandPattern(arg, cwd);
      const agents = matches.filter(({ hasConfig }) => hasConfig).map(({ dir }) => dir);
      return { arg, dirs: agents.length > 0 ? agents : [arg], isPattern: true };
    }),
  );
}

interface Word {
  readonly arg: string;
  readonly dirs: readonly string[];
  readonly isPattern: boolean;
}

/** One more directory beside those that are there; it has to be an agent already. `present` by real path. */
export async function discoverOne(
  arg: string,
  cwd: string,
  present: readonly { readonly id: string; readonly dir: string }[],
): Promise<{ readonly id: string; readonly dir: string }> {
  const dir = resolve(cwd, arg);
  const id = basename(dir);
  try {
    const kind = await kindOf(dir, arg);
    if (kind === 'missing') throw refusal('directory.not_agent', `${dir} does not exist`, dir);
    if (kind === 'file') throw refusal('directory.not_agent', `${dir} is no directory`, dir);
    if (kind !== 'agent') throw notAnAgent(dir);
    const real = await realpath(dir);
    const same = present.find((other) => other.dir === real);
    if (same) throw refusal('directory.duplicate', `${dir} is supervised already, as "${same.id}"`, dir);
    refuseSameId(dir, id, new Map(present.map((other) => [other.id, other.dir])));
    await access(dir, constants.W_OK | constants.X_OK);
    return { id, dir };
  } catch (error) {
    throw AppError.is(error) ? error : unwritable(dir, error);
  }
}

async function kindOf(dir: string, arg: string): Promise<Kind> {
  const found = await stat(dir).catch(ignoreMissing);
  if (found === undefined) return await kindOfMissing(dir, arg);
  if (!found.isDirectory()) return 'file';
  if (basename(dir) === '') throw refusal('directory.not_agent', `${dir} has no name to give an agent`, dir);
  const names = await readdir(dir);
  if (names.includes(CONFIG_NAME)) return 'agent';
  return names.length === 0 ? 'empty' : 'other';
}

/** A pattern that matched nothing reaches us as it was typed; `agents/*` must not become a directory called `*`. */
async function kindOfMissing(dir: string, arg: string): Promise<Kind> {
  if (await lstat(dir).catch(ignoreMissing)) {
    const message = `${dir} is a symbolic link to something that does not exist. Correct or remove it.`;
    throw refusal('directory.not_agent', message, dir);
  }
  if (/[*?]/.test(arg)) {
    const message = `Nothing matches ${dir}. Make a first agent: openagent-supervisor init <dir>`;
    throw refusal('directory.not_agent', message, dir);
  }
  return 'missing';
}

function notAnAgent(dir: string): AppError {
  const message = `${dir} has files but no ${CONFIG_NAME}. Make it an agent (nothing is overwritten): openagent-supervisor init ${dir}`;
  return refusal('directory.not_agent', message, dir);
}

function refuseDuplicate(dir: string, real: string, dirByRealPath: ReadonlyMap<string, string>): void {
  const first = dirByRealPath.get(real);
  if (first === undefined) return;
  const same = first === dir ? 'is given twice' : `is the same directory as ${first} (${real})`;
  throw refusal('directory.duplicate', `${dir} ${same}. Give it once.`, dir);
}

function refuseSameId(dir: string, id: string, dirById: ReadonlyMap<string, string>): void {
  const first = dirById.get(id);
  if (first === undefined) return;
  const message = `${dir} and ${first} would both have the id "${id}". Rename one of the two directories.`;
  throw refusal('agent.id_duplicate', message, dir);
}

function refusal(code: ErrorCode, message: string, dir: string): AppError {
  return new AppError(code, message, { details: { dir } });
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
