/**
 * Which paths a client may name inside a vault. A path that passes is relative, has no way up, and leads to nothing
 * hidden; what is a link on the disk is found out by whoever opens it (`vault-root.ts`). Without this a client reads
 * and writes whatever the agent may.
 */
import { AppError } from '../contract/errors.ts';

/** What file systems take as one name. */
const NAME_BYTES_MAX = 255;
const PATH_BYTES_MAX = 2_048;
const DEPTH_MAX = 64;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is refused
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const LONE_SURROGATE = /\p{Surrogate}/u;
/** Windows: streams, wildcards, names it cannot hold, and devices. */
const WINDOWS_CHARACTERS = /[<>:"|?*]/;
const WINDOWS_NAME = /[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/**
 * The path as it is used from here on: `/` between names, no slash at the end. Throws `vault.path_invalid`, which says
 * what is wrong with it.
 */
export function toNotePath(given: string, platform: NodeJS.Platform = process.platform): string {
  const path = given.endsWith('/') ? given.slice(0, -1) : given;
  const problem = problemOf(path, platform);
  if (problem === undefined) return path;
  throw new AppError('vault.path_invalid', `This path is not possible in a vault: ${problem}`);
}

/** For names found on the disk: whether a client could name it. */
export function isServed(path: string, platform: NodeJS.Platform = process.platform): boolean {
  return problemOf(path, platform) === undefined;
}

export function isNoteName(path: string): boolean {
  return path.endsWith('.md');
}

export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

export function joinPath(folder: string, name: string): string {
  return folder === '' ? name : `${folder}/${name}`;
}

/**
 * What two paths share that may be the same file: the file system may ignore case, and a name may come composed or
 * decomposed.
 */
export function pathKey(path: string): string {
  return path.normalize('NFC').toLowerCase();
}

function problemOf(path: string, platform: NodeJS.Platform): string | undefined {
  if (path === '') return 'it is empty';
  if (path.startsWith('/')) return 'it begins with a slash; paths are relative to the vault';
  if (CONTROL.test(path)) return 'it holds a control character';
  if (LONE_SURROGATE.test(path)) return 'it is not valid Unicode';
  if (path.includes('\\')) return 'it holds a backslash; put / between folders';
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) return `it is longer than ${PATH_BYTES_MAX} bytes`;
  const names = path.split('/');
  if (names.length > DEPTH_MAX) return `it is more than ${DEPTH_MAX} folders deep`;
  for (const name of names) {
    const problem = nameProblem(name, platform);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function nameProblem(name: string, platform: NodeJS.Platform): string | undefined {
  if (name === '') return 'it holds an empty name';
  if (name === '.' || name === '..') return 'it holds "." or ".." as a name';
  if (name.startsWith('.')) return 'names that begin with a dot are hidden and not served';
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) return `a name is longer than ${NAME_BYTES_MAX} bytes`;
  if (platform !== 'win32') return undefined;
  if (WINDOWS_CHARACTERS.test(name) || WINDOWS_NAME.test(name)) return 'Windows cannot hold such a name';
  return undefined;
}
