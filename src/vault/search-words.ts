/**
 * From text to what FTS5 indexes, and from what a person types to a query that FTS5 cannot misread: every word is
 * quoted, so there are no operators.
 */

/** Written without spaces between words: each character counts as a word of its own. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/gu;
/** Cheap to look for: most notes have none. */
const MAYBE_UNSPACED =
  /[\u0E00-\u0EFF\u1000-\u109F\u1780-\u17FF\u2E80-\u9FFF\uD840-\uD8BF\uF900-\uFAFF\uFF66-\uFF9F]/;
const MARK = '\u200B';
const QUERY_CHARS_MAX = 400;
const TERMS_MAX = 16;

export function toWords(text: string): string {
  const composed = text.normalize('NFC').replaceAll('\0', ' ');
  return MAYBE_UNSPACED.test(composed) ? composed.replaceAll(UNSPACED, `$&${MARK}`) : composed;
}

/** Undoes `toWords`, on one line. */
export function fromWords(words: string): string {
  return words.replaceAll(MARK, '').replaceAll(/\s+/g, ' ').trim();
}

/**
 * Undefined where nothing is asked for. All words are wanted; the last may go on, once it has two characters: one is the
 * beginning of a good part of all words.
 */
export function toMatch(query: string): string | undefined {
  const terms = toWords(query.slice(0, QUERY_CHARS_MAX))
    .split(/\s+/)
    .filter((term) => /[\p{L}\p{N}\p{Co}]/u.test(term))
    .slice(0, TERMS_MAX)
    .map((term) => `"${term.replaceAll('"', '""')}"`);
  const last = terms.at(-1);
  if (last === undefined) return undefined;
  const mayGoOn = [...last.matchAll(/[\p{L}\p{N}\p{Co}]/gu)].length > 1;
  return `${terms.join(' AND ')}${mayGoOn ? ' *' : ''}`;
}
