/**
 * What the index of a vault answers. It is derived from the files and may be thrown away at any time; whoever holds it
 * reconciles `files()` with the disk and applies the difference.
 */

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

export interface NoteIndex {
  /** What the index believes is on disk, for a reconcile. Read to the end before the next call. */
  files(): Iterable<IndexedFile>;
  /** One transaction. Paths are taken as they are: whoever calls has confined them. */
  apply(changes: readonly NoteChange[]): void;
  /** Changes with every `apply` that changed something. */
  version(): number;
  /** Sorted by path, folder by folder. */
  list(options: ListOptions): readonly NoteSummary[];
  /** The bytes of `{"notes":[…]}`, kept until the index changes. */
  listJson(options: ListOptions): Buffer;
  /** Words, all of which a note must hold; the last one may be a beginning. Best first. */
  search(query: string, options: { readonly limit: number }): readonly SearchHit[];
  graph(options: { readonly limit: number }): Graph;
  /** The bytes of `{"nodes":[…],"edges":[…],"unresolved":[…]}`, kept until the index changes. */
  graphJson(options: { readonly limit: number }): Buffer;
  backlinks(path: string): readonly Backlink[];
  /** In order of appearance, duplicates kept. */
  linksOf(path: string): readonly LinkOf[];
  /** Path of the note that `[[target]]` in the note `from` leads to. */
  resolve(target: string, from: string): string | undefined;
  /** What has to be written, and where, so that all links lead where they lead now once `from` is called `to`. */
  renamePlan(from: string, to: string): readonly LinkEdit[];
  counts(): { readonly notes: number; readonly links: number; readonly unresolved: number };
  close(): void;
}
