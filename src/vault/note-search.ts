/**
 * Ranked search that costs about the same whatever is asked: a word that is in every note is ranked among a bounded
 * number of notes, those first whose name, title or tags hold it.
 */
import type { IndexDatabase } from './index-schema.ts';
import { fold } from './link-resolution.ts';
import type { NoteSummary, SearchHit } from './note-index.ts';
import { fromWords, toMatch } from './search-words.ts';

/** Notes that are ranked, the newest in the index first; of those whose names match, and of all. */
const RANKED_MAX = 200;
const HITS_MAX = 200;
const SNIPPET_WORDS = 24;
const OPENING_CHARS = 160;

interface Ranked {
  readonly id: number;
  readonly rank: number;
}

export function createNoteSearch(
  db: IndexDatabase,
): (query: string, options: { readonly limit: number }) => readonly SearchHit[] {
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
  const opening = db
    .prepare<[number], string>(`SELECT substr(body, 1, ${OPENING_CHARS}) FROM words WHERE rowid = ?`)
    .pluck();
  const named = db
    .prepare<[string, number], number>(
      'SELECT id FROM notes WHERE instr(name, ?) > 0 ORDER BY length(name), name, path LIMIT ?',
    )
    .pluck();
  const summary = db.prepare<[number], string>('SELECT summary FROM notes WHERE id = ?').pluck();

  function toHit(id: number, score: number, words: string): SearchHit {
    const { path, title, tags } = JSON.parse(summary.get(id) as string) as NoteSummary;
    return { path, title, tags, snippet: fromWords(words), score };
  }

  return (query, options) => {
    const limit = Math.max(0, Math.min(Math.trunc(options.limit), HITS_MAX));
    const name = fold(query.trim()).slice(0, 1_000);
    if (name === '' || limit === 0) return [];
    const match = toMatch(query);
    const best = new Map<number, number>();
    for (const wanted of match === undefined ? [] : [`{name title tags} : (${match})`, match]) {
      for (const { id, rank } of ranked.all(wanted, limit)) {
        best.set(id, Math.min(rank, best.get(id) ?? 0));
      }
    }
    const hits = [...best]
      .sort(([idA, a], [idB, b]) => a - b || idA - idB)
      .slice(0, limit)
      .map(([id, rank]) => toHit(id, -rank, snippet.get(match as string, id) ?? ''));
    if (hits.length === limit) return hits;
    // What the reference finds too: part of a file's name, wherever it begins
    const others = named.all(name, limit).filter((id) => !best.has(id));
    return [
      ...hits,
      ...others.slice(0, limit - hits.length).map((id) => toHit(id, 0, opening.get(id) ?? '')),
    ];
  };
}
