import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseNote, wikilinkTexts } from '../../src/vault/parse-note.ts';

const targets = (content: string) => parseNote(content).links.map(({ target }) => target);
const tags = (content: string) => parseNote(content).tags;

test('properties end at a line of their own, so a title may hold dashes', () => {
  const note = parseNote('---\ntitle: a --- b\ntype: log\n---\n\nbody\n');
  assert.deepEqual(note.frontmatter, { title: 'a --- b', type: 'log' });
  assert.deepEqual([note.title, note.type, note.body], ['a --- b', 'log', 'body']);
  assert.deepEqual(parseNote('---\na: 1\n...\nb').frontmatter, { a: 1 });
  assert.deepEqual(parseNote('\uFEFF---\r\na: 1\r\n---\r\nb').frontmatter, { a: 1 });
});

test('a note that begins with a horizontal rule has no properties and loses no text', () => {
  for (const content of ['---\nsome text\n---\nmore', '---\n- a\n- b\n---\nmore', '---\nnever closed']) {
    const note = parseNote(content);
    assert.deepEqual(note.frontmatter, {});
    assert.equal(note.body, content);
  }
});

test('properties that cannot be read are empty, say why, and leave the body whole', () => {
  const note = parseNote('---\na: [1, 2\nb: }\n---\nbody [[A]]');
  assert.deepEqual(note.frontmatter, {});
  assert.ok((note.error ?? '').length > 5);
  assert.equal(note.body, 'body [[A]]');
  assert.deepEqual(targets('---\na: [\n---\n[[A]]'), ['A']);
  assert.equal(parseNote('---\n---\nx').error, undefined);
  assert.equal(parseNote('---\n# only a comment\n---\nx').body, 'x');
});

test('title, type and tags have one shape whatever was written', () => {
  const cases: readonly [yaml: string, title: string | undefined, type: string, tags: readonly string[]][] = [
    ['title: 2024\ntags: null\ntype: 5', '2024', '5', []],
    ['title: [a]\ntags: one\ntype: {a: b}', undefined, '', ['one']],
    ['title: null\ntags: one, two three', undefined, '', ['one', 'two', 'three']],
    ['title: " "\ntags: {a: b}', undefined, '', []],
    ['title: true\ntags: [a, 7, "#b/c", null, [d], {e: f}, y2024]', 'true', '', ['a', 'b/c', 'd', 'y2024']],
    ['tag: x\ntags: [X, y]', undefined, '', ['X', 'y']],
    ['title: 2026-01-01\nTags: [q]', '2026-01-01', '', ['q']],
  ];
  for (const [yaml, title, type, expected] of cases) {
    const note = parseNote(`---\n${yaml}\n---\n`);
    assert.deepEqual(
      [note.error, note.title, note.type, note.tags],
      [undefined, title, type, expected],
      yaml,
    );
  }
});

test('dates are ISO text, and what JSON has no word for becomes something it has', () => {
  const yaml =
    'a: 2026-01-02\nb: 2026-01-02 03:04:05\nc: .nan\nd: .inf\ne: &x [*x]\nf: !!set {g}\n__proto__: 1\n? [k]\n: v';
  const { frontmatter, error } = parseNote(`---\n${yaml}\n---\n`);
  assert.equal(error, undefined);
  assert.deepEqual(
    [frontmatter.a, frontmatter.b, frontmatter.c],
    ['2026-01-02', '2026-01-02T03:04:05', 'NaN'],
  );
  assert.ok(Object.hasOwn(frontmatter, '__proto__'));
  assert.ok(JSON.stringify(frontmatter).length < 1_000);
});

test('aliases of YAML that would fill the memory are refused', () => {
  const levels = 'bcdefghi'
    .split('')
    .map((name, at) => `${name}: &${name} [${`*${'abcdefgh'[at]},`.repeat(9)}]`);
  const note = parseNote(`---\na: &a [x,x,x,x,x,x,x,x,x]\n${levels.join('\n')}\n---\nbody`);
  assert.deepEqual(note.frontmatter, {});
  assert.match(note.error ?? '', /alias/i);
});

test('a wikilink has a target, a heading or a block, and an alias', () => {
  const [a, b, c, d, e] = parseNote('[[x/B|the b]] [[B#Part one]] [[B#^id]] ![[img.png]] [[#here]]').links;
  const pick = ({ kind, target, heading, block, alias }: NonNullable<typeof a>) => [
    kind,
    target,
    heading,
    block,
    alias,
  ];
  assert.deepEqual(pick(a!), ['wiki', 'x/B', undefined, undefined, 'the b']);
  assert.deepEqual(pick(b!), ['wiki', 'B', 'Part one', undefined, undefined]);
  assert.deepEqual(pick(c!), ['wiki', 'B', undefined, 'id', undefined]);
  assert.deepEqual(pick(d!), ['embed', 'img.png', undefined, undefined, undefined]);
  assert.deepEqual(pick(e!), ['wiki', '', 'here', undefined, undefined]);
});

test('links as the reference answers them keep heading and order, and repeat', () => {
  const note = parseNote('[[b#h]] [[x/B|y]] [[b#h]] [m](n.md) ![[i.png]] [[]]');
  assert.deepEqual(wikilinkTexts(note), ['b#h', 'x/B', 'b#h', 'i.png']);
});

test('a Markdown link to a note counts, one to the world does not', () => {
  const links =
    '[a](b%20c.md#h) [d](<e f.md> "t") ![g](h.md) [w](https://x.y/z.md) [m](mailto:a@b) [p](//h/x) [q](100%.md)';
  assert.deepEqual(targets(links), ['b c.md', 'e f.md', 'h.md', '100%.md']);
});

test('nothing is read in code, formulas and comments', () => {
  const hidden = [
    '`[[a]] #t`',
    '`` ` [[a]] #t ``',
    'x `open\n[[a]]` y',
    '```\n[[a]]\n#t\n```',
    '~~~ js\n[[a]]\n```\n[[a]]\n~~~',
    '> ```\n> [[a]]\n> ```',
    '- ```\n  [[a]]\n  ```',
    '```\n[[a]] to the end',
    'text\n\n    [[a]] #t',
    '\t[[a]]',
    '- item\n\n      [[a]]',
    '$[[a]]$',
    '$$\n[[a]]\n\n#t\n$$',
    '%%[[a]] #t%%',
    '%%\n[[a]]\n\n#t\n%%',
    '<!-- [[a]] -->',
    '<!--\n[[a]]\n\n[[a]] -->',
    '\\[[a]]',
  ];
  for (const content of hidden) {
    const { links, tags: found } = parseNote(content);
    assert.deepEqual([links.length, found], [0, []], content);
  }
});

test('what only looks like code, a formula or a comment is read', () => {
  const shown = [
    '`open [[a]]',
    '``a` [[a]]',
    '\\`[[a]]`',
    'text\n    [[a]]',
    '- item\n\n    [[a]]',
    '> > [[a]]',
    '> lazy\n[[a]]',
    '1. x\n   - y [[a]]',
    '```\ncode\n```\n[[a]]',
    '```a`b\n[[a]]',
    '> ```\n[[a]]',
    '$5 [[a]] $6',
    '100%% [[a]]',
    '%%\nnever closed [[a]]',
    '# [[a]] #',
    'x\n===\n[[a]]',
    '| [[a\\|b]] |\n|---|',
    '**[[a]]**',
    '[x [[a]] y](z.pdf)',
  ];
  for (const content of shown) {
    assert.ok(targets(content).includes('a'), content);
  }
});

test('tags follow a blank, nest with a slash and are not numbers alone', () => {
  assert.deepEqual(tags('#a #b/c x#no #1984 #y1984 #2026/11 (#no) #é-ü_1 #日本 #a.b #A'), [
    ...['a', 'b/c', 'y1984', '2026/11', 'é-ü_1', '日本'],
  ]);
  assert.deepEqual(tags('# Heading\n#notheading\n## x #in-heading ##\n- #item\n> #quote'), [
    ...['notheading', 'in-heading', 'item', 'quote'],
  ]);
  assert.deepEqual(tags('\\#no [x](#no) https://a/#no [[a#no]] #/ #a/ #/b'), ['a', 'b']);
});

test('wikilinks in the text of properties are links', () => {
  const note = parseNote(
    '---\nup: "[[A|x]]"\nlist:\n  - "see [[B#h]]"\nmatrix: [[1, 2]]\n# [[no]]\n---\n[[C]]',
  );
  assert.deepEqual(
    note.links.map(({ kind, target }) => [kind, target]),
    [
      ['property', 'A'],
      ['property', 'B'],
      ['wiki', 'C'],
    ],
  );
});

test('headings are those of Markdown', () => {
  const { headings } = parseNote('# A #\ntext\n\nB\n---\n> ## C `x`\n\n####### no\n#no\n```\n# no\n```\n');
  assert.deepEqual(headings, [
    { level: 1, text: 'A' },
    { level: 2, text: 'B' },
    { level: 2, text: 'C `x`' },
  ]);
});

test('aliases are a list or text with commas', () => {
  assert.deepEqual(parseNote('---\naliases: [a b, 7, null]\n---\n').aliases, ['a b', '7']);
  assert.deepEqual(parseNote('---\naliases: a b, c\n---\n').aliases, ['a b', 'c']);
});
