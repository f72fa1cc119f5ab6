/**
 * Lists and the graph, as JSON put together from what the index holds of each note, a page at a time. A client may poll
 * them, so the bytes of the last answer are kept until the index changes.
 */
import type { IndexDatabase } from './index-schema.ts';
import { fold } from './link-resolution.ts';
import type { Graph, GraphNode, IndexAnswer, ListOptions, NoteSummary } from './note-index.ts';
import { toSort } from './note-writer.ts';
import type { Steps } from './steps.ts';

/** Edges and open links of an answer, for each of its notes on average. */
const EDGES_PER_NOTE_MAX = 20;
const EDGES_MAX = 1_000_000;
/** Notes that are put together in one step; of edges those that begin in so many. */
const PAGE = 256;
/** Above every sort key: it begins with no character of a path. */
const END = '\u{10FFFF}';

interface Page {
  readonly json: string;
  readonly count: number;
  /** Sort key of its last note. */
  readonly last: string;
}

/** Notes as JSON, one text for each page of them. */
export function* listPages(db: IndexDatabase, options: ListOptions): Steps<string[]> {
  const folder = (options.folder ?? '').replace(/^\/+|\/+$/g, '');
  const tag = fold((options.tag ?? '').replace(/^#+/, ''));
  const hasTag = `AND id IN (SELECT note FROM tags WHERE tag = @tag OR (tag > @tag || '/' AND tag < @tag || '0'))`;
  const page = preparePage(db, 'summary', tag === '' ? '' : hasTag);
  const until = folder === '' ? END : `${toSort(folder)}\u0002`;
  let after = folder === '' ? '' : `${toSort(folder)}\u0001`;
  let [left, offset] = [toCount(options.limit), toCount(options.offset ?? 0)];
  const pages: string[] = [];
  while (left > 0) {
    const wanted = Math.min(PAGE, left);
    const found = page.get({ after, until, tag, offset, limit: wanted });
    if (found === undefined || found.count === 0) break;
    pages.push(found.json);
    if (found.count < wanted) break;
    left -= found.count;
    offset = 0;
    after = found.last;
    yield;
  }
  return pages;
}

function preparePage(db: IndexDatabase, column: 'summary' | 'node', condition: string) {
  return db.prepare<unknown[], Page>(
    `SELECT group_concat(${column}, ',') AS json, count(*) AS count, max(sort) AS last FROM
       (SELECT ${column}, sort FROM notes WHERE sort > @after AND sort < @until ${condition}
        ORDER BY sort LIMIT @limit OFFSET @offset)`,
  );
}

function toCount(value: number): number {
  return Number.isFinite(value) ? Math.max(0, Math.trunc(value)) : Number.MAX_SAFE_INTEGER;
}

export interface GraphPages {
  readonly nodes: readonly string[];
  readonly edges: readonly string[];
  readonly unresolved: readonly string[];
}

export function* graphPages(db: IndexDatabase, limit: number): Steps<GraphPages> {
  const nodes: string[] = [];
  const page = preparePage(db, 'node', '');
  const most = Math.min(toCount(limit) * EDGES_PER_NOTE_MAX, EDGES_MAX);
  let [left, last] = [toCount(limit), ''];
  while (left > 0) {
    const wanted = Math.min(PAGE, left);
    const found = page.get({ after: last, until: END, offset: 0, limit: wanted });
    if (found === undefined || found.count === 0) break;
    nodes.push(found.json);
    last = found.last;
    left -= found.count;
    yield;
  }
  const edges = yield* pairPages(
    db,
    most,
    `SELECT group_concat('{"source":' || json_quote(one.path) || ',"target":' || json_quote(other.path) || '}', ',')
       AS json, count(*) AS count
     FROM (SELECT DISTINCT note, leads_to FROM links
           WHERE note > @after AND note <= @to AND leads_to IS NOT NULL AND leads_to <> note LIMIT @most) AS pair
     CROSS JOIN notes AS one ON one.id = pair.note AND one.sort <= @until
     CROSS JOIN notes AS other ON other.id = pair.leads_to AND other.sort <= @until`,
    last,
  );
  const unresolved = yield* pairPages(
    db,
    most,
    `SELECT group_concat('{"source":' || json_quote(path) || ',"target":' || json_quote(target) || '}', ',') AS json,
       count(*) AS count
     FROM (SELECT DISTINCT note, target FROM links
           WHERE note > @after AND note <= @to AND leads_to IS NULL AND name <> '' LIMIT @most) AS open
     CROSS JOIN notes ON id = note AND sort <= @until`,
    last,
  );
  return { nodes, edges, unresolved };
}

/** By the notes they begin in. `until`: sort key of the last note that is shown. */
function* pairPages(db: IndexDatabase, most: number, sql: string, until: string): Steps<string[]> {
  const pairs = db.prepare<unknown[], { json: string | null; count: number }>(sql);
  const lastOf = db
    .prepare<[number], number>(
      `SELECT max(id) FROM (SELECT id FROM notes WHERE id > ? ORDER BY id LIMIT ${PAGE})`,
    )
    .pluck();
  const pages: string[] = [];
  let left = most;
  for (let after = 0; left > 0; ) {
    const to = lastOf.get(after) ?? undefined;
    if (to === undefined) break;
    const { json, count } = pairs.get({ after, to, until, most: left }) as {
      json: string | null;
      count: number;
    };
    if (json !== null) pages.push(json);
    left -= count;
    after = to;
    yield;
  }
  return pages;
}

export function toNotes(pages: readonly string[]): readonly NoteSummary[] {
  return JSON.parse(`[${pages.join(',')}]`) as NoteSummary[];
}

export function toGraph({ nodes, edges, unresolved }: GraphPages): Graph {
  return {
    nodes: JSON.parse(`[${nodes.join(',')}]`) as GraphNode[],
    edges: JSON.parse(`[${edges.join(',')}]`) as Graph['edges'],
    unresolved: JSON.parse(`[${unresolved.join(',')}]`) as Graph['unresolved'],
  };
}

/** `{"a":[…],"b":[…]}`. */
export function encodePages(lists: Readonly<Record<string, readonly string[]>>): Buffer {
  const parts: Buffer[] = [];
  for (const [name, pages] of Object.entries(lists)) {
    parts.push(Buffer.from(`${parts.length === 0 ? '{' : ','}"${name}":[`));
    for (const [at, page] of pages.entries()) parts.push(Buffer.from(at === 0 ? page : `,${page}`));
    parts.push(Buffer.from(']'));
  }
  return Buffer.concat([...parts, Buffer.from('}')]);
}

/** The last answer of a kind. What is made is of the version that was when it was begun. */
export function createLastAnswer(
  version: () => number,
): (key: string, make: () => Steps<Buffer>) => Steps<IndexAnswer> {
  let last: (IndexAnswer & { readonly key: string }) | undefined;
  return function* answer(key, make) {
    if (last === undefined || last.version !== version() || last.key !== key) {
      const made = { version: version(), key, bytes: yield* make() };
      last = made;
      return made;
    }
    return last;
  };
}
