/** How links find notes in the index, as it is or as it will be once a note has another path. */
import type { IndexDatabase } from './index-schema.ts';
import { fold, type NoteLookup, nameKey, withoutExtension } from './link-resolution.ts';

export interface Rename {
  readonly from: string;
  readonly to: string;
}

export function createNoteLookup(db: IndexDatabase): NoteLookup {
  const at = db.prepare<[string], string>('SELECT path FROM notes WHERE folded = ?').pluck();
  const ending = db.prepare<[Ending], string>(ENDING).pluck();
  const named = db.prepare<[string], string>('SELECT path FROM notes WHERE name = ? LIMIT 2').pluck();
  return {
    at: (path) => at.all(path),
    ending: (name, end) => ending.get({ name, end, except: '' }),
    isOnly: (name) => named.all(name).length === 1,
  };
}

interface Ending {
  readonly name: string;
  readonly end: string;
  readonly except: string;
}

const ENDING = `
  SELECT path FROM notes WHERE name = @name AND substr(folded, -length(@end)) = @end AND path <> @except
  ORDER BY length(path), path LIMIT 1`;

export function createLookupAfter(db: IndexDatabase, { from, to }: Rename): NoteLookup {
  const now = createNoteLookup(db);
  const ending = db.prepare<[Ending], string>(ENDING).pluck();
  const named = db
    .prepare<[string, string], string>('SELECT path FROM notes WHERE name = ? AND path <> ? LIMIT 2')
    .pluck();
  const [foldedTo, nameTo] = [fold(withoutExtension(to)), nameKey(to)];
  return {
    at: (path) => {
      const others = now.at(path).filter((note) => note !== from && note !== to);
      return path === foldedTo ? [...others, to] : others;
    },
    ending: (name, end) => {
      const other = ending.get({ name, end, except: from });
      if (name !== nameTo || !foldedTo.endsWith(end)) return other;
      return other !== undefined && isShorter(other, to) ? other : to;
    },
    isOnly: (name) => named.all(name, from).length + (name === nameTo ? 1 : 0) === 1,
  };
}

/** As SQLite orders them: by characters, then by their bytes. */
function isShorter(a: string, b: string): boolean {
  const [lengthA, lengthB] = [[...a].length, [...b].length];
  return lengthA === lengthB ? Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0 : lengthA < lengthB;
}
