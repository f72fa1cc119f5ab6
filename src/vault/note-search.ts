/**
 * Ranked search that costs about the same whatever is asked: a word that is in every note is ranked among a bounded
 * number of notes, those first whose name, title or tags hold it.
 */
import type { IndexDatabase } from './index-schema.ts';
import { fold } from './link-resolution.ts';
import type { NoteSummary, SearchHit } from './note-index.ts';
import { fromWords, toMatch, toWords } from './search-words.ts';
import type { Steps } from './steps.ts';

/** Notes that are ranked, the newest in the index first; of those whose names match, and of all. */
const RANKED_MAX = 200;
const HITS_MAX = 200;
const SNIPPET_WORDS = 24;
/** How much of a note is looked through for its snippet. */
const SNIPPET_CHARS_MAX = 64 * 1024;

interface Ranked {
  readonly id: number;
  readonly rank: number;
}

export function createNoteSearch(
  db: IndexDatabase,
): (query: string, options: { readonly limit: number }) => Steps<readonly SearchHit[]> {
  const { ranked, snippet, body, named, summary } = prepareStatements(db);

  /** None where the note went in between two steps. */
  function toHit(id: number, score: number, toSnippet: (id: number) => string): readonly SearchHit[] {
    const known = summary.get(id);
    if (known === undefined) return [];
    const { path, title, tags } = JSON.parse(known) as NoteSummary;
    return [{ path, title, tags, snippet: fromWords(toSnippet(id)), score }];
  }

  return function* search(query, options) {
    const limit = Math.max(0, Math.min(Math.trunc(options.limit), HITS_MAX));
    const name = fold(query.trim()).slice(0, 1_000);
    if (name === '' || limit === 0) return [];
    const match = toMatch(query);
    const terms = longestFirst(query);
    // FTS5 knows best where a match is, and asks the whole question again for each note: only for what is not plain
    const snippetOf = (id: number) => {
      const text = body.get(id) ?? '';
      const at = findTerm(text, terms);
      if (at !== undefined) return cutAround(text, at);
      return text.length < SNIPPET_CHARS_MAX ? (snippet.get(match as string, id) ?? '') : cutAround(text, 0);
    };
    const best = new Map<number, number>();
    for (const wanted of match === undefined ? [] : [`{name title tags} : (${match})`, match]) {
      for (const { id, rank } of ranked.all(wanted, limit)) {
        best.set(id, Math.min(rank, best.get(id) ?? 0));
      }
      yield;
    }
    const hits: SearchHit[] = [];
    const found = [...best].sort(([idA, a], [idB, b]) => a - b || idA - idB).slice(0, limit);
    for (const [id, rank] of found) {
      hits.push(...toHit(id, -rank, snippetOf));
      yield;
    }
    if (found.length === limit) return hits;
    // What the reference finds too: part of a file's name, wherever it begins
    for (const id of named.all(name, limit)) {
      if (hits.length >= limit) break;
      if (!best.has(id)) hits.push(...toHit(id, 0, (note) => cutAround(body.get(note) ?? '', 0)));
      yield;
    }
    return hits;
  };
}

function prepareStatements(db: IndexDatabase) {
  const ranked = db.prepare<[string, number], Ranked>(
    `SELECT id, rank FROM
       (SELECT rowid AS id, rank FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ${RANKED_MAX})
     ORDER BY rank LIMIT ?`,
  );
  const snippet = db
    .prepare<[string, number], string>(
      `SELECT snippet(words, 3, '', '', '…', ${SNIPPET_WORDS}) FROM words WHERE words MATCH ? AND rowid = ?`,
    )
    .pluck();
  const body = db
    .prepare<[number], string>(`SELECT substr(body, 1, ${SNIPPET_CHARS_MAX}) FROM words WHERE rowid = ?`)
    .pluck();
  const named = db
    .prepare<[string, number], number>(
      'SELECT id FROM notes WHERE instr(name, ?) > 0 ORDER BY length(name), name, path LIMIT ?',
    )
    .pluck();
  const summary = db.prepare<[number], string>('SELECT summary FROM notes WHERE id = ?').pluck();
  return { ranked, snippet, body, named, summary };
}

function longestFirst(query: string): readonly string[] {
  const terms = toWords(query).toLowerCase().split(/\s+/);
  return terms.filter((term) => term !== '').sort((a, b) => b.length - a.length);
}

/** Where a term begins a word; undefined where accents or odd marks hide it. */
function findTerm(text: string, terms: readonly string[]): number | undefined {
  const lower = text.toLowerCase();
  if (lower.length !== text.length) return undefined;
  for (const term of terms) {
    for (let at = lower.indexOf(term); at !== -1; at = lower.indexOf(term, at + term.length)) {
      if (at === 0 || !/[\p{L}\p{N}]/u.test(lower[at - 1] as string)) return at;
    }
  }
  return undefined;
}

const BEFORE_CHARS = 60;
const SNIPPET_CHARS = 200;
/** Left of a character that the cut went through. */
const HALF_CHARACTER = /^[\uDC00-\uDFFF]|[\uD800-\uDBFF]$/g;

/** Cut between words where there are any. */
function cutAround(text: string, at: number): string {
  let start = Math.max(0, at - BEFORE_CHARS);
  if (start > 0) start = Math.max(start, Math.min(at, text.indexOf(' ', start) + 1));
  let end = Math.min(text.length, start + SNIPPET_CHARS);
  if (end < text.length) end = Math.max(text.lastIndexOf(' ', end), at + 1, start + SNIPPET_CHARS / 2);
  return `${start > 0 ? '…' : ''}${text.slice(start, end).replaceAll(HALF_CHARACTER, '')}${end < text.length ? '…' : ''}`;
}
