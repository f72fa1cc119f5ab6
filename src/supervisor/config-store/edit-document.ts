/**
 * Brings a YAML document from one content to another and leaves everything else as it was: comments, anchors, order of
 * keys, and, section by section, every byte of what did not change. The result is read again and compared before anybody
 * gets it; a document that cannot be edited that way is edited with its anchors written out.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Document, isMap, isScalar, type Pair } from 'yaml';
import { parseRawConfig } from '../config/parse-config.ts';
import { editMap, handDownComments, spelledOut, textOfKey } from './edit-nodes.ts';
import type { Json } from './mask.ts';

/** Nothing is broken into lines: what has blanks around its line ends would not come through it unchanged. */
const FORM = { lineWidth: 0, doubleQuotedMinMultiLineLength: 2 ** 31 } as const;

/** `file` is how messages call it. Undefined when no way was found that keeps what it should. */
export async function editText(
  file: string,
  source: string,
  after: Json,
  pause: () => Promise<unknown>,
): Promise<string | undefined> {
  const { data } = parseRawConfig(file, source);
  const document = (): Document => handDownComments(parseRawConfig(file, source).document, source);
  if (isDeepStrictEqual(data, after)) return source;
  await pause();
  const attempts = [
    () => edited(document(), data, after),
    () => edited(spelledOut(document(), data), data, after),
  ];
  for (const attempt of attempts) {
    const rewritten = attempt();
    if (rewritten === undefined) continue;
    await pause();
    const spliced = splice(file, source, rewritten, data, after);
    await pause();
    if (spliced !== undefined && says(file, spliced, after)) return spliced;
    if (says(file, rewritten, after)) return rewritten;
  }
  return undefined;
}

/** The whole document, written anew. */
function edited(document: Document, before: unknown, after: Json): string | undefined {
  try {
    if (!isMap(document.contents)) {
      const map = document.createNode({});
      map.commentBefore = document.contents?.commentBefore ?? null;
      map.comment = document.contents?.comment ?? null;
      document.contents = map as never;
      editMap(document, map, {}, after);
    } else editMap(document, document.contents, before as Json, after);
    return document.toString(FORM);
  } catch {
    return undefined; // An alias has lost its anchor: the next attempt has none.
  }
}

function says(file: string, text: string, after: Json): boolean {
  try {
    return isDeepStrictEqual(parseRawConfig(file, text).data, after);
  } catch {
    return false; // Not YAML any more: the two halves did not fit.
  }
}

/** Sections that did not change as they stand in `source`, the others as in `rewritten`. */
function splice(
  file: string,
  source: string,
  rewritten: string,
  before: unknown,
  after: Json,
): string | undefined {
  const old = sectionsOf(file, source);
  const fresh = sectionsOf(file, rewritten);
  if (old === undefined || fresh === undefined) return undefined;
  const was = before as Json;
  const isSame = (key: string): boolean =>
    Object.hasOwn(was, key) && Object.hasOwn(after, key) && isDeepStrictEqual(was[key], after[key]);
  // What stood before a key that is gone belongs to the section in front of it.
  const beforeGone = new Set<string | undefined>();
  let previous: string | undefined;
  for (const key of old.keys) {
    if (Object.hasOwn(after, key)) previous = key;
    else beforeGone.add(previous);
  }
  const newline = source.includes('\r\n') ? '\r\n' : '\n';
  const asSource = (text: string): string => text.replaceAll(/\r?\n/g, newline);
  let text = beforeGone.has(undefined) ? asSource(fresh.head) : old.head;
  for (const key of fresh.keys) {
    const kept = isSame(key) && !beforeGone.has(key) ? old.texts.get(key) : undefined;
    if (text !== '' && !text.endsWith('\n')) text += newline;
    text += kept ?? asSource(fresh.texts.get(key) ?? '');
  }
  return text;
}

interface Sections {
  /** In front of the first key. */
  readonly head: string;
  readonly keys: readonly string[];
  /** From the line of a key to that of the next one. */
  readonly texts: ReadonlyMap<string, string>;
}

/** Undefined where sections do not each begin on a line of their own, once. */
function sectionsOf(file: string, text: string): Sections | undefined {
  const contents = contentsOf(file, text);
  if (!isMap(contents) || contents.flow) return undefined;
  const starts = contents.items.map((pair) => lineOf(text, pair));
  const keys = contents.items.map(({ key }) => textOfKey(key));
  if (new Set(keys).size < keys.length || keys.includes('<<')) return undefined;
  if (starts.some((start, index) => start === undefined || start <= (starts[index - 1] ?? -1)))
    return undefined;
  const texts = new Map(
    keys.map((key, index) => [key, text.slice(starts[index], starts[index + 1] ?? text.length)]),
  );
  return { head: text.slice(0, starts[0]), keys, texts };
}

function contentsOf(file: string, text: string): unknown {
  try {
    return parseRawConfig(file, text).document.contents;
  } catch {
    return undefined; // What is merged elsewhere is no mapping any more: the next attempt has no merges.
  }
}

function lineOf(text: string, { key }: Pair): number | undefined {
  if (!isScalar(key) || !key.range) return undefined;
  // Behind a BOM the first line begins at 1.
  const start = text.lastIndexOf('\n', key.range[0] - 1) + 1;
  return start === 0 && text.startsWith('\uFEFF') ? 1 : start;
}
