/** How links find notes in the index, as it is or as it will be once a note has another path. */
import type { IndexDatabase } from './index-schema.ts';
import { fold, type NoteLookup, nameKey, withoutExtension } from './link-resolution.ts';

/** Where notes are, and where they will be. */
export type Moves = ReadonlyMap<string, string>;

export function createNoteLookup(db: IndexDatabase): NoteLookup {
  const at = db.prepare<[string], string>('SELECT path FROM notes WHERE folded = ?').pluck();
  const ending = db
    .prepare<[string, string, string], string>(
      `SELECT path FROM notes WHERE name = ? AND substr(folded, -length(?)) = ?
       ORDER BY length(path), path LIMIT 1`,
    )
    .pluck();
  const named = db.prepare<[string], string>('SELECT path FROM notes WHERE name = ? LIMIT 2').pluck();
  return {
    at: (path) => at.all(path),
    ending: (name, end) => ending.get(name, end, end),
    isOnly: (name) => named.all(name).length === 1,
  };
}

export function createLookupAfter(db: IndexDatabase, moves: Moves): NoteLookup {
  const now = createNoteLookup(db);
  const named = db.prepare<[string], string>('SELECT path FROM notes WHERE name = ?').pluck();
  const arrivals = new Set(moves.values());
  const byPath = groupBy(arrivals, foldedOf);
  const byName = groupBy(arrivals, nameKey);
  const known = new Map<string, readonly string[]>();
  const found = new Map<string, string | undefined>();
  const stays = (path: string): boolean => !moves.has(path) && !arrivals.has(path);
  /** The shortest first. */
  const namedAfter = (name: string): readonly string[] => {
    let paths = known.get(name);
    if (paths === undefined) {
      paths = [...named.all(name).filter(stays), ...(byName.get(name) ?? [])].sort(byLength);
      known.set(name, paths);
    }
    return paths;
  };
  return {
    at: (path) => [...now.at(path).filter(stays), ...(byPath.get(path) ?? [])],
    ending: (name, end) => {
      const key = `${name}\n${end}`;
      if (!found.has(key))
        found.set(
          key,
          namedAfter(name).find((path) => foldedOf(path).endsWith(end)),
        );
      return found.get(key);
    },
    isOnly: (name) => namedAfter(name).length === 1,
  };
}

function foldedOf(path: string): string {
  return fold(withoutExtension(path));
}

function groupBy(paths: Iterable<string>, keyOf: (path: string) => string): ReadonlyMap<string, string[]> {
  const groups = new Map<string, string[]>();
  for (const path of paths) {
    const group = groups.get(keyOf(path));
    if (group === undefined) groups.set(keyOf(path), [path]);
    else group.push(path);
  }
  return groups;
}

/** As SQLite orders them: by characters, then by their bytes. */
function byLength(a: string, b: string): number {
  return [...a].length - [...b].length || Buffer.compare(Buffer.from(a), Buffer.from(b));
}
