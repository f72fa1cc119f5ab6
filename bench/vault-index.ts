/** P3, the index's part: 10,000 notes beside FTS5 alone, in this process. */
import { join } from 'node:path';
import { type NoteChange, type NoteIndex, openNoteIndex } from '../src/vault/note-index.ts';
import { inMs, median, perSecond, quantile, type Row, times } from './figures.ts';
import { createFloor } from './floors/fts5.mjs';
import { withDirectory } from './processes.ts';

const NOTES = 10_000;
const BATCH = 10;
const QUERIES = 200;
const ANSWERS = 50;
const SEARCH_BUDGET_MS = 10;
const ANSWERS_BUDGET = 200;
const VOCABULARY = 5_000;
const EVERYTHING = { limit: 1_000_000 };
/** Each stands in every note. */
const COMMON = 'everywhere';

/** Notes of some 1.6 KB: properties, headings, lists, links, tags, and words as unevenly spread as in a language. */
export function makeNotes(count: number): readonly (NoteChange & { readonly kind: 'put' })[] {
  const random = seededRandom(1);
  const word = () => `w${Math.floor(VOCABULARY * random() ** 3).toString(36)}x`;
  const sentence = () => `${Array.from({ length: 12 }, word).join(' ')}.`;
  return Array.from({ length: count }, (_, at) => {
    const other = Math.floor(random() * count);
    const content = [
      `---\ntitle: Note ${at}\ntags: [a${at % 50}, b]\n---\n# Heading ${at}\n`,
      `${sentence()} [[Note ${other}]] and ${COMMON} #tag/x${at % 20}\n\n- [[Note ${(at + 1) % count}|next]] ${sentence()}`,
      '\n```js\nconst a = "[[no link]]";\n```\n',
      ...Array.from({ length: 4 }, () => `${Array.from({ length: 4 }, sentence).join(' ')}\n`),
    ].join('\n');
    const size = Buffer.byteLength(content);
    return { kind: 'put', path: `folder ${at % 100}/Note ${at}.md`, mtimeMs: 1e12 + at, size, content };
  });
}

function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function spentMs(work: () => unknown): number {
  const startedAt = performance.now();
  work();
  return performance.now() - startedAt;
}

/** `between`, as the agent has turns of others in between, does not count. */
function spentEachMs(count: number, work: (at: number) => unknown, between = () => {}): readonly number[] {
  return Array.from({ length: count }, (_, at) => {
    const ms = spentMs(() => work(at));
    between();
    return ms;
  });
}

export async function benchVaultIndex(): Promise<readonly Row[]> {
  const notes = makeNotes(NOTES);
  return withDirectory(async (dir) => {
    let floor: ReturnType<typeof createFloor> | undefined;
    const floorMs = spentMs(() => {
      floor = createFloor(
        join(dir, 'floor.db'),
        notes.map(({ content }) => content),
      );
    });
    const index = openNoteIndex({ file: join(dir, 'index.db') });
    try {
      const merges: number[] = [];
      const batches = spentEachMs(
        NOTES / BATCH,
        (at) => {
          index.apply(notes.slice(at * BATCH, (at + 1) * BATCH));
        },
        () => void merges.push(spentMs(() => index.tidy())),
      );
      const searchFloor = (word: string) => floor?.search(word);
      return [
        buildRow(floorMs, batches, merges),
        ...searchRows(index, searchFloor),
        ...answerRows(index, notes),
      ];
    } finally {
      index.close();
      floor?.close();
    }
  });
}

function buildRow(floorMs: number, batches: readonly number[], merges: readonly number[]): Row {
  const buildMs = [...batches, ...merges].reduce((sum, one) => sum + one, 0);
  return {
    budget: 'P3',
    work: `index ${NOTES} notes, ${BATCH} at a time (p50 ${inMs(median(batches))}, p99 ${inMs(quantile(batches, 0.99))}, merges p99 ${inMs(quantile(merges, 0.99))})`,
    floor: inMs(floorMs),
    product: inMs(buildMs),
    ratio: times(buildMs / floorMs),
    isWithin: undefined,
  };
}

function searchRows(index: NoteIndex, searchFloor: (word: string) => unknown): readonly Row[] {
  const kinds: readonly [string, (at: number) => string][] = [
    ['a rare word', (at) => `w${(VOCABULARY - 1 - at).toString(36)}x`],
    ['a word in every note', () => COMMON],
  ];
  return kinds.map(([name, query]) => {
    const floor = spentEachMs(QUERIES, (at) => searchFloor(query(at)));
    const product = spentEachMs(QUERIES, (at) => index.search(query(at), { limit: 20 }));
    const [floorMs, ms] = [quantile(floor, 0.99), quantile(product, 0.99)];
    return {
      budget: `P3 ≤ ${SEARCH_BUDGET_MS} ms`,
      work: `search for ${name}, p99 (p50 ${inMs(median(floor))} and ${inMs(median(product))})`,
      floor: inMs(floorMs),
      product: inMs(ms),
      ratio: times(ms / floorMs),
      isWithin: ms <= SEARCH_BUDGET_MS,
    };
  });
}

/** Unchanged as a client polls it, and put together anew after a change before each. */
function answerRows(index: NoteIndex, notes: readonly NoteChange[]): readonly Row[] {
  const [note] = notes as readonly (NoteChange & { kind: 'put' })[];
  if (note === undefined) return [];
  let changes = 0;
  const change = () => {
    changes += 1;
    index.apply([{ ...note, mtimeMs: note.mtimeMs + changes }]);
  };
  const kinds: readonly [string, () => Buffer][] = [
    ['list', () => index.listJson(EVERYTHING)],
    ['graph', () => index.graphJson(EVERYTHING)],
  ];
  return kinds.map(([name, answer]) => {
    const anew = spentEachMs(ANSWERS, () => {
      change();
      return answer();
    });
    const kept = spentEachMs(ANSWERS, answer);
    const rate = 1_000 / (kept.reduce((sum, one) => sum + one, 0) / kept.length);
    return {
      budget: `P3 ≥ ${perSecond(ANSWERS_BUDGET)}`,
      work: `${name} of ${NOTES} notes, unchanged (after a change ${inMs(median(anew))})`,
      floor: '–',
      product: perSecond(rate),
      ratio: '–',
      isWithin: rate >= ANSWERS_BUDGET,
    };
  });
}
