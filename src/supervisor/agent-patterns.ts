/**
 * Patterns such as `agents/*`, given in quotes so that the shell leaves them to us: every directory that matches and has an
 * `openagent.yaml`, now and while the supervisor runs. Only `*` and `?` mean something, and not a leading dot.
 */
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { join, parse, resolve, sep } from 'node:path';
import { CONFIG_NAME } from './config/read-config.ts';

export interface MatchedDirectory {
  readonly dir: string;
  readonly real: string;
  /** Changes when the directory is replaced by another one of the same name. */
  readonly inode: number;
  readonly hasConfig: boolean;
}

export interface Expansion {
  /** Sorted by name. */
  readonly matches: readonly MatchedDirectory[];
  /** Every directory whose entries decide what matches. */
  readonly looked: readonly string[];
}

/** One that is literally called so is no pattern. */
export async function isPattern(arg: string, cwd: string): Promise<boolean> {
  if (!/[*?]/.test(arg)) return false;
  return lstat(resolve(cwd, arg)).then(
    () => false,
    () => true,
  );
}

export async function expandPattern(pattern: string, cwd: string): Promise<Expansion> {
  const absolute = resolve(cwd, pattern);
  const { root } = parse(absolute);
  const looked: string[] = [];
  let dirs: readonly string[] = [root];
  for (const segment of absolute.slice(root.length).split(sep).filter(Boolean)) {
    if (!/[*?]/.test(segment)) {
      dirs = dirs.map((dir) => join(dir, segment));
      continue;
    }
    looked.push(...dirs);
    const matcher = toMatcher(segment);
    const found = await Promise.all(dirs.map((dir) => matchingIn(dir, matcher)));
    dirs = found.flat();
  }
  const matches = await Promise.all(dirs.map(lookAt));
  return { matches: matches.filter((match) => match !== undefined), looked };
}

function toMatcher(segment: string): RegExp {
  const body = segment
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*+/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${segment.startsWith('.') ? '' : '(?!\\.)'}${body}$`, 's');
}

async function matchingIn(dir: string, matcher: RegExp): Promise<readonly string[]> {
  try {
    const names = (await readdir(dir)).filter((name) => matcher.test(name));
    return names.sort().map((name) => join(dir, name));
  } catch {
    // It is not there, or not for us to read: nothing of it matches.
    return [];
  }
}

/** Undefined where there is no directory. */
export async function lookAt(dir: string): Promise<MatchedDirectory | undefined> {
  try {
    const found = await stat(dir);
    if (!found.isDirectory()) return undefined;
    const hasConfig = await stat(join(dir, CONFIG_NAME)).then(
      () => true,
      () => false,
    );
    return { dir, real: await realpath(dir), inode: found.ino, hasConfig };
  } catch {
    // Gone in this moment.
    return undefined;
  }
}
