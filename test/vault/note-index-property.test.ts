import assert from 'node:assert/strict';
import { posix } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type NoteChange, type NoteIndex, openNoteIndex } from '../../src/vault/note-index.ts';
import { rewriteLinks } from '../../src/vault/rewrite-links.ts';
import { ALL, indexFile, putOf } from './index-fixture.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 20) * 2;
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);

const path = fc.constantFrom(
  ...['a.md', 'A.md', 'b.md', 'x/a.md', 'x/b.md', 'y/a.md', 'x/y/a.md', 'x/y/B.md', 'z z/a b.md', 'y/é.md'],
  ...['x/C#.md', "y/it's.md", 'index.md', 'x/index.md', 'x/y/index.md'],
);
const target = fc.constantFrom(
  ...[
    'a',
    'A',
    'b',
    'x/a',
    'y/a',
    'x/y/a',
    '/a',
    '/x/a',
    './a',
    '../a',
    '../../a',
    './y/a',
    '../x/b',
    'a.md',
  ],
  ...[
    'é',
    'e\u0301',
    'a b',
    'z z/a b',
    'index',
    'nowhere',
    'x',
    'img.png',
    "it's",
    'X/A',
    'y/B',
    '../nowhere',
  ],
);
const link = fc.oneof(
  fc.tuple(target, fc.constantFrom('', '#h', '#^b', '|t', '#h|t')).map(([to, rest]) => `[[${to}${rest}]]`),
  target.map((to) => `![[${to}]]`),
  fc.tuple(target, fc.constantFrom('', '.md', '.md#h')).map(([to, end]) => `[t](<${to}${end}>)`),
  target.map((to) => `[t](${encodeURI(to)})`),
);
const content = fc
  .tuple(
    fc.option(target),
    fc.array(fc.oneof(link, fc.constantFrom('#t/u', 'word', '\n', '`[[a]]`')), { maxLength: 8 }),
  )
  .map(([up, parts]) => `${up === null ? '' : `---\nup: "[[${up}]]"\ntags: p\n---\n`}${parts.join(' ')}`);
const change: fc.Arbitrary<NoteChange> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.tuple(path, content, fc.nat(5)).map(([at, text, mtime]) => putOf(at, text, mtime)),
  },
  { weight: 1, arbitrary: path.map((at) => ({ kind: 'delete' as const, path: at })) },
);
const changes = fc.array(fc.array(change, { maxLength: 5 }), { maxLength: 10 });

type Put = Extract<NoteChange, { kind: 'put' }>;

function filesAfter(batches: readonly (readonly NoteChange[])[]): Map<string, Put> {
  const files = new Map<string, Put>();
  for (const one of batches.flat()) {
    if (one.kind === 'put') files.set(one.path, one);
    else files.delete(one.path);
  }
  return files;
}

function everythingOf(index: NoteIndex) {
  const notes = index.list(ALL);
  const { nodes, edges, unresolved } = index.graph(ALL);
  const sorted = (items: readonly object[]) => items.map((item) => JSON.stringify(item)).sort();
  return {
    notes,
    files: [...index.files()],
    nodes,
    edges: sorted(edges),
    unresolved: sorted(unresolved),
    links: notes.map((note) => index.linksOf(note.path)),
    backlinks: notes.map((note) => sorted(index.backlinks(note.path))),
    tagged: index.list({ ...ALL, tag: 't' }),
    found: ['word', 'a', 'p t'].map((query) =>
      index
        .search(query, { limit: 100 })
        .map((hit) => hit.path)
        .sort(),
    ),
    counts: index.counts(),
  };
}

test('an index kept up to date is the one made anew', (t) => {
  const [file, other] = [indexFile(t), indexFile(t)];
  fc.assert(
    fc.property(changes, (batches) => {
      const index = openNoteIndex({ file, discard: true });
      const fresh = openNoteIndex({ file: other, discard: true });
      try {
        for (const batch of batches) index.apply(batch);
        fresh.apply([...filesAfter(batches).values()].sort((a, b) => (a.path < b.path ? -1 : 1)));
        assert.deepEqual(everythingOf(index), everythingOf(fresh));
      } finally {
        index.close();
        fresh.close();
      }
    }),
    { numRuns: RUNS, seed: SEED },
  );
});

test('links lead where Obsidian leads them, told in the simplest words', (t) => {
  const file = indexFile(t);
  fc.assert(
    fc.property(fc.uniqueArray(path, { maxLength: 10 }), path, target, (paths, from, wanted) => {
      const index = openNoteIndex({ file, discard: true });
      try {
        index.apply(paths.map((one) => putOf(one, '')));
        const folded = (text: string) => text.normalize('NFC').toLowerCase().replace(/\.md$/, '');
        const same = (a: string, b: string) => folded(a) === folded(b);
        const relative = /^\.\.?\//.test(wanted);
        const beside = posix.join(posix.dirname(from), wanted);
        const candidates = relative
          ? [paths.filter((one) => same(one, beside))]
          : [
              paths.filter((one) => same(one, wanted.replace(/^\//, ''))),
              ...(wanted.startsWith('/')
                ? []
                : [paths.filter((one) => same(one, beside)), endingLike(paths, folded(wanted))]),
            ];
        const expected = candidates.find((group) => group.length > 0)?.map(folded);
        const found = index.resolve(wanted, from);
        if (expected === undefined) assert.equal(found, undefined);
        else assert.equal(found === undefined ? undefined : folded(found), expected[0]);
      } finally {
        index.close();
      }
    }),
    { numRuns: RUNS, seed: SEED },
  );
});

function endingLike(paths: readonly string[], wanted: string): readonly string[] {
  return paths
    .filter((one) => one.normalize('NFC').toLowerCase().endsWith(`/${wanted}.md`))
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1));
}

test('after a rename with its plan every link leads to the note it led to', (t) => {
  const file = indexFile(t);
  fc.assert(
    fc.property(changes, path, path, (batches, from, to) => {
      const files = filesAfter(batches);
      fc.pre(files.has(from) && !files.has(to));
      const index = openNoteIndex({ file, discard: true });
      try {
        index.apply(batches.flat());
        const before = new Map([...files.keys()].map((one) => [one, index.linksOf(one)]));
        const plan = index.renamePlan(from, to);
        index.apply([
          { kind: 'delete', path: from },
          { ...(files.get(from) as Put), path: to },
        ]);
        for (const edit of plan) {
          const old = files.get(edit.path === to ? from : edit.path) as Put;
          index.apply([putOf(edit.path, rewriteLinks(old.content, edit.replacements))]);
        }
        for (const [source, links] of before) {
          const after = index.linksOf(source === from ? to : source);
          assert.equal(after.length, links.length);
          for (const [at, old] of links.entries()) {
            if (old.path === undefined || isUnwritable(old.path === from ? to : old.path, old.kind)) continue;
            const now = after[at]?.path;
            assert.equal(
              now,
              old.path === from ? to : old.path,
              `${source}: ${old.target} → ${after[at]?.target}`,
            );
          }
        }
      } finally {
        index.close();
      }
    }),
    { numRuns: RUNS, seed: SEED },
  );
});

/** A wikilink has no way to say `#`. */
const isUnwritable = (to: string, kind: string) => to.includes('#') && kind !== 'markdown';
