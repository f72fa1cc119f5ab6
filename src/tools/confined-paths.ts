/**
 * Where tools for files may go: into the roots, by the path that a name really has, and in no agent's directory to what
 * makes that agent what it is. A model repeats what strangers wrote, so every path is one of theirs.
 */
import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { AppError } from '../contract/errors.ts';

export interface ConfinementOptions {
  /** Absolute. Relative paths begin at the first. */
  readonly roots: readonly string[];
  /** Absolute; never reached, nor what lies beside them and begins with their names. */
  readonly privateFiles: readonly string[];
}

/** A path without links in it, as it is on the disk, within a root. */
export interface ConfinedPath {
  readonly real: string;
  readonly exists: boolean;
}

export type Access = 'read' | 'write';

/** Never, wherever they are: configuration, databases and locks of an agent, and what keeps keys. */
const NEVER = [
  /^openagent\.ya?ml/i,
  /^openagent\.db/i,
  /^vault-index\.db/i,
  /^\.(?:lock|writer)/i,
  /^\.config-versions$/i,
  /^\.env(?:\.|$)/i,
  // To open and close one would take the locks of whoever in this process uses it.
  /\.(?:db|sqlite3?)(?:-\w+)?$/i,
];
/** Directly in an agent's directory: hidden files are the supervisor's, the other two make the agent or judge it. */
const AGENTS_OWN: Readonly<Record<Access, RegExp>> = {
  read: /^(?:\.|openagent\.)/i,
  write: /^(?:\.|openagent\.|bridges$|logs$)/i,
};
const CONFIG_NAMES = ['openagent.yaml', 'openagent.yml'];

export interface Confinement {
  /** Throws `file.refused`; what is not there has the path that it would have. */
  locate(given: string, access: Access): Promise<ConfinedPath>;
  /** Which names in a directory may be seen; for one that `locate` gave, and those below it. */
  visibleIn(realDir: string): Promise<(name: string) => boolean>;
  /** As it is told to the model. */
  shown(real: string): Promise<string>;
}

export function createConfinement(options: ConfinementOptions): Confinement {
  return {
    locate: async (given, access) => {
      if (given.includes('\0') || given === '') throw refused('it is no path');
      const [first] = options.roots;
      if (first === undefined) throw refused('this agent has no directory for files (tools.files.roots)');
      const plain = isAbsolute(given) ? resolve(given) : resolve(first, given);
      const { real, exists } = await realPathOf(plain);
      await refusePrivate(real, access, options);
      return { real, exists };
    },
    visibleIn: async (realDir) => {
      const own = await realPathsOf(options.privateFiles);
      const config = await configOf(realDir);
      const linked = await configsAbove(realDir, options.roots);
      return (name) => {
        const real = join(realDir, name);
        const isAgents = linked.includes(real) || (config !== undefined && AGENTS_OWN.read.test(name));
        return (
          !isAgents && !NEVER.some((each) => each.test(name)) && !own.some((file) => isOrBeside(real, file))
        );
      };
    },
    shown: async (real) => {
      const [first = ''] = options.roots;
      const base = await realpath(first).catch(() => first);
      const inside = relative(base, real);
      return isInside(inside) ? inside : real;
    },
  };
}

/** Links are followed as far as there is anything; what is missing behind that is taken as written. */
async function realPathOf(plain: string): Promise<ConfinedPath> {
  const missing: string[] = [];
  for (let at = plain; ; at = dirname(at)) {
    try {
      const real = await realpath(at);
      return { real: join(real, ...missing), exists: missing.length === 0 };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A link that leads nowhere could lead somewhere by the time it is used.
      const isLink = await lstat(at).then(
        () => true,
        () => false,
      );
      if (isLink || code !== 'ENOENT' || dirname(at) === at) throw refused('it cannot be followed');
      missing.unshift(basename(at));
    }
  }
}

async function refusePrivate(
  real: string,
  access: Access,
  { roots, privateFiles }: ConfinementOptions,
): Promise<void> {
  const root = await rootOf(real, roots);
  if (root === undefined) throw refused('it lies outside of the directories for files (tools.files.roots)');
  const parts = relative(root, real).split(sep).filter(Boolean);
  if (parts.some((part) => NEVER.some((name) => name.test(part)))) throw refused(PRIVATE);
  const own = await realPathsOf(privateFiles);
  if (own.some((file) => isOrBeside(real, file))) throw refused(PRIVATE);
  let dir = root;
  for (const part of parts) {
    const config = await configOf(dir);
    if (config !== undefined && (AGENTS_OWN[access].test(part) || real === config)) throw refused(PRIVATE);
    dir = join(dir, part);
  }
}

async function realPathsOf(files: readonly string[]): Promise<readonly string[]> {
  const real = await Promise.all(files.map((file) => realpath(file).catch(() => file)));
  return [...new Set([...files, ...real])];
}

/** The file itself, and SQLite's companions of it. */
function isOrBeside(real: string, file: string): boolean {
  return real === file || real.startsWith(`${file}-`) || real.startsWith(`${file}.`);
}

async function rootOf(real: string, roots: readonly string[]): Promise<string | undefined> {
  for (const root of roots) {
    const realRoot = await realpath(root).catch(() => undefined);
    if (realRoot === undefined) continue;
    const inside = relative(realRoot, real);
    if (inside === '' || isInside(inside)) return realRoot;
  }
  return undefined;
}

/** Where the configuration of the agent of this directory really is; undefined: it is no agent's. */
async function configOf(dir: string): Promise<string | undefined> {
  for (const name of CONFIG_NAMES) {
    const file = join(dir, name);
    const isThere = await lstat(file).then(
      () => true,
      () => false,
    );
    if (isThere) return realpath(file).catch(() => file);
  }
  return undefined;
}

/** Of the agents in whose directories this one is: theirs may be a link to something further down. */
async function configsAbove(realDir: string, roots: readonly string[]): Promise<readonly string[]> {
  const root = await rootOf(realDir, roots);
  const found: string[] = [];
  for (let dir = realDir; root !== undefined; dir = dirname(dir)) {
    const config = await configOf(dir);
    if (config !== undefined) found.push(config);
    if (dir === root) break;
  }
  return found;
}

function isInside(path: string): boolean {
  return path !== '' && path !== '..' && !path.startsWith(`..${sep}`) && !isAbsolute(path);
}

const PRIVATE = 'it belongs to the agent itself, or may hold secrets';

function refused(why: string): AppError {
  return new AppError('file.refused', `This path is refused: ${why}`);
}
