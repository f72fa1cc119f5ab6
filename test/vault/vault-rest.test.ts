/** The vault over HTTP, as the reference's clients see it (reference 1.5, 7.3, 9, appendix C), and what it has beyond. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { filesBelow, openTestVault, type TestVault } from '../fixtures/open-vault.ts';
import { startGateway } from '../fixtures/ws-gateway.ts';

/** Everything any of the answers has: a test reads what it asked for. */
interface Body {
  readonly [key: string]: unknown;
  readonly path: string;
  readonly title: string;
  readonly label: string;
  readonly error: string;
  readonly tags: readonly string[];
  readonly links: readonly string[];
  readonly content: string;
  readonly etag: string;
  readonly trash_id: string;
  readonly frontmatter: Readonly<Record<string, unknown>>;
  readonly details: { readonly etag: string };
  readonly folders: readonly string[];
  readonly notes: readonly Body[];
  readonly results: readonly Body[];
  readonly nodes: readonly Body[];
  readonly backlinks: readonly Body[];
  readonly edges: readonly { readonly source: string; readonly target: string }[];
}

interface Answer {
  readonly status: number;
  readonly body: Body;
  readonly etag: string | null;
}
type Ask = (path: string, init?: RequestInit & { readonly json?: unknown }) => Promise<Answer>;

interface Served extends TestVault {
  readonly ask: Ask;
  readonly get: Ask;
  readonly put: (path: string, content: string, headers?: Record<string, string>) => Promise<Answer>;
}

async function serve(t: TestContext): Promise<Served> {
  const one = await openTestVault(t);
  const { port } = await startGateway(t, createNodeTransport, { services: { vault: one.vault } });
  const ask: Ask = async (path, { json, ...init } = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}/api/vault${path}`, {
      ...init,
      ...(json === undefined
        ? {}
        : { body: JSON.stringify(json), headers: { 'content-type': 'application/json', ...init.headers } }),
    });
    const text = await response.text();
    const body = (text === '' ? {} : JSON.parse(text)) as Body;
    return { status: response.status, body, etag: response.headers.get('etag') };
  };
  const put: Served['put'] = (path, content, headers = {}) =>
    ask(`/notes/${path}`, { method: 'PUT', json: { content }, headers });
  return { ...one, ask, get: ask, put };
}

test('appendix C 6: notes are listed sorted, with exactly the keys clients read', async (t) => {
  const { put, get } = await serve(t);
  await put('b.md', '---\ntitle: B title\ntags: [one, two]\ntype: dream-log\n---\nbody');
  await put('a/c.md', 'body');
  await put('a.md', 'body');
  const { status, body } = await get('/notes');
  assert.equal(status, 200);
  assert.deepEqual(
    body.notes.map(({ path }) => path),
    ['a/c.md', 'a.md', 'b.md'],
  );
  const note = body.notes[2] as Body;
  assert.deepEqual(
    { ...note, modified: typeof note.modified },
    { path: 'b.md', title: 'B title', tags: ['one', 'two'], type: 'dream-log', modified: 'number', size: 60 },
  );
  assert.deepEqual(body.notes[0]?.type, '');
});

test('appendix C 6: content round-trips byte-exact, nested folders are made, missing notes are 404 JSON', async (t) => {
  const { put, get, ask, root } = await serve(t);
  const content = '\uFEFF# A\r\n\r\ntext\r\n';
  const written = await put('sub%20dir/d%C3%A9ep/B.md', content);
  assert.deepEqual(
    [written.status, written.body.ok, written.body.path],
    [200, true, 'sub dir/d\u00e9ep/B.md'],
  );
  assert.deepEqual(await readFile(join(root, 'sub dir/d\u00e9ep/B.md')), Buffer.from(content));
  assert.equal((await get('/notes/sub%20dir/d%C3%A9ep/B.md')).body.content, content);
  const missing = await get('/notes/none.md');
  assert.equal(missing.status, 404);
  assert.match(missing.body.error, /^Not found/);
  assert.equal((await ask('/notes/none.md', { method: 'DELETE' })).status, 404);
  assert.deepEqual((await ask('/notes/sub%20dir/d%C3%A9ep/B.md', { method: 'DELETE' })).body.ok, true);
});

test('a note is answered as the reference does: frontmatter, body, links in order with duplicates', async (t) => {
  const { put, get } = await serve(t);
  await put(
    'A.md',
    '---\ntitle: A B\ndate: 2026-01-02\n---\n\nHello [[B]] ![[img.png]] [[x/B|alias]] [[B#h]] [[B]]\n',
  );
  const { body } = await get('/notes/A.md');
  assert.deepEqual(body.frontmatter, { title: 'A B', date: '2026-01-02' });
  assert.equal(body.body, 'Hello [[B]] ![[img.png]] [[x/B|alias]] [[B#h]] [[B]]');
  assert.deepEqual(body.links, ['B', 'img.png', 'x/B', 'B#h', 'B']);
  assert.equal(typeof body.modified, 'number');
});

test('a PUT without content is an empty note; what is no object, or no text, is 400 and writes nothing', async (t) => {
  const { ask, root } = await serve(t);
  assert.equal((await ask('/notes/empty.md', { method: 'PUT', json: {} })).status, 200);
  for (const json of [[], 'text', 1, null, { content: 5 }, { content: '\ud800' }]) {
    assert.equal(
      (await ask('/notes/deep/bad.md', { method: 'PUT', json })).status,
      400,
      JSON.stringify(json),
    );
  }
  assert.deepEqual([...(await filesBelow(root))], [['empty.md', '']]);
  assert.deepEqual((await readdir(root)).sort(), ['.trash', 'empty.md']);
});

const ESCAPES = [
  '../openagent.yaml',
  '..%2fopenagent.yaml',
  '%2e%2e%2fopenagent.yaml',
  '%2e%2e/openagent.yaml',
  'a/..%2f..%2fopenagent.yaml',
  '//etc/hostname',
  '/etc/hostname',
  '%2fetc/hostname',
  '..%5copenagent.yaml',
  'x%00.md',
  '.git%2fconfig',
  '.trash%2fx',
];

test('weak point 4: no path leads out of the vault, by any encoding or method', async (t) => {
  const { ask, dir } = await serve(t);
  await writeFile(join(dir, 'openagent.yaml'), 'secret: canary\n');
  for (const path of ESCAPES) {
    for (const init of [{}, { method: 'PUT', json: { content: 'x' } }, { method: 'DELETE' }]) {
      const { status, body } = await ask(`/notes/${path}`, init);
      assert.ok(status >= 400 && status < 500, `${path}: ${status}`);
      assert.ok(!JSON.stringify(body).includes('canary'));
    }
    const moved = await ask('/rename', {
      method: 'POST',
      json: { from: decodeURIComponent(path), to: 'x.md' },
    });
    assert.equal(moved.status, 400);
  }
  assert.equal(await readFile(join(dir, 'openagent.yaml'), 'utf8'), 'secret: canary\n');
});

test('weak point 28: odd frontmatter breaks neither list, graph nor search, and tags are always an array', async (t) => {
  const { put, get } = await serve(t);
  const odd = [
    'tags: one',
    'tags: null',
    'tags: 5',
    'tags: {a: 1}',
    'title: [1, 2]',
    'title: a --- b',
    '- a\n- b',
    ': :',
    '{',
  ];
  for (const [n, yaml] of odd.entries()) await put(`n${n}.md`, `---\n${yaml}\n---\nneedle\n`);
  await put('rule.md', '---\nneedle\n---\nmore');
  const { body } = await get('/notes');
  assert.equal(body.notes.length, odd.length + 1);
  const { body: graph } = await get('/graph');
  const { body: found } = await get('/search?q=needle');
  assert.equal(found.results.length, odd.length + 1);
  for (const { tags, title, label } of [...body.notes, ...found.results, ...graph.nodes]) {
    assert.ok(Array.isArray(tags));
    assert.equal(typeof (title ?? label), 'string');
  }
  assert.deepEqual(body.notes.find(({ path }) => path === 'n0.md')?.tags, ['one']);
  assert.equal((await get('/notes/n5.md')).body.frontmatter.title, 'a --- b');
});

test('weak point 29: links with folder, heading and block lead somewhere; edges are single, dead ends visible', async (t) => {
  const { put, get } = await serve(t);
  await put('x/B.md', '# h');
  await put('y/B.md', 'another B');
  await put('A.md', '[[x/B]] [[x/B#h|again]] [[y/B#^block]] [[A]] [[nowhere]] `[[x/B]]`');
  const { body } = await get('/graph');
  assert.deepEqual(Object.keys(body), ['nodes', 'edges', 'unresolved']);
  assert.deepEqual(Object.keys(body.nodes[0] ?? {}), ['id', 'label', 'tags', 'type']);
  assert.deepEqual(body.edges.map(({ source, target }) => [source, target]).sort(), [
    ['A.md', 'x/B.md'],
    ['A.md', 'y/B.md'],
  ]);
  assert.deepEqual(body.unresolved, [{ source: 'A.md', target: 'nowhere' }]);
  const { body: back } = await get('/backlinks?path=x/B.md');
  assert.deepEqual(back.backlinks[0], { path: 'A.md', kind: 'wiki', target: 'x/B' });
});

test('weak point 30: of two clients that edit one note one gets 409 with the version that is there', async (t) => {
  const { put, get } = await serve(t);
  await put('a.md', 'start');
  const { etag } = await get('/notes/a.md');
  assert.ok(etag);
  const answers = await Promise.all([
    put('a.md', 'mine', { 'if-match': etag }),
    put('a.md', 'theirs', { 'if-match': etag }),
  ]);
  assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409]);
  const lost = answers.find(({ status }) => status === 409) as Answer;
  const now = await get('/notes/a.md');
  assert.equal(lost.body.code, 'vault.conflict');
  assert.equal(`"${lost.body.details.etag}"`, now.etag);
  assert.equal((await put('a.md', 'again', { 'if-none-match': '*' })).status, 409);
  assert.equal((await get('/notes/a.md', { headers: { 'if-none-match': now.etag as string } })).status, 304);
});

test('weak point 31: a client that reads a note and writes it back changes no byte', async (t) => {
  const { put, get, root } = await serve(t);
  for (const bytes of [Buffer.from('a\r\nb\rc\n'), Buffer.from('\uFEFFx'), Buffer.from([0x61, 0xff, 0x0a])]) {
    await writeFile(join(root, 'a.md'), bytes);
    const { body } = await get('/notes/a.md');
    assert.equal((await put('a.md', body.content)).status, 200);
    assert.deepEqual(await readFile(join(root, 'a.md')), bytes);
  }
});

test('weak point 49: a list costs no reading of files, and an unchanged one no body', async (t) => {
  const { put, get } = await serve(t);
  await put('a.md', 'x');
  for (const path of ['/notes', '/graph']) {
    const first = await get(path);
    assert.equal(first.status, 200);
    const again = await get(path, { headers: { 'if-none-match': first.etag as string } });
    assert.equal(again.status, 304);
    await put('a.md', `changed ${path}`);
    const changed = await get(path, { headers: { 'if-none-match': first.etag as string } });
    assert.equal(changed.status, 200);
  }
});

test('weak point 50: lists are bounded, and a limit that is none is 400', async (t) => {
  const { put, get } = await serve(t);
  for (let n = 0; n < 5; n += 1) await put(`n${n}.md`, `needle [[n${n + 1}]]`);
  assert.equal((await get('/notes?limit=2')).body.notes.length, 2);
  assert.equal((await get('/notes?limit=2&offset=4')).body.notes[0]?.path, 'n4.md');
  assert.equal((await get('/search?q=needle&limit=3')).body.results.length, 3);
  assert.equal((await get('/graph?limit=2')).body.nodes.length, 2);
  for (const query of ['limit=0', 'limit=-1', 'limit=x', 'limit=1e9', 'offset=-1', 'folder=..%2f']) {
    assert.equal((await get(`/notes?${query}`)).status, 400, query);
  }
  for (const path of ['/search?q=x&limit=9999', '/graph?limit=0', '/trash?limit=x', '/folders?limit=0']) {
    assert.equal((await get(path)).status, 400, path);
  }
});

test('a search takes anything for words, and nothing for none', async (t) => {
  const { put, get } = await serve(t);
  await put('a.md', 'Caf\u00e9 au lait');
  assert.deepEqual((await get('/search')).body, { results: [] });
  assert.deepEqual((await get('/search?q=%20')).body, { results: [] });
  const { body } = await get('/search?q=cafe');
  assert.deepEqual(Object.keys(body.results[0] ?? {}), ['path', 'title', 'tags', 'snippet', 'score']);
  for (const q of ['"', '* OR', 'NEAR(', 'a:b', '-', '^x', "'; DROP TABLE", '\u0000', '(((']) {
    assert.equal((await get(`/search?q=${encodeURIComponent(q)}`)).status, 200, q);
  }
});

test('a folder is renamed with all that is in it, and links lead where they led', async (t) => {
  const { put, get, ask } = await serve(t);
  const rename = (from: string, to: string) => ask('/rename', { method: 'POST', json: { from, to } });
  await put('old/in/a.md', 'needle [[old/b]] [x](../b.md) [[./c]]');
  await put('old/in/c.md', 'c');
  await put('old/b.md', 'b');
  await put('old/plan.txt', 'no note');
  await put('other/b.md', 'other b');
  await put('links.md', '[[old/in/a|A]] [[b]] [[other/b]] [[c]]');
  const before = (await get('/graph')).body.edges as readonly { source: string; target: string }[];
  const { status, body } = await rename('old', 'deep/new');
  assert.equal(status, 200);
  assert.deepEqual([body.from, body.path, body.failed], ['old', 'deep/new', []]);
  const { body: list } = await get('/notes');
  assert.deepEqual(
    list.notes.map(({ path }: { path: string }) => path),
    ['deep/new/b.md', 'deep/new/in/a.md', 'deep/new/in/c.md', 'links.md', 'other/b.md'],
  );
  assert.equal((await get('/notes/deep/new/plan.txt')).body.content, 'no note');
  assert.equal((await get('/search?q=needle')).body.results[0]?.path, 'deep/new/in/a.md');
  const moved = (path: string) => (path.startsWith('old/') ? `deep/new/${path.slice(4)}` : path);
  const pairs = (edges: readonly { readonly source: string; readonly target: string }[]) =>
    edges.map(({ source, target }) => `${source} > ${target}`).sort();
  assert.deepEqual(
    pairs((await get('/graph')).body.edges),
    pairs(before.map(({ source, target }) => ({ source: moved(source), target: moved(target) }))),
  );
  assert.deepEqual((await get('/graph')).body.unresolved, []);
  for (const [from, to, code] of [
    ['deep', 'deep/new/in', 400],
    ['deep/new', 'other', 409],
    ['none', 'x', 404],
    ['deep/new', '../out', 400],
    ['.trash', 'x', 400],
  ] as const)
    assert.equal((await rename(from, to)).status, code, `${from} to ${to}`);
});

test('notes that are written into a folder while it moves are where it went or where it was, and listed there', async (t) => {
  const { put, get, ask, dir } = await serve(t);
  await put('one/a.md', 'x');
  const writes = Array.from({ length: 20 }, (_, at) => put(`one/n${at}.md`, `text ${at}`));
  const moved = await ask('/rename', { method: 'POST', json: { from: 'one', to: 'two' } });
  assert.equal(moved.status, 200);
  await Promise.all(writes);
  const listed = (await get('/notes')).body.notes.map(({ path }: { path: string }) => path);
  assert.equal(listed.length, 21);
  for (const path of listed) assert.equal((await get(`/notes/${path}`)).status, 200, `${dir}: ${path}`);
});

test('rename, folders, trash and restore go over REST', async (t) => {
  const { put, get, ask, changes } = await serve(t);
  await put('a.md', 'x');
  await put('b.md', '[[a]]');
  const post = (path: string, json: unknown) => ask(path, { method: 'POST', json });
  assert.deepEqual((await post('/rename', { from: 'a.md', to: 'c/d.md' })).body, {
    ...{ ok: true, from: 'a.md', path: 'c/d.md', updated: ['b.md'], failed: [] },
  });
  assert.equal((await get('/notes/b.md')).body.content, '[[d]]');
  assert.equal((await post('/rename', { from: 'b.md', to: 'c/d.md' })).status, 409);
  assert.equal((await post('/rename', { from: 'none.md', to: 'e.md' })).status, 404);
  assert.equal((await post('/folders', { path: 'empty/one' })).body.created, true);
  assert.deepEqual((await get('/folders')).body.folders, ['c', 'empty', 'empty/one']);
  assert.equal((await ask('/folders?path=empty', { method: 'DELETE' })).status, 409);
  assert.equal((await ask('/folders?path=empty/one', { method: 'DELETE' })).status, 200);
  const { body: deleted } = await ask('/notes/c/d.md', { method: 'DELETE' });
  const { body: trash } = await get('/trash');
  assert.deepEqual([trash.notes[0]?.id, trash.notes[0]?.path], [deleted.trash_id, 'c/d.md']);
  assert.equal((await post('/trash/restore', { id: deleted.trash_id })).body.path, 'c/d.md');
  assert.equal((await post('/trash/restore', { id: deleted.trash_id })).status, 404);
  // A look at the disk may find the file before it is told of here, and tell of it too.
  const told = changes.filter(({ path, action }) => path === 'c/d.md' && action !== 'updated');
  assert.deepEqual(
    told.map(({ action }) => action),
    ['created', 'deleted', 'created'],
  );
});

test('while the notes are still being read a list says so, and gives what there is', async (t) => {
  const one = await openTestVault(t, { isWatched: false });
  await mkdir(join(one.root, 'many'));
  for (let n = 0; n < 50; n += 1) await writeFile(join(one.root, `many/${n}.md`), 'x');
  const search = await one.vault.search('x', 100);
  assert.ok(search.indexing === true || search.results.length === 50);
  await one.vault.ready(30_000);
  assert.deepEqual(Object.keys(await one.vault.search('x', 100)), ['results']);
});
