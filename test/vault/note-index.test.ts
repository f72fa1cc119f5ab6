import assert from 'node:assert/strict';
import { copyFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import SqliteDatabase from 'better-sqlite3';
import { AppError } from '../../src/contract/errors.ts';
import { openNoteIndex } from '../../src/vault/note-index.ts';
import { rewriteLinks } from '../../src/vault/rewrite-links.ts';
import { drain } from '../../src/vault/steps.ts';
import { ALL, indexFile, putOf, startIndex } from './index-fixture.ts';

const TOP = { limit: 10 };

test('the list has the reference’s shape, sorted folder by folder', (t) => {
  const index = startIndex(t, {
    'a b/x.md': '',
    'a/z.md': '---\ntitle: Zed\ntags: one\ntype: log\n---\nq',
    'b.md': '#t',
  });
  assert.deepEqual(
    index.list(ALL).map(({ path }) => path),
    ['a/z.md', 'a b/x.md', 'b.md'],
  );
  assert.deepEqual(index.list(ALL)[0], {
    ...{ path: 'a/z.md', title: 'Zed', tags: ['one'], type: 'log', modified: 1, size: 40 },
  });
  assert.deepEqual(JSON.parse(String(index.listJson(ALL))), { notes: index.list(ALL) });
  assert.deepEqual(
    index.list({ limit: 1, offset: 1 }).map(({ path }) => path),
    ['a b/x.md'],
  );
});

test('a list is narrowed to a folder and to a tag with those nested in it', (t) => {
  const index = startIndex(t, { 'a/1.md': '#p/q', 'a/b/2.md': '#P', 'ab/3.md': '#pq', '4.md': '#p' });
  const paths = (options: object) => index.list({ ...ALL, ...options }).map(({ path }) => path);
  assert.deepEqual(paths({ folder: 'a' }), ['a/1.md', 'a/b/2.md']);
  assert.deepEqual(paths({ tag: '#p' }), ['4.md', 'a/1.md', 'a/b/2.md']);
  assert.deepEqual(paths({ tag: 'p/q' }), ['a/1.md']);
  assert.deepEqual(paths({ tag: 'p', folder: '/a/b/' }), ['a/b/2.md']);
});

test('one note with properties that are no mapping breaks neither list nor graph nor search', (t) => {
  const odd = [
    '---\ntext\n---\n[[b]]',
    '---\n[1, 2]\n---\n',
    '---\n: : :\n---\n',
    '---\ntags: 5\ntitle: {}\n---\n',
    '---',
  ];
  const index = startIndex(
    t,
    Object.fromEntries(odd.map((content, at) => [`n${at}.md`, `${content}\nmarker`])),
  );
  assert.equal(index.list(ALL).length, odd.length);
  assert.equal(index.graph(ALL).nodes.length, odd.length);
  assert.equal(index.search('marker', TOP).length, odd.length);
  for (const { tags, title } of index.list(ALL)) assert.ok(Array.isArray(tags) && typeof title === 'string');
});

test('search wants all words, folds accents and case, and takes the last for a beginning', (t) => {
  const index = startIndex(t, { 'a.md': 'Crème brûlée recipe', 'b.md': 'creme only', 'c.md': 'brule' });
  const found = (query: string) => index.search(query, TOP).map(({ path }) => path);
  assert.deepEqual(found('CREME brulee'), ['a.md']);
  assert.deepEqual(found('crème').sort(), ['a.md', 'b.md']);
  assert.deepEqual(found('brul').sort(), ['a.md', 'c.md']);
  assert.deepEqual(found('bru crème'), []);
});

test('a query is words: nothing in it is an operator, and nothing makes it fail', (t) => {
  const index = startIndex(t, { 'a.md': 'alpha NEAR beta OR "gamma" body:delta C++ foo-bar' });
  const queries = [
    'NEAR',
    'alpha OR',
    '"gamma"',
    'body:delta',
    '"',
    'C++',
    'foo-bar',
    'NOT',
    '*',
    '(',
    'a"b',
    '^alpha',
  ];
  for (const query of [...queries, '\0', 'alpha\0', '{x}:', '- -', '\ud800', 'x '.repeat(5_000)]) {
    assert.ok(Array.isArray(index.search(query, TOP)), query);
  }
  for (const query of ['NEAR', '"gamma"', 'body:delta', 'C++', 'foo-bar', '^alpha']) {
    assert.equal(index.search(query, TOP).length, 1, query);
  }
  assert.deepEqual(
    [index.search('', TOP), index.search('  ', TOP), index.search('alpha', { limit: 0 })],
    [[], [], []],
  );
});

test('a name or title counts more than the text, and the hit says where it is', (t) => {
  const filler = 'word '.repeat(200);
  const index = startIndex(t, {
    'x.md': `${filler} zebra in the middle ${filler}`,
    'y.md': `---\ntitle: Zebra\n---\n${filler}`,
    'zebra crossing.md': filler,
    'alias.md': `---\naliases: zebra\n---\n${filler}`,
  });
  const hits = index.search('zebra', TOP);
  assert.equal(hits.at(-1)?.path, 'x.md');
  assert.match(hits.at(-1)?.snippet ?? '', /^….*zebra in the middle.*…$/);
  assert.ok((hits[0]?.score ?? 0) > (hits.at(-1)?.score ?? 0));
});

test('part of a file’s name is found wherever it begins, as in the reference', (t) => {
  const index = startIndex(t, { 'dir/Meeting-notes.md': 'x', 'other.md': 'y', '🎉.md': 'z' });
  assert.deepEqual(
    index.search('eting', TOP).map(({ path }) => path),
    ['dir/Meeting-notes.md'],
  );
  assert.deepEqual(
    index.search('🎉', TOP).map(({ path }) => path),
    ['🎉.md'],
  );
});

test('languages without spaces are found by any part of a sentence', (t) => {
  const index = startIndex(t, { 'a.md': '我喜欢吃苹果。', 'b.md': '苹喜果', 'c.md': '東京タワーに行く' });
  assert.deepEqual(
    index.search('苹果', TOP).map(({ path, snippet }) => [path, snippet]),
    [['a.md', '我喜欢吃苹果。']],
  );
  assert.deepEqual(
    index.search('タワー', TOP).map(({ path }) => path),
    ['c.md'],
  );
});

test('the graph has each pair once, no loops, and tells what leads nowhere', (t) => {
  const index = startIndex(t, {
    'a.md': '[[b]] [[x/b|z]] [[b#h]] [[a]] [[gone]] [[gone]] ![[img.png]]',
    'x/b.md': '---\ntags: one\n---\n[[../a]]',
  });
  const graph = index.graph(ALL);
  const edges = [...graph.edges].sort((a, b) => (a.source < b.source ? -1 : 1));
  assert.deepEqual(
    { ...graph, edges },
    {
      nodes: [
        { id: 'a.md', label: 'a', tags: [], type: '' },
        { id: 'x/b.md', label: 'b', tags: ['one'], type: '' },
      ],
      edges: [
        { source: 'a.md', target: 'x/b.md' },
        { source: 'x/b.md', target: 'a.md' },
      ],
      unresolved: [{ source: 'a.md', target: 'gone' }],
    },
  );
  assert.deepEqual(index.graph({ limit: 1 }).edges, []);
  assert.deepEqual(JSON.parse(String(index.graphJson(ALL))), index.graph(ALL));
});

test('links follow notes that appear, move and go', (t) => {
  const index = startIndex(t, { 'a.md': '[[b]]', 'y/b.md': '' });
  const leads = () => index.linksOf('a.md').map(({ path }) => path);
  assert.deepEqual(leads(), ['y/b.md']);
  index.apply([putOf('b.md', '')]);
  assert.deepEqual(leads(), ['b.md']);
  index.apply([{ kind: 'delete', path: 'b.md' }]);
  assert.deepEqual(leads(), ['y/b.md']);
  index.apply([{ kind: 'delete', path: 'y/b.md' }]);
  assert.deepEqual([leads(), index.counts()], [[undefined], { notes: 1, links: 1, unresolved: 1 }]);
});

test('an alias is no target, a note beside the link comes before a shorter path', (t) => {
  const index = startIndex(t, {
    'p/q/n.md': '',
    'z/n.md': '---\naliases: [nick]\n---\n',
    'z/m.md': '',
    'é.md': '',
  });
  assert.equal(index.resolve('n', 'p/q/x.md'), 'p/q/n.md');
  assert.equal(index.resolve('n', 'other.md'), 'z/n.md');
  assert.equal(index.resolve('nick', 'z/m.md'), undefined);
  assert.equal(index.resolve('Q/N#h', 'x.md'), 'p/q/n.md');
  assert.equal(index.resolve('e\u0301', 'x.md'), 'é.md');
  assert.equal(index.resolve('#here', 'x.md'), 'x.md');
});

test('the version changes with what changed, not with what did not', (t) => {
  const index = startIndex(t, { 'a.md': 'x' });
  const before = index.version();
  const bytes = index.listJson(ALL);
  index.apply([putOf('a.md', 'x'), { kind: 'delete', path: 'gone.md' }]);
  assert.equal(index.version(), before);
  assert.equal(index.listJson(ALL), bytes);
  index.apply([putOf('a.md', 'x', 2_000)]);
  assert.notEqual(index.version(), before);
  assert.equal(index.list(ALL)[0]?.modified, 2);
});

test('a rename plan keeps headings, aliases and every other byte', (t) => {
  const notes = {
    'a.md': '---\r\nup: "[[b]]"\r\n---\r\n[[b#h|t]]  ![[x/b]] [m](x/b.md#k) `[[b]]` [[c]]\r\n',
    'x/b.md': '[[../a]] [[./c]]',
    'x/c.md': '',
  };
  const index = startIndex(t, notes);
  const plan = index.renamePlan('x/b.md', 'y/new name.md');
  const rewritten = Object.fromEntries(
    plan.map(({ path, replacements }) => [
      path,
      rewriteLinks(path === 'a.md' ? notes['a.md'] : notes['x/b.md'], replacements),
    ]),
  );
  assert.deepEqual(rewritten, {
    'a.md':
      '---\r\nup: "[[new name]]"\r\n---\r\n[[new name#h|t]]  ![[new name]] [m](new%20name.md#k) `[[b]]` [[c]]\r\n',
    'y/new name.md': '[[../a]] [[../x/c]]',
  });
});

test('a plan gives a path where a name alone would lead elsewhere', (t) => {
  const index = startIndex(t, { 'a.md': '[[b]] [[c]]', 'x/b.md': '', 'c.md': '', 'x/a.md': '' });
  assert.deepEqual(index.renamePlan('x/b.md', 'y/c.md'), [
    { path: 'a.md', replacements: [{ kind: 'wiki', from: 'b', to: 'y/c' }] },
  ]);
  assert.deepEqual(index.renamePlan('c.md', 'c.md'), []);
});

test('what is damaged, of another version or no database begins anew', (t) => {
  const file = indexFile(t);
  const opened = () => {
    const index = openNoteIndex({ file });
    const notes = index.counts().notes;
    index.apply([putOf('a.md', 'x')]);
    index.close();
    return notes;
  };
  assert.deepEqual([opened(), opened()], [0, 1]);
  writeFileSync(file, 'this is no database, and long enough to be told from an empty one'.repeat(40));
  assert.deepEqual([opened(), opened()], [0, 1]);
  const db = new SqliteDatabase(file);
  db.pragma('user_version = 99');
  db.close();
  assert.deepEqual([opened(), opened()], [0, 1]);
  const other = openNoteIndex({ file, discard: true });
  assert.equal(other.counts().notes, 0);
  other.close();
  rmSync(file);
  assert.equal(opened(), 0);
});

test('an index that was open when the machine went down begins anew; one that was closed, or only killed, does not', {
  skip: process.platform !== 'linux',
}, (t) => {
  const file = indexFile(t);
  const first = openNoteIndex({ file });
  t.after(() => first.close());
  first.apply([putOf('a.md', 'x')]);
  const killed = `${file}.killed`;
  for (const suffix of ['', '-wal']) copyFileSync(`${file}${suffix}`, `${killed}${suffix}`);
  const notesOf = (at: string) => {
    const index = openNoteIndex({ file: at });
    const { notes } = index.counts();
    index.close();
    return notes;
  };
  assert.equal(notesOf(killed), 1, 'killed, and closed since');
  const db = new SqliteDatabase(killed);
  assert.equal(db.prepare('SELECT count(*) FROM opened').pluck().get(), 0);
  db.prepare('INSERT INTO opened VALUES (?)').run('another life of this machine');
  db.close();
  assert.equal(notesOf(killed), 0);
});

test('an answer that is put together in steps is of one moment, whatever changes meanwhile', (t) => {
  const index = startIndex(t);
  const noteOf = (at: number) => putOf(`n${String(at).padStart(4, '0')}.md`, `word [[n${at + 1}]] [[none]]`);
  index.apply(Array.from({ length: 1_000 }, (_, at) => noteOf(at)));
  const [list, graph] = [String(index.listJson(ALL)), String(index.graphJson(ALL))];
  const version = index.version();
  index.apply([putOf('zz.md', 'last')]);
  index.apply([{ kind: 'delete', path: 'zz.md' }]);
  const asked = [index.listSteps(ALL), index.graphSteps(ALL)];
  for (const steps of asked) assert.equal(steps.next().done, false);
  const then = index.version();
  index.apply([putOf('a.md', 'first'), { kind: 'delete', path: 'n0999.md' }]);
  const answers = asked.map(drain);
  assert.deepEqual(
    answers.map((answer) => [String(answer.bytes), answer.version]),
    [
      [list, then],
      [graph, then],
    ],
  );
  assert.notEqual(then, version);
  assert.notEqual(String(index.listJson(ALL)), list);
});

test('a search that goes on in steps leaves out what went meanwhile', (t) => {
  const index = startIndex(t, { 'a.md': 'word', 'b.md': 'word', 'c word.md': 'x' });
  const steps = index.searchSteps('word', TOP);
  steps.next();
  index.apply([
    { kind: 'delete', path: 'a.md' },
    { kind: 'delete', path: 'c word.md' },
  ]);
  assert.deepEqual(
    drain(steps).map(({ path }) => path),
    ['b.md'],
  );
});

test('what many small changes leave behind is merged a little at a time, until nothing is left to do', (t) => {
  const index = startIndex(t);
  for (let at = 0; at < 40; at += 1) index.apply([putOf(`n${at}.md`, `word number${at}`)]);
  let merges = 0;
  while (index.tidy()) merges += 1;
  assert.ok(merges > 0);
  assert.equal(index.search('word', TOP).length, Math.min(40, TOP.limit));
  assert.equal(index.search('number39', TOP).length, 1);
});

test('a lock of another program is told, and a failed change has changed nothing', (t) => {
  const file = indexFile(t);
  const index = openNoteIndex({ file });
  t.after(() => index.close());
  const other = new SqliteDatabase(file);
  t.after(() => other.close());
  other.exec('BEGIN IMMEDIATE');
  const before = index.version();
  assert.throws(
    () => index.apply([putOf('a.md', 'x')]),
    (error) => AppError.is(error) && error.code === 'storage.locked',
  );
  other.exec('ROLLBACK');
  assert.deepEqual([index.version(), index.counts().notes], [before, 0]);
  index.apply([putOf('a.md', 'x')]);
  assert.deepEqual([...index.files()], [{ path: 'a.md', mtimeMs: 1_000, size: 1 }]);
});
