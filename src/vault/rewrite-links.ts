/** Writes links of a note anew and leaves every other byte of it as it is. */
import type { LinkReplacement } from './note-index.ts';
import { type NoteLink, type ParsedNote, parseNote } from './parse-note.ts';

export function rewriteLinks(content: string, replacements: readonly LinkReplacement[]): string {
  const note = parseNote(content);
  const wanted = new Map(replacements.map(({ kind, from, to }) => [keyOf(kind, from), to]));
  const written = write(content, note, wanted, () => true);
  if (note.links.every(({ kind }) => kind !== 'property')) return written;
  // A name may hold what ends a text in YAML: then the link stays, rather than that all properties are lost
  const isIntact = parseNote(written).error === note.error;
  return isIntact ? written : write(content, note, wanted, ({ kind }) => kind !== 'property');
}

function write(
  content: string,
  { links }: ParsedNote,
  wanted: ReadonlyMap<string, string>,
  isMeant: (link: NoteLink) => boolean,
): string {
  const parts: string[] = [];
  let at = 0;
  for (const link of [...links].filter(isMeant).sort((a, b) => a.start - b.start)) {
    const to = wanted.get(keyOf(link.kind, link.text));
    if (to === undefined || link.start < at) continue;
    parts.push(content.slice(at, link.start), to);
    at = link.end;
  }
  parts.push(content.slice(at));
  return parts.join('');
}

function keyOf(kind: string, text: string): string {
  return `${kind}:${text}`;
}
