/**
 * Which links have to be written anew when notes get other paths: those to them, their own relative ones, and links to
 * other notes that would suddenly lead to them. Links that lead nowhere stay as they are.
 */
import type { IndexDatabase } from './index-schema.ts';
import {
  folderOf,
  type NoteLookup,
  nameKey,
  relativeTarget,
  resolveTarget,
  targetFor,
} from './link-resolution.ts';
import type { LinkEdit, LinkKind, LinkReplacement } from './note-index.ts';
import { createLookupAfter, type Moves } from './note-lookup.ts';
import { toSort } from './note-writer.ts';
import type { Steps } from './steps.ts';

interface LinkRow {
  readonly source: string;
  readonly kind: LinkKind;
  readonly target: string;
  readonly written: string;
  readonly path: string;
  readonly name: string;
}

const LINKS = `
  SELECT source.path AS source, kind, target, written, links.name AS name, led.path AS path
  FROM links JOIN notes AS source ON source.id = note JOIN notes AS led ON led.id = leads_to`;

export function* planMoves(db: IndexDatabase, moves: Moves): Steps<readonly LinkEdit[]> {
  const after = createLookupAfter(db, moves);
  const edits = new Map<string, LinkReplacement[]>();
  for (const link of yield* concernedBy(db, moves)) {
    const source = moves.get(link.source) ?? link.source;
    const wanted = moves.get(link.path) ?? link.path;
    yield;
    if (resolveTarget(link.target, folderOf(source), after) === wanted) continue;
    const replacement = replace(link, wanted, folderOf(source), after);
    if (replacement === undefined) continue;
    const known = edits.get(source);
    if (known === undefined) edits.set(source, [replacement]);
    else known.push(replacement);
  }
  const sorted = [...edits].sort(([a], [b]) => (toSort(a) < toSort(b) ? -1 : 1));
  return sorted.map(([path, replacements]) => ({ path, replacements }));
}

/** Links that carry the name of a note that moves, and all in such a note. */
function* concernedBy(db: IndexDatabase, moves: Moves): Steps<readonly LinkRow[]> {
  const named = db.prepare<[string], LinkRow>(`${LINKS} WHERE links.name = ? AND links.name <> ''`);
  const within = db.prepare<[string], LinkRow>(`${LINKS} WHERE links.name <> '' AND source.path = ?`);
  const names = new Set([...moves].flat().map(nameKey));
  const found: LinkRow[] = [];
  for (const name of names) {
    found.push(...named.all(name));
    yield;
  }
  for (const path of moves.keys()) {
    found.push(...within.all(path).filter(({ name }) => !names.has(name)));
    yield;
  }
  return found;
}

function replace(
  { kind, target, written }: LinkRow,
  wanted: string,
  folder: string,
  after: NoteLookup,
): LinkReplacement | undefined {
  const isRelative = /^\.\.?\//.test(target);
  let text = isRelative ? relativeTarget(wanted, folder) : targetFor(wanted, folder, after);
  const hash = written.indexOf('#');
  const fragment = hash === -1 ? '' : written.slice(hash);
  if (kind === 'markdown') {
    if (/\.md$/i.test(target) && !/\.md$/i.test(text)) text += '.md';
    return { kind, from: written, to: `${encodeDestination(text)}${fragment}` };
  }
  // Obsidian has no way to write such a name in a wikilink
  return /[#|^[\]]/.test(text) ? undefined : { kind, from: written, to: `${text}${fragment}` };
}

/** Only what would end a destination or mean something else in it: people read these. */
function encodeDestination(path: string): string {
  const encoded = path.replaceAll(
    /[\s()<>%#?"\\[\]]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
  return /^[a-z][a-z0-9+.-]*:/i.test(encoded) ? `./${encoded}` : encoded;
}
