/** FTS5 alone: the same texts in one table, built in one transaction. */
import Database from 'better-sqlite3';

export function createFloor(file, texts) {
  const db = new Database(file);
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = NORMAL');
  db.exec('CREATE VIRTUAL TABLE words USING fts5(body, tokenize = "unicode61 remove_diacritics 2")');
  const insert = db.prepare('INSERT INTO words (body) VALUES (?)');
  db.transaction(() => {
    for (const text of texts) insert.run(text);
  })();
  const search = db.prepare(
    "SELECT rowid, snippet(words, 0, '', '', '…', 24) FROM words WHERE words MATCH ? ORDER BY rank LIMIT 20",
  );
  return { search: (word) => search.all(`"${word}"`), close: () => db.close() };
}
