/** Schemas of the rows in `routes/vault.ts`. */
import { z } from 'zod';
import type { RouteSchemas } from '../route.ts';
import type { VAULT_ROUTES } from '../routes/vault.ts';

/** How much a list gives where no limit is asked for, and at most. */
export const VAULT_PAGES = {
  notes: { default: 20_000, max: 100_000 },
  search: { default: 100, max: 200 },
  nodes: { default: 20_000, max: 100_000 },
  backlinks: { default: 1_000, max: 10_000 },
  folders: { default: 10_000, max: 100_000 },
  trash: { default: 1_000, max: 10_000 },
} as const;

const QUERY_CHARS_MAX = 1_000;
const PATH_CHARS_MAX = 4_096;

const limitOf = ({ default: byDefault, max }: { default: number; max: number }) =>
  z.coerce.number().int().min(1).max(max).default(byDefault);
const Path = z.string().min(1).max(PATH_CHARS_MAX);
/** Half of a character cannot be written as UTF-8. */
const Content = z.string().refine((text) => !/\p{Surrogate}/u.test(text), 'must be valid Unicode');
const Tags = z.array(z.string());
/** There while notes are still being read: the answer may lack some, or show what they were. */
const indexing = z.literal(true).optional();

const Note = z.object({
  path: z.string(),
  title: z.string(),
  tags: Tags,
  type: z.string(),
  modified: z.number(),
  size: z.int().nonnegative(),
});

const NoteContent = z.object({
  path: z.string(),
  /** Every mark and line end as on disk. */
  content: z.string(),
  frontmatter: z.record(z.string(), z.unknown()),
  body: z.string(),
  /** Wikilinks as written before the `|`, in order, duplicates kept. */
  links: z.array(z.string()),
  modified: z.number(),
  tags: Tags,
  size: z.int().nonnegative(),
  etag: z.string(),
  /** Absent where it is: `content` then has marks in place of bytes that are not UTF-8. */
  utf8: z.literal(false).optional(),
});

const Written = z.object({
  ok: z.literal(true),
  /** As it is on disk. */
  path: z.string(),
  etag: z.string(),
  created: z.boolean(),
  modified: z.number(),
});

const Hit = z.object({
  path: z.string(),
  title: z.string(),
  tags: Tags,
  snippet: z.string(),
  score: z.number(),
});

const GraphNode = z.object({ id: z.string(), label: z.string(), tags: Tags, type: z.string() });
const GraphEdge = z.object({ source: z.string(), target: z.string() });
const Backlink = z.object({ path: z.string(), kind: z.string(), target: z.string() });
const Trashed = z.object({
  id: z.string(),
  path: z.string(),
  deleted_at: z.number(),
  size: z.int().nonnegative(),
});

const Renamed = z.object({
  ok: z.literal(true),
  from: z.string(),
  path: z.string(),
  /** Notes whose links were written anew. */
  updated: z.array(z.string()),
  /** Notes whose links could not be: they still name the old path. */
  failed: z.array(z.string()),
});

export const VAULT_SCHEMAS = {
  listNotes: {
    query: z.object({
      limit: limitOf(VAULT_PAGES.notes),
      offset: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
      folder: Path.optional(),
      tag: z.string().max(QUERY_CHARS_MAX).optional(),
    }),
    response: z.object({ notes: z.array(Note), indexing }),
  },
  getNote: { response: NoteContent },
  putNote: { body: z.object({ content: Content.default('') }), response: Written },
  deleteNote: { response: z.object({ ok: z.literal(true), trash_id: z.string() }) },
  searchNotes: {
    query: z.object({
      q: z.string().max(QUERY_CHARS_MAX).default(''),
      limit: limitOf(VAULT_PAGES.search),
    }),
    response: z.object({ results: z.array(Hit), indexing }),
  },
  getNoteGraph: {
    query: z.object({ limit: limitOf(VAULT_PAGES.nodes) }),
    response: z.object({
      nodes: z.array(GraphNode),
      edges: z.array(GraphEdge),
      unresolved: z.array(GraphEdge),
      indexing,
    }),
  },
  listBacklinks: {
    query: z.object({ path: Path, limit: limitOf(VAULT_PAGES.backlinks) }),
    response: z.object({ backlinks: z.array(Backlink), indexing }),
  },
  renameNote: {
    body: z.object({ from: Path, to: Path, update_links: z.boolean().default(true) }),
    response: Renamed,
  },
  listFolders: {
    query: z.object({ limit: limitOf(VAULT_PAGES.folders) }),
    response: z.object({ folders: z.array(z.string()) }),
  },
  createFolder: {
    body: z.object({ path: Path }),
    response: z.object({ ok: z.literal(true), path: z.string(), created: z.boolean() }),
  },
  deleteFolder: {
    query: z.object({ path: Path }),
    response: z.object({ ok: z.literal(true) }),
  },
  listTrash: {
    query: z.object({ limit: limitOf(VAULT_PAGES.trash) }),
    response: z.object({ notes: z.array(Trashed) }),
  },
  restoreNote: {
    body: z.object({ id: z.string().min(1).max(100), path: Path.optional() }),
    response: z.object({ ok: z.literal(true), path: z.string() }),
  },
} as const satisfies RouteSchemas<typeof VAULT_ROUTES>;

export type NoteContent = z.output<typeof NoteContent>;
export type WrittenNote = z.output<typeof Written>;
export type RenamedNote = z.output<typeof Renamed>;
export type SearchAnswer = z.output<typeof VAULT_SCHEMAS.searchNotes.response>;
export type BacklinksAnswer = z.output<typeof VAULT_SCHEMAS.listBacklinks.response>;
export type TrashedNotes = z.output<typeof VAULT_SCHEMAS.listTrash.response>;
