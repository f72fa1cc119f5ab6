/**
 * What the index of a vault answers. It is derived from the files and may be thrown away at any time; whoever holds it
 * reconciles `files()` with the disk and applies the difference.
 */
import { randomInt } from 'node:crypto';
import { AppError } from '../contract/errors.ts';
import {
  closeIndexDatabase,
  type IndexDatabase,
  openIndexDatabase,
  openSnapshot,
  withIndexErrors,
} from './index-schema.ts';
import { folderOf, type NoteLookup, resolveTarget } from './link-resolution.ts';
import { createLastAnswer, encodePages, graphPages, listPages, toGraph, toNotes } from './note-graph.ts';
import type { Moves } from './note-lookup.ts';
import { createNoteLookup } from './note-lookup.ts';
import { createNoteSearch } from './note-search.ts';
import { createNoteWriter, createTidy } from './note-writer.ts';
import { planMoves } from './rename-plan.ts';
import { drain, type Steps } from './steps.ts';
import { parseTarget } from './wikilinks.ts';

const FILES_PER_PAGE = 1_000;

export interface IndexedFile {
  /** Relative to the vault, `/` between folders, as it is on disk. */
  readonly path: string;
  readonly mtimeMs: number;
  readonly size: number;
}

export type NoteChange =
  | {
      readonly kind: 'put';
      readonly path: string;
      readonly mtimeMs: number;
      readonly size: number;
      readonly content: string;
    }
  | { readonly kind: 'delete'; readonly path: string };

/** A note as the reference lists it. */
export interface NoteSummary {
  readonly path: string;
  readonly title: string;
  readonly tags: readonly string[];
  readonly type: string;
  /** Seconds since the epoch. */
  readonly modified: number;
  readonly size: number;
}

export interface SearchHit {
  readonly path: string;
  readonly title: string;
  readonly tags: readonly string[];
  /** Plain text around the best match, `…` where it is cut. */
  readonly snippet: string;
  /** Larger is better; only good for comparing hits of one answer. */
  readonly score: number;
}

export interface GraphNode {
  readonly id: string;
  readonly label: string;
  readonly tags: readonly string[];
  readonly type: string;
}

export interface GraphEdge {
  readonly source: string;
  readonly target: string;
}

/** A link to a note that does not exist (yet). `target` is as written, without heading, block and alias. */
export interface UnresolvedLink {
  readonly source: string;
  readonly target: string;
}

export interface Graph {
  readonly nodes: readonly GraphNode[];
  /** One per pair of notes, in the direction of the link; none from a note to itself. */
  readonly edges: readonly GraphEdge[];
  readonly unresolved: readonly UnresolvedLink[];
}

export type LinkKind = 'wiki' | 'embed' | 'markdown' | 'property';

export interface LinkOf {
  readonly kind: LinkKind;
  /** As written, without heading, block and alias. */
  readonly target: string;
  /** The note it leads to; absent where there is none. */
  readonly path?: string;
}

export interface Backlink {
  readonly source: string;
  readonly kind: LinkKind;
  readonly target: string;
}

/** Links of one note to write anew: `rewriteLinks(content, edit.replacements)` of `rewrite-links.ts` does it. */
export interface LinkEdit {
  /** Where the note is after the rename. */
  readonly path: string;
  readonly replacements: readonly LinkReplacement[];
}

export interface LinkReplacement {
  readonly kind: LinkKind;
  /** Target as written now, and as it has to be written; headings, blocks and aliases stay. */
  readonly from: string;
  readonly to: string;
}

export interface ListOptions {
  readonly limit: number;
  readonly offset?: number;
  /** Notes below this folder only. */
  readonly folder?: string;
  /** Notes with this tag or one nested in it; upper and lower case are the same, a leading `#` is ignored. */
  readonly tag?: string;
}

export interface IndexAnswer {
  readonly bytes: Buffer;
  /** Of the index, when it was asked. */
  readonly version: number;
}

export interface NoteIndex {
  /** What the index believes is on disk, for a reconcile. Read in pages: changes meanwhile are allowed. */
  files(): Iterable<IndexedFile>;
  /** One transaction. Paths are taken as they are: whoever calls has confined them. */
  apply(changes: readonly NoteChange[]): void;
  /** Changes with every `apply` that changed something. */
  version(): number;
  /** Sorted by path, folder by folder. */
  list(options: ListOptions): readonly NoteSummary[];
  /** The bytes of `{"notes":[…]}`, of one moment, kept until the index changes. */
  listJson(options: ListOptions): Buffer;
  listSteps(options: ListOptions): Steps<IndexAnswer>;
  /** Words, all of which a note must hold; the last one may be a beginning. Best first. */
  search(query: string, options: { readonly limit: number }): readonly SearchHit[];
  searchSteps(query: string, options: { readonly limit: number }): Steps<readonly SearchHit[]>;
  graph(options: { readonly limit: number }): Graph;
  /** The bytes of `{"nodes":[…],"edges":[…],"unresolved":[…]}`, of one moment, kept until the index changes. */
  graphJson(options: { readonly limit: number }): Buffer;
  graphSteps(options: { readonly limit: number }): Steps<IndexAnswer>;
  /** Merges a little of what many changes left behind. False: nothing is left to do. */
  tidy(): boolean;
  backlinks(path: string): readonly Backlink[];
  /** In order of appearance, duplicates kept. */
  linksOf(path: string): readonly LinkOf[];
  /** Path of the note that `[[target]]` in the note `from` leads to. */
  resolve(target: string, from: string): string | undefined;
  /** What has to be written, and where, so that all links lead where they lead now once `from` is called `to`. */
  renamePlan(from: string, to: string): readonly LinkEdit[];
  /** The same for many notes at once. */
  movePlanSteps(moves: Moves): Steps<readonly LinkEdit[]>;
  counts(): { readonly notes: number; readonly links: number; readonly unresolved: number };
  close(): void;
}

export interface NoteIndexOptions {
  /** The index's own file; its folder exists. */
  readonly file: string;
  /** Begin with an empty index whatever the file holds: after `storage.corrupt` was thrown. */
  readonly discard?: boolean;
}

/**
 * Opens what the file holds; a damaged file and one of another version begin anew, empty. Everything may throw AppError
 * `storage.locked`, `storage.full`, `storage.corrupt` or `storage.unavailable`; a failed `apply` has changed nothing.
 */
export function openNoteIndex({ file, discard = false }: NoteIndexOptions): NoteIndex {
  const db = openIndexDatabase(file, discard);
  try {
    return withIndexErrors(file, () => createNoteIndex(db, file));
  } catch (error) {
    db.close();
    // Its first page was whole, what lies behind it is not.
    if (!discard && isCorrupt(error)) return openNoteIndex({ file, discard: true });
    throw error;
  }
}

export function isCorrupt(error: unknown): boolean {
  return AppError.is(error) && error.code === 'storage.corrupt';
}

function createNoteIndex(db: IndexDatabase, file: string): NoteIndex {
  const guard = <A extends unknown[], R>(work: (...args: A) => R) => {
    return (...args: A): R => withIndexErrors(file, () => work(...args));
  };
  // The next index of the same vault must not give other answers the versions of this one.
  let version = randomInt(2 ** 40);
  const lookup = createNoteLookup(db);
  const write = createNoteWriter(db, lookup);
  const search = createNoteSearch(db);
  const [lastList, lastGraph] = [createLastAnswer(() => version), createLastAnswer(() => version)];
  const guardSteps = <A extends unknown[], R>(work: (...args: A) => Steps<R>) => {
    return (...args: A): Steps<R> => guardedSteps(work(...args), guard);
  };
  const listSteps = guardSteps((options: ListOptions) => {
    const { limit, offset, folder, tag } = options;
    return lastList(JSON.stringify([limit, offset, folder, tag]), () =>
      ofOneMoment(file, function* make(snapshot) {
        return encodePages({ notes: yield* listPages(snapshot, options) });
      }),
    );
  });
  const graphSteps = guardSteps(({ limit }: { limit: number }) =>
    lastGraph(String(limit), () =>
      ofOneMoment(file, function* make(snapshot) {
        return encodePages({ ...(yield* graphPages(snapshot, limit)) });
      }),
    ),
  );
  return {
    files: guard(() => filesOf(db, guard)),
    apply: guard((changes) => {
      if (write(changes)) version += 1;
    }),
    version: () => version,
    list: guard((options) => toNotes(drain(listPages(db, options)))),
    listJson: (options) => drain(listSteps(options)).bytes,
    listSteps,
    search: guard((query, options) => drain(search(query, options))),
    searchSteps: guardSteps(search),
    graph: guard(({ limit }) => toGraph(drain(graphPages(db, limit)))),
    graphJson: (options) => drain(graphSteps(options)).bytes,
    graphSteps,
    tidy: guard(createTidy(db)),
    ...createLinkQueries(db, lookup, guard),
    movePlanSteps: guardSteps((moves: Moves) => planMoves(db, moves)),
    counts: guard(createCounts(db)),
    close: () => {
      if (db.open) closeIndexDatabase(db);
    },
  };
}

/** What the index is in this moment, while it changes. */
function* ofOneMoment<T>(file: string, work: (snapshot: IndexDatabase) => Steps<T>): Steps<T> {
  const snapshot = openSnapshot(file);
  try {
    return yield* work(snapshot);
  } finally {
    snapshot.close();
  }
}

function* guardedSteps<T>(steps: Steps<T>, guard: Guard): Steps<T> {
  try {
    for (const next = guard(() => steps.next()); ; ) {
      const step = next();
      if (step.done) return step.value;
      yield;
    }
  } finally {
    steps.return(undefined as T);
  }
}

type Guard = <A extends unknown[], R>(work: (...args: A) => R) => (...args: A) => R;

function createLinkQueries(
  db: IndexDatabase,
  lookup: NoteLookup,
  guard: Guard,
): Pick<NoteIndex, 'backlinks' | 'linksOf' | 'resolve' | 'renamePlan'> {
  const backlinks = db.prepare<[string], Backlink>(
    `SELECT source.path AS source, kind, links.target FROM links JOIN notes AS source ON source.id = note
     WHERE leads_to = (SELECT id FROM notes WHERE path = ?) ORDER BY source.sort, position`,
  );
  const linksOf = db.prepare<[string], { kind: LinkKind; target: string; path: string | null }>(
    `SELECT kind, target, path FROM links LEFT JOIN notes ON notes.id = leads_to
     WHERE note = (SELECT id FROM notes WHERE path = ?) ORDER BY position`,
  );
  return {
    backlinks: guard((path) => backlinks.all(path)),
    linksOf: guard((path) =>
      linksOf.all(path).map(({ path: to, ...link }) => (to === null ? link : { ...link, path: to })),
    ),
    resolve: guard((written, from) => {
      const { target } = parseTarget(written);
      return target === '' ? from : resolveTarget(target, folderOf(from), lookup);
    }),
    renamePlan: guard((from, to) => (from === to ? [] : drain(planMoves(db, new Map([[from, to]]))))),
  };
}

/** In pages: a connection that is being read row by row refuses everything else. */
function* filesOf(db: IndexDatabase, guard: Guard): Generator<IndexedFile> {
  const page = db.prepare<[string, number], IndexedFile>(
    'SELECT path, mtime_ms AS mtimeMs, size FROM notes WHERE path > ? ORDER BY path LIMIT ?',
  );
  const after = guard((path: string) => page.all(path, FILES_PER_PAGE));
  let files = after('');
  while (files.length > 0) {
    yield* files;
    files = after((files.at(-1) as IndexedFile).path);
  }
}

function createCounts(db: IndexDatabase): NoteIndex['counts'] {
  const counts = db.prepare<[], { notes: number; links: number; unresolved: number }>(
    `SELECT (SELECT count(*) FROM notes) AS notes, (SELECT count(*) FROM links) AS links,
       (SELECT count(*) FROM links WHERE leads_to IS NULL AND name <> '') AS unresolved`,
  );
  return () => counts.get() ?? { notes: 0, links: 0, unresolved: 0 };
}
