/**
 * Brings the index up to what changed on the disk: one transaction, after which every link leads where it would lead
 * had the index been made anew. `test/vault/note-index-property.test.ts` compares the two.
 */
import { createHash } from 'node:crypto';
import type { IndexDatabase } from './index-schema.ts';
import {
  fold,
  folderOf,
  type NoteLookup,
  nameKey,
  resolveTarget,
  stemOf,
  withoutExtension,
} from './link-resolution.ts';
import type { NoteChange, NoteSummary } from './note-index.ts';
import { type ParsedNote, parseNote } from './parse-note.ts';
import { toWords } from './search-words.ts';
import { isNoteTarget } from './wikilinks.ts';

type Put = Extract<NoteChange, { kind: 'put' }>;

/** What is searched of a very long note. */
const WORDS_CHARS_MAX = 512 * 1024;
/** Links and tags of one note that are kept: more is not written by hand. */
const LINKS_MAX = 10_000;
const TAGS_MAX = 1_000;

interface Touched {
  /** Of notes that came or went: links with these names may lead elsewhere now. */
  readonly names: Set<string>;
  /** Notes that were read anew. */
  readonly notes: Set<number>;
  /** Columns to search of each of them; undefined for one that went. */
  readonly words: Map<number, readonly string[] | undefined>;
}

/** True when anything changed. */
export function createNoteWriter(
  db: IndexDatabase,
  lookup: NoteLookup,
): (changes: readonly NoteChange[]) => boolean {
  const statements = prepareStatements(db);
  return db.transaction((changes: readonly NoteChange[]) => {
    const touched: Touched = { names: new Set(), notes: new Set(), words: new Map() };
    let hasChanged = false;
    for (const change of changes) {
      const isNew =
        change.kind === 'put' ? put(change, statements, touched) : remove(change.path, statements, touched);
      hasChanged ||= isNew;
    }
    for (const name of touched.names) resolveNamed(name, statements, lookup);
    for (const id of touched.notes) resolveLinksOf(id, statements, lookup);
    replaceWords(touched.words, statements);
    return hasChanged;
  });
}

/** Pages of the words that are merged in one step. */
const MERGED_PAGES = 8;

/** FTS5 merges what changes left behind; by itself it would do 64 pages and more of that within somebody's write. */
export function createTidy(db: IndexDatabase): () => boolean {
  const merge = db.prepare(`INSERT INTO words(words, rank) VALUES ('merge', ${MERGED_PAGES})`);
  const changes = db.prepare<[], number>('SELECT total_changes()').pluck();
  return () => {
    const before = changes.get() as number;
    merge.run();
    // The statement itself counts as one.
    return (changes.get() as number) - before > 1;
  };
}

interface Known {
  readonly id: number;
  readonly hash: string;
  readonly mtimeMs: number;
  readonly size: number;
  readonly summary: string;
}

type Statements = ReturnType<typeof prepareStatements>;

function prepareStatements(db: IndexDatabase) {
  return {
    find: db.prepare<[string], Known>(
      'SELECT id, hash, mtime_ms AS mtimeMs, size, summary FROM notes WHERE path = ?',
    ),
    idOf: db.prepare<[string], number>('SELECT id FROM notes WHERE path = ?').pluck(),
    insert: db.prepare(
      `INSERT INTO notes (path, sort, folded, name, mtime_ms, size, hash, summary, node)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    ),
    update: db.prepare(
      'UPDATE notes SET mtime_ms = ?, size = ?, hash = ?, summary = ?, node = ? WHERE id = ?',
    ),
    touch: db.prepare('UPDATE notes SET mtime_ms = ?, size = ?, summary = ? WHERE id = ?'),
    remove: db.prepare('DELETE FROM notes WHERE id = ?'),
    addWords: db.prepare('INSERT INTO words (rowid, name, title, tags, body) VALUES (?, ?, ?, ?, ?)'),
    removeWords: db.prepare('DELETE FROM words WHERE rowid = ?'),
    addTag: db.prepare('INSERT OR IGNORE INTO tags (note, tag) VALUES (?, ?)'),
    removeTags: db.prepare('DELETE FROM tags WHERE note = ?'),
    addLink: db.prepare(
      'INSERT INTO links (note, position, kind, target, written, name, folder) VALUES (?, ?, ?, ?, ?, ?, ?)',
    ),
    removeLinks: db.prepare('DELETE FROM links WHERE note = ?'),
    targetsNamed: db.prepare<[string], { target: string; folder: string }>(
      "SELECT DISTINCT target, folder FROM links WHERE name = ? AND name <> ''",
    ),
    lead: db.prepare(
      `UPDATE links SET leads_to = @id
       WHERE name = @name AND target = @target AND folder = @folder AND name <> '' AND leads_to IS NOT @id`,
    ),
    openLinks: db.prepare<[number], { position: number; target: string; folder: string }>(
      "SELECT position, target, folder FROM links WHERE note = ? AND leads_to IS NULL AND name <> ''",
    ),
    leadOwn: db.prepare('UPDATE links SET leads_to = ? WHERE note = ? AND position = ?'),
  };
}

function put(change: Put, statements: Statements, touched: Touched): boolean {
  const { path, mtimeMs, size, content } = change;
  const hash = createHash('sha1').update(content).digest('base64');
  const known = statements.find.get(path);
  if (known?.hash === hash) {
    if (known.mtimeMs === mtimeMs && known.size === size) return false;
    const summary = { ...(JSON.parse(known.summary) as NoteSummary), modified: mtimeMs / 1_000, size };
    statements.touch.run(mtimeMs, size, JSON.stringify(summary), known.id);
    return true;
  }
  const note = parseNote(content);
  const title = note.title ?? stemOf(path);
  const { tags, type } = note;
  const summary = JSON.stringify({ path, title, tags, type, modified: mtimeMs / 1_000, size });
  const node = JSON.stringify({ id: path, label: title, tags, type });
  let id = known?.id;
  if (id === undefined) {
    const name = nameKey(path);
    touched.names.add(name);
    const folded = fold(withoutExtension(path));
    const row = [path, toSort(path), folded, name, mtimeMs, size, hash, summary, node];
    id = Number(statements.insert.run(...row).lastInsertRowid);
  } else {
    statements.update.run(mtimeMs, size, hash, summary, node, id);
    statements.removeTags.run(id);
    statements.removeLinks.run(id);
  }
  addContents(id, path, note, statements);
  touched.notes.add(id);
  touched.words.set(id, wordsOf(change, note));
  return true;
}

function remove(path: string, statements: Statements, touched: Touched): boolean {
  const known = statements.find.get(path);
  if (known === undefined) return false;
  touched.names.add(nameKey(path));
  touched.notes.delete(known.id);
  statements.removeTags.run(known.id);
  statements.removeLinks.run(known.id);
  statements.remove.run(known.id);
  touched.words.set(known.id, undefined);
  return true;
}

function wordsOf({ path, content }: Put, { aliases, title, tags }: ParsedNote): readonly string[] {
  const name = [stemOf(path), ...aliases].join('\n');
  return [name, title ?? '', tags.join('\n'), content.slice(0, WORDS_CHARS_MAX)].map(toWords);
}

function addContents(id: number, path: string, { tags, links }: ParsedNote, statements: Statements): void {
  for (const tag of tags.slice(0, TAGS_MAX)) statements.addTag.run(id, fold(tag));
  const folder = folderOf(path);
  for (const [position, { kind, target, text }] of links.slice(0, LINKS_MAX).entries()) {
    const name = isNoteTarget(target) ? nameKey(target) : '';
    statements.addLink.run(id, position, kind, target, text, name, folder);
  }
}

/** Links alike in target and folder lead to the same note: one question for all of them. */
function resolveNamed(name: string, statements: Statements, lookup: NoteLookup): void {
  for (const { target, folder } of statements.targetsNamed.all(name)) {
    const path = resolveTarget(target, folder, lookup);
    const id = path === undefined ? null : (statements.idOf.get(path) ?? null);
    statements.lead.run({ id, name, target, folder });
  }
}

/** All at once: FTS5 writes what it has gathered whenever another table is written to in between. */
function replaceWords(words: Touched['words'], statements: Statements): void {
  for (const [id, columns] of words) {
    statements.removeWords.run(id);
    if (columns !== undefined) statements.addWords.run(id, ...columns);
  }
}

function resolveLinksOf(note: number, statements: Statements, lookup: NoteLookup): void {
  for (const { position, target, folder } of statements.openLinks.all(note)) {
    const path = resolveTarget(target, folder, lookup);
    if (path !== undefined) statements.leadOwn.run(statements.idOf.get(path) ?? null, note, position);
  }
}

/** Sorts as a walk through the folders does: what is in `a` before `a b`. */
export function toSort(path: string): string {
  return path.replaceAll('/', '\u0001');
}
