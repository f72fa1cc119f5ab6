/**
 * Which links have to be written anew when a note gets another path: those to it, its own relative ones, and links to
 * other notes that would suddenly lead to it. Links that lead nowhere stay as they are.
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
import { createLookupAfter, type Rename } from './note-lookup.ts';

interface LinkRow {
  readonly source: string;
  readonly kind: LinkKind;
  readonly target: string;
  readonly written: string;
  readonly path: string;
}

export function planRename(db: IndexDatabase, rename: Rename): readonly LinkEdit[] {
  const { from, to } = rename;
  if (from === to) return [];
  const after = createLookupAfter(db, rename);
  const links = db
    .prepare<[string, string, string], LinkRow>(
      `WITH concerned AS (
         SELECT note, kind, target, written, leads_to FROM links WHERE name <> '' AND name IN (?, ?)
         UNION
         SELECT note, kind, target, written, leads_to FROM links
         WHERE name <> '' AND note = (SELECT id FROM notes WHERE path = ?))
       SELECT source.path AS source, kind, target, written, led.path AS path
       FROM concerned JOIN notes AS source ON source.id = note JOIN notes AS led ON led.id = leads_to
       ORDER BY source.sort`,
    )
    .all(nameKey(from), nameKey(to), from);
  const edits = new Map<string, LinkReplacement[]>();
  for (const link of links) {
    const source = link.source === from ? to : link.source;
    const wanted = link.path === from ? to : link.path;
    if (resolveTarget(link.target, folderOf(source), after) === wanted) continue;
    const replacement = replace(link, wanted, folderOf(source), after);
    if (replacement === undefined) continue;
    const known = edits.get(source);
    if (known === undefined) edits.set(source, [replacement]);
    else known.push(replacement);
  }
  return [...edits].map(([path, replacements]) => ({ path, replacements }));
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
