/**
 * The YAML block at the top of a note. Whatever somebody wrote there ends as plain data that JSON can carry: a value
 * that breaks a list would take the whole vault with it.
 */
import { parseDocument, type ScalarTag } from 'yaml';

export type Frontmatter = Readonly<Record<string, unknown>>;

export interface FrontmatterBlock {
  readonly frontmatter: Frontmatter;
  /** Why the block could not be read, for a person. */
  readonly error?: string;
  /** Offsets of the YAML, and of what follows the closing line. */
  readonly yamlStart: number;
  readonly yamlEnd: number;
  readonly bodyStart: number;
}

/** A longer block is not read: it is text that begins with a rule, or made to hurt. */
const YAML_CHARS_MAX = 16 * 1024;
/** YAML libraries read nesting by recursion, and quadratically. */
const DEPTH_MAX = 32;
const VALUES_MAX = 10_000;
const ALIASES_MAX = 100;
const OPENING = /^\uFEFF?---[ \t]*\r?\n/;
const CLOSING = /^(?:---|\.\.\.)[ \t]*\r?$/gm;

/** `2026-11-22 09:30` is what ISO calls `2026-11-22T09:30`; a date alone is ISO already. */
const timestamp: ScalarTag = {
  tag: 'tag:yaml.org,2002:timestamp',
  default: true,
  test: /^\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]{1,8})\d\d?:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:[ \t]{0,8}(?:Z|[-+]\d\d?(?::?\d\d)?))?$/,
  resolve: (text) => text.replace(/[Tt]|[ \t]+/, 'T').replace(/[ \t]+/, ''),
};

/** Undefined where the note has none: the first line is not `---`, nothing closes it, or it holds no YAML mapping. */
export function readFrontmatter(content: string): FrontmatterBlock | undefined {
  const opening = OPENING.exec(content);
  if (opening === null) return undefined;
  const yamlStart = opening[0].length;
  CLOSING.lastIndex = yamlStart;
  const closing = CLOSING.exec(content);
  if (closing === null) return undefined;
  const lineEnd = content.indexOf('\n', closing.index);
  const block = {
    yamlStart,
    yamlEnd: closing.index,
    bodyStart: lineEnd === -1 ? content.length : lineEnd + 1,
  };
  const read = readYaml(content.slice(yamlStart, closing.index));
  return read === undefined ? undefined : { ...block, ...read };
}

/** Undefined for text that is no mapping: then the note only begins with a horizontal rule. */
function readYaml(yaml: string): { frontmatter: Frontmatter; error?: string } | undefined {
  if (yaml.length > YAML_CHARS_MAX)
    return failed(`The properties are longer than ${YAML_CHARS_MAX} characters`);
  if (isTooDeep(yaml)) return failed(`The properties are nested deeper than ${DEPTH_MAX} levels`);
  try {
    const document = parseDocument(yaml, {
      customTags: (tags) => [...tags, timestamp],
      logLevel: 'error',
      // Each would be told with its line, which takes the square of what a long line holds
      prettyErrors: false,
      strict: false,
      uniqueKeys: false,
    });
    const [error] = document.errors;
    if (error !== undefined) return failed(`${error.message} (line ${lineOf(yaml, error.pos[0])})`);
    const value: unknown = document.toJS({ maxAliasCount: ALIASES_MAX });
    if (value === null || value === undefined) return { frontmatter: {} };
    if (typeof value !== 'object' || Array.isArray(value)) return undefined;
    return { frontmatter: toPlain(value, { left: VALUES_MAX }, 0) as Frontmatter };
  } catch (error) {
    return failed(error instanceof Error ? error.message : String(error));
  }
}

/** The opening `---` is line 1. */
function lineOf(yaml: string, offset: number): number {
  return yaml.slice(0, offset).split('\n').length + 1;
}

function failed(error: string): { frontmatter: Frontmatter; error: string } {
  return { frontmatter: {}, error };
}

/** Counted without regard to quotes: nobody's properties come near. */
function isTooDeep(yaml: string): boolean {
  let depth = 0;
  for (const line of yaml.split('\n')) {
    // `- - - x` and `? ? x` nest within a line
    if ((/^[-?:\s]*/.exec(line)?.[0] ?? '').replaceAll(/\s/g, '').length > DEPTH_MAX) return true;
    if (line.length - line.trimStart().length > YAML_INDENT_MAX) return true;
    for (const char of line) {
      if (char === '[' || char === '{') depth += 1;
      else if ((char === ']' || char === '}') && depth > 0) depth -= 1;
      if (depth > DEPTH_MAX) return true;
    }
  }
  return false;
}

const YAML_INDENT_MAX = DEPTH_MAX * 4;

/** Without cycles, and without anything JSON has no word for. */
function toPlain(value: unknown, budget: { left: number }, depth: number): unknown {
  budget.left -= 1;
  if (budget.left < 0 || depth > DEPTH_MAX) return null;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map((item) => toPlain(item, budget, depth + 1));
  if (typeof value === 'object' && value !== null) {
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    // fromEntries defines, so that a key called __proto__ is a key
    return Object.fromEntries(entries.map(([key, item]) => [String(key), toPlain(item, budget, depth + 1)]));
  }
  return typeof value === 'string' || typeof value === 'boolean' ? value : null;
}

/** Scalars as text; undefined for everything that has no text of its own. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value.trim() === '' ? undefined : value.trim();
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/** `tags` and the like: a list, or text with commas (tags: or spaces) between. */
export function listOf(value: unknown, separator: RegExp): readonly string[] {
  const items = Array.isArray(value) ? value.flat() : (textOf(value)?.split(separator) ?? []);
  return items.map(textOf).filter((text) => text !== undefined);
}
