/**
 * Lists and the graph, as JSON put together from what the index holds of each note. A client may poll them, so the
 * bytes of the last answer are kept until the index changes.
 */
import type { IndexDatabase } from './index-schema.ts';
import { fold } from './link-resolution.ts';
import type { Graph, GraphNode, ListOptions, NoteSummary } from './note-index.ts';
import { toSort } from './note-writer.ts';

/** Edges and open links of an answer, for each of its notes on average. */
const EDGES_PER_NOTE_MAX = 20;
const EDGES_MAX = 1_000_000;

export function createNoteLists(db: IndexDatabase) {
  const all = db
    .prepare<[number, number], string | null>(concat('notes ORDER BY sort LIMIT ? OFFSET ?'))
    .pluck();
  const some = db
    .prepare<unknown[], string | null>(
      concat(`notes WHERE sort >= @below AND sort < @until AND (@tag = '' OR id IN
        (SELECT note FROM tags WHERE tag = @tag OR (tag > @tag || '/' AND tag < @tag || '0')))
       ORDER BY sort LIMIT @limit OFFSET @offset`),
    )
    .pluck();
  return (options: ListOptions): string => {
    const [limit, offset] = [toCount(options.limit), toCount(options.offset ?? 0)];
    const folder = (options.folder ?? '').replace(/^\/+|\/+$/g, '');
    const tag = fold((options.tag ?? '').replace(/^#+/, ''));
    if (folder === '' && tag === '') return all.get(limit, offset) ?? '';
    const below = folder === '' ? '' : `${toSort(folder)}\u0001`;
    const until = folder === '' ? '\u{10FFFF}' : `${toSort(folder)}\u0002`;
    return some.get({ below, until, tag, limit, offset }) ?? '';
  };
}

function concat(from: string): string {
  return `SELECT group_concat(summary, ',') FROM (SELECT summary FROM ${from})`;
}

function toCount(value: number): number {
  return Number.isFinite(value) ? Math.max(0, Math.trunc(value)) : Number.MAX_SAFE_INTEGER;
}

export interface GraphParts {
  readonly nodes: string;
  readonly edges: string;
  readonly unresolved: string;
}

export function createNoteGraph(db: IndexDatabase): (limit: number) => GraphParts {
  const prepare = (sql: string) => db.prepare<[Shown], string | null>(sql).pluck();
  const last = db.prepare<[number], string>(
    'SELECT max(sort) FROM (SELECT sort FROM notes ORDER BY sort LIMIT ?)',
  );
  const nodes = prepare(
    `SELECT group_concat(node, ',') FROM (SELECT node FROM notes WHERE sort <= @until ORDER BY sort)`,
  );
  const edges = prepare(
    `SELECT group_concat('{"source":' || json_quote(one.path) || ',"target":' || json_quote(other.path) || '}', ',')
     FROM (SELECT DISTINCT note, leads_to FROM links
           WHERE leads_to IS NOT NULL AND leads_to <> note LIMIT @most) AS pair
     CROSS JOIN notes AS one ON one.id = pair.note AND one.sort <= @until
     CROSS JOIN notes AS other ON other.id = pair.leads_to AND other.sort <= @until`,
  );
  const unresolved = prepare(
    `SELECT group_concat('{"source":' || json_quote(path) || ',"target":' || json_quote(target) || '}', ',')
     FROM (SELECT DISTINCT note, target FROM links WHERE leads_to IS NULL AND name <> '' LIMIT @most) AS open
     CROSS JOIN notes ON id = note AND sort <= @until`,
  );
  return (limit) => {
    const until = last.pluck().get(toCount(limit)) ?? '';
    const shown = { until, most: Math.min(toCount(limit) * EDGES_PER_NOTE_MAX, EDGES_MAX) };
    return {
      nodes: nodes.get(shown) ?? '',
      edges: edges.get(shown) ?? '',
      unresolved: unresolved.get(shown) ?? '',
    };
  };
}

interface Shown {
  /** Sort key of the last note that is shown. */
  readonly until: string;
  readonly most: number;
}

export function toNotes(list: string): readonly NoteSummary[] {
  return JSON.parse(`[${list}]`) as NoteSummary[];
}

export function toGraph({ nodes, edges, unresolved }: GraphParts): Graph {
  return {
    nodes: JSON.parse(`[${nodes}]`) as GraphNode[],
    edges: JSON.parse(`[${edges}]`) as Graph['edges'],
    unresolved: JSON.parse(`[${unresolved}]`) as Graph['unresolved'],
  };
}

export function graphText({ nodes, edges, unresolved }: GraphParts): string {
  return `{"nodes":[${nodes}],"edges":[${edges}],"unresolved":[${unresolved}]}`;
}

/** The last answer of a kind. */
export function createLastAnswer(version: () => number): (key: string, make: () => string) => Buffer {
  let last: { readonly version: number; readonly key: string; readonly bytes: Buffer } | undefined;
  return (key, make) => {
    if (last === undefined || last.version !== version() || last.key !== key) {
      last = { version: version(), key, bytes: Buffer.from(make()) };
    }
    return last.bytes;
  };
}
