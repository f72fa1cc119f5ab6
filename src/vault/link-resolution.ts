/**
 * Which note a link leads to, by Obsidian's rules as observed on its version 1.13: an exact path from the vault's root;
 * otherwise the note beside the one that holds the link; otherwise the shortest path that ends like the target.
 * `./` and `../` start at the linking note's folder and mean one path only. Aliases are no targets. Case counts only
 * between notes that differ in nothing else.
 *
 * Of all notes only those with the target's own last name matter, so a note that comes or goes concerns only the links
 * that carry its name: `nameKey` is what both sides are looked up by.
 */

/** How the resolution asks for notes. Paths in questions are folded and without `.md`. */
export interface NoteLookup {
  /** Notes at this path: more than one only where the disk tells case apart. */
  at(foldedPath: string): readonly string[];
  /** The shortest path with this name that ends like this, the first by alphabet among equally short ones. */
  ending(nameKey: string, foldedEnding: string): string | undefined;
  /** Whether no other note has this name. */
  isOnly(nameKey: string): boolean;
}

export function folderOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? '' : path.slice(0, slash);
}

/** Name of a file without folder and `.md`. */
export function stemOf(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return /\.md$/i.test(name) ? name.slice(0, -3) : name;
}

/** Disks differ in how they keep accents and case; links are written by people. */
export function fold(text: string): string {
  return text.normalize('NFC').toLowerCase();
}

/** The same for `b`, `x/B` and `../B.md`. Empty for what cannot be a note. */
export function nameKey(pathOrTarget: string): string {
  return fold(stemOf(pathOrTarget));
}

/** `target` without heading, block and alias; `fromFolder` is the folder of the note that holds the link. */
export function resolveTarget(target: string, fromFolder: string, notes: NoteLookup): string | undefined {
  const key = nameKey(target);
  if (key === '' || key === '.' || key === '..') return undefined;
  const wanted = withoutExtension(target);
  if (/^\.\.?\//.test(wanted)) {
    const path = joinPath(fromFolder, wanted);
    return path === undefined ? undefined : exactly(path, notes);
  }
  if (wanted.startsWith('/')) return exactly(wanted.slice(1), notes);
  const beside = fromFolder === '' ? wanted : `${fromFolder}/${wanted}`;
  return exactly(wanted, notes) ?? exactly(beside, notes) ?? nearest(wanted, key, notes);
}

/**
 * The shortest target that leads to `path`: its name where only one note has it, its path otherwise, as Obsidian
 * writes it.
 */
export function targetFor(path: string, fromFolder: string, notes: NoteLookup): string {
  const stem = stemOf(path);
  const leadsThere = (target: string) => resolveTarget(target, fromFolder, notes) === path;
  const whole = withoutExtension(path);
  if (notes.isOnly(nameKey(path)) && leadsThere(stem)) return stem;
  return leadsThere(whole) ? whole : `/${path}`;
}

/** The way from a folder to a note, as `./` and `../` have it. */
export function relativeTarget(path: string, fromFolder: string): string {
  const to = withoutExtension(path).split('/');
  const from = fromFolder === '' ? [] : fromFolder.split('/');
  let shared = 0;
  while (shared < from.length && shared < to.length - 1 && from[shared] === to[shared]) shared += 1;
  const up = from.length - shared;
  return `${up === 0 ? './' : '../'.repeat(up)}${to.slice(shared).join('/')}`;
}

export function withoutExtension(path: string): string {
  return /\.md$/i.test(path) ? path.slice(0, -3) : path;
}

/** Undefined above the vault's root. */
function joinPath(folder: string, relative: string): string | undefined {
  const parts = folder === '' ? [] : folder.split('/');
  for (const part of relative.split('/')) {
    if (part === '.' || part === '') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return parts.join('/');
}

/** Of notes that differ in case only, the one spelled like the link, then the first by alphabet. */
function exactly(wanted: string, notes: NoteLookup): string | undefined {
  const found = notes.at(fold(wanted));
  const spelled = wanted.normalize('NFC');
  return (
    found.find((note) => withoutExtension(note).normalize('NFC').endsWith(spelled)) ?? [...found].sort()[0]
  );
}

function nearest(wanted: string, key: string, notes: NoteLookup): string | undefined {
  const found = notes.ending(key, `/${fold(wanted)}`);
  if (found === undefined) return undefined;
  const folder = withoutExtension(found).slice(0, -wanted.length);
  return exactly(`${folder}${wanted}`, notes) ?? found;
}
