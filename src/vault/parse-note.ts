/**
 * What a note says: properties, links, tags, headings. Pure, total (no text makes it throw) and linear in the length of
 * the note: it runs in the thread that holds the conversations.
 */
import { type Frontmatter, listOf, readFrontmatter, textOf } from './frontmatter.ts';
import { textBlocks } from './markdown-blocks.ts';
import { isTag, joinSpans, scanInlines } from './markdown-inlines.ts';
import type { LinkKind } from './note-index.ts';
import { type LinkTarget, parseDestination, parseTarget } from './wikilinks.ts';

export interface NoteLink extends LinkTarget {
  readonly kind: LinkKind;
  /** As written before the `|`, with heading and block: what the reference calls a link. */
  readonly text: string;
  readonly alias?: string;
  /** Where `text` stands in the note. */
  readonly start: number;
  readonly end: number;
}

export interface NoteHeading {
  readonly level: number;
  readonly text: string;
}

export interface ParsedNote {
  readonly frontmatter: Frontmatter;
  /** Why the properties could not be read; then `frontmatter` is empty. */
  readonly error?: string;
  /** What follows the properties, without blank lines around; the whole note where there are none. */
  readonly body: string;
  /** The title among the properties; the first choice of a name, before the file's. */
  readonly title?: string;
  /** Empty where none is given. */
  readonly type: string;
  /** From properties and text, each once, without `#`. */
  readonly tags: readonly string[];
  readonly aliases: readonly string[];
  readonly headings: readonly NoteHeading[];
  /** In order of appearance, duplicates kept. */
  readonly links: readonly NoteLink[];
}

/** Links, tags and headings beyond this length are not read. */
const SCANNED_CHARS_MAX = 4 * 1024 * 1024;
const WIKILINK = /\[\[([^[\]|\n]{1,1000})(?:\|([^[\]\n]{0,1000}))?\]\]/g;

export function parseNote(content: string): ParsedNote {
  const block = readFrontmatter(content);
  const frontmatter = block?.frontmatter ?? {};
  const tags = new TagSet();
  for (const key of ['tags', 'tag']) {
    for (const tag of listOf(propertyOf(frontmatter, key), /[,\s]+/)) tags.add(tag);
  }
  const links: NoteLink[] = block === undefined ? [] : propertyLinks(content, block);
  const headings: NoteHeading[] = [];
  const text = content.length > SCANNED_CHARS_MAX ? content.slice(0, SCANNED_CHARS_MAX) : content;
  const from = block?.bodyStart ?? (content.startsWith('\uFEFF') ? 1 : 0);
  for (const one of textBlocks(text, from)) {
    if (one.level > 0) headings.push({ level: one.level, text: joinSpans(text, one.spans) });
    scanInlines(text, one, {
      tag: (tag) => tags.add(tag),
      link: ({ syntax, isEmbed, target, ...rest }) => {
        const meant = syntax === 'wiki' ? parseTarget(target) : parseDestination(target);
        if (meant === undefined) return;
        const kind = isEmbed && syntax === 'wiki' ? 'embed' : syntax;
        links.push({ kind, text: target, ...meant, ...rest });
      },
    });
  }
  const title = textOf(propertyOf(frontmatter, 'title'));
  return {
    frontmatter,
    ...(block?.error === undefined ? {} : { error: block.error }),
    body: block === undefined ? content : content.slice(block.bodyStart).trim(),
    ...(title === undefined ? {} : { title }),
    type: textOf(propertyOf(frontmatter, 'type')) ?? '',
    tags: tags.list(),
    aliases: ['aliases', 'alias'].flatMap((key) => listOf(propertyOf(frontmatter, key), /,/)),
    headings,
    links,
  };
}

/** `links` as the reference answers them. */
export function wikilinkTexts({ links }: ParsedNote): readonly string[] {
  return links.filter(({ kind }) => kind !== 'markdown').map(({ text }) => text);
}

/** `Tags` is what some people write. */
function propertyOf(frontmatter: Frontmatter, name: string): unknown {
  if (Object.hasOwn(frontmatter, name)) return frontmatter[name];
  const key = Object.keys(frontmatter).find((one) => one.toLowerCase() === name);
  return key === undefined ? undefined : frontmatter[key];
}

/** Wikilinks in properties count where the text of a value holds them; `[[a]]` without quotes is a list to YAML. */
function propertyLinks(
  content: string,
  { frontmatter, yamlStart, yamlEnd }: { frontmatter: Frontmatter; yamlStart: number; yamlEnd: number },
): NoteLink[] {
  const yaml = content.slice(yamlStart, yamlEnd);
  if (!yaml.includes('[[')) return [];
  const meant = new Set<string>();
  collectWikilinks(frontmatter, meant);
  return [...yaml.matchAll(WIKILINK)]
    .filter(([, target]) => meant.has(target as string))
    .map(({ 1: target, 2: alias, index }) => ({
      kind: 'property',
      text: target as string,
      ...parseTarget(target as string),
      ...(alias === undefined ? {} : { alias }),
      start: yamlStart + index + 2,
      end: yamlStart + index + 2 + (target as string).length,
    }));
}

function collectWikilinks(value: unknown, into: Set<string>): void {
  if (typeof value === 'string') {
    for (const [, target] of value.matchAll(WIKILINK)) into.add(target as string);
  } else if (typeof value === 'object' && value !== null) {
    for (const item of Object.values(value)) collectWikilinks(item, into);
  }
}

/** Tags differ only by more than case; the first spelling stays. */
class TagSet {
  readonly #tags = new Map<string, string>();

  add(written: string): void {
    const tag = written
      .replace(/^#+/, '')
      .split('/')
      .filter((part) => part !== '')
      .join('/');
    if (isTag(tag) && !this.#tags.has(tag.toLowerCase())) this.#tags.set(tag.toLowerCase(), tag);
  }

  list(): readonly string[] {
    return [...this.#tags.values()];
  }
}
