/** The vault, in a folder of this run's own: written, read back to the byte, found, drawn, and removed again. */
import { type Check, type CheckGroup, expectThat, Skipped, shown } from '../check.ts';
import type { HttpAnswer } from '../http-client.ts';
import type { Target } from '../target.ts';

const NOTES = '/api/vault/notes';

export const notePath = (target: Target, name: string): string => `${target.mark}/${name}`;

export function noteUrl(path: string): string {
  return `${NOTES}/${path.split('/').map(encodeURIComponent).join('/')}`;
}

/** Writes a note that the end of the run removes. */
async function write(target: Target, name: string, content: string): Promise<HttpAnswer> {
  const path = notePath(target, name);
  target.requireCredential();
  // Before it is sent: the answer may be lost, and the note be there.
  removeLater(target, path);
  const answer = await target.askJson('PUT', noteUrl(path), { content });
  if (target.isAbsent(answer)) {
    target.cleanups.pop();
    throw new Skipped('this gateway has no vault');
  }
  return answer;
}

export function removeLater(target: Target, path: string): void {
  const what = `note ${path}`;
  if (target.cleanups.some((each) => each.what === what)) return;
  target.cleanups.push({ what, run: () => remove(target, path) });
}

async function remove(target: Target, path: string): Promise<void> {
  const { status, summary } = await target.ask(noteUrl(path), { method: 'DELETE' });
  if (status !== 200 && status !== 204 && status !== 404) throw new Error(`DELETE ${path}: ${summary}`);
}

export async function writeWell(target: Target, name: string, content: string): Promise<void> {
  const answer = await write(target, name, content);
  const { ok, path } = answer.json() as { ok?: unknown; path?: unknown };
  const isRight = answer.status === 200 && ok === true && path === notePath(target, name);
  expectThat(isRight, `PUT ${answer.status} ${shown(answer.text)}`);
}

interface Note {
  readonly content?: unknown;
  readonly body?: unknown;
  readonly frontmatter?: Readonly<Record<string, unknown>>;
  readonly links?: readonly string[];
  readonly modified?: unknown;
}

export async function readWell(target: Target, name: string): Promise<Note> {
  const answer = await target.ask(noteUrl(notePath(target, name)));
  expectThat(answer.status === 200, `GET ${answer.summary}`);
  return answer.json() as Note;
}

const roundTrip: Check = {
  name: 'a note comes back as it was written',
  expected: 'the same content; body without frontmatter, title, links and a time',
  async run(target) {
    const content = `---\ntitle: First of ${target.mark}\ntags: [one, two]\n---\n\nSee [[Second]]. Ünïcödé ✓ 漢字\n`;
    await writeWell(target, 'first.md', content);
    const note = await readWell(target, 'first.md');
    expectThat(note.content === content, `content: ${shown(note.content)}`);
    expectThat(note.frontmatter?.title === `First of ${target.mark}`, shown(note.frontmatter));
    expectThat(typeof note.body === 'string' && !note.body.includes('title:'), `body: ${shown(note.body)}`);
    expectThat(note.links?.length === 1 && note.links[0] === 'Second', `links: ${shown(note.links)}`);
    expectThat(typeof note.modified === 'number', `modified: ${shown(note.modified)}`);
    return `${content.length} characters, links: ${note.links.join(', ')}`;
  },
};

const lineEnds: Check = {
  name: 'line ends survive',
  expected: 'CRLF and a missing last line end come back',
  isBeyond: true,
  async run(target) {
    const content = 'one\r\ntwo\nthree';
    await writeWell(target, 'line-ends.md', content);
    const note = await readWell(target, 'line-ends.md');
    expectThat(note.content === content, shown(note.content));
    return JSON.stringify(note.content);
  },
};

const oddNames: Check = {
  name: 'folders and names with blanks and umlauts work',
  expected: 'written into new folders, read back under the same path',
  async run(target) {
    const name = 'sub folder/Größe – 漢字.md';
    await writeWell(target, name, `In ${name}`);
    expectThat((await readWell(target, name)).content === `In ${name}`, 'another content');
    return notePath(target, name);
  },
};

const overwrite: Check = {
  name: 'a note can be written again',
  expected: 'the second content',
  async run(target) {
    await writeWell(target, 'again.md', 'first');
    await writeWell(target, 'again.md', 'second');
    const { content } = await readWell(target, 'again.md');
    expectThat(content === 'second', shown(content));
    return 'second';
  },
};

const conflict: Check = {
  name: 'a write that is meant for another version is refused',
  expected: '409 or 412 for a stale If-Match, and the note unchanged',
  isBeyond: true,
  async run(target) {
    await writeWell(target, 'conflict.md', 'first');
    const url = noteUrl(notePath(target, 'conflict.md'));
    const etag = (await target.ask(url)).header('etag');
    if (etag === '') throw new Skipped('this gateway gives notes no ETag');
    const current = await target.askJson('PUT', url, { content: 'second' }, { 'if-match': etag });
    expectThat(current.status === 200, `with the current ETag: ${current.summary}`);
    const stale = await target.askJson('PUT', url, { content: 'third' }, { 'if-match': etag });
    expectThat([409, 412].includes(stale.status), `with a stale ETag: ${stale.summary}`);
    const { content } = await readWell(target, 'conflict.md');
    expectThat(content === 'second', `afterwards: ${shown(content)}`);
    return `${stale.summary}, unchanged`;
  },
};

const listed: Check = {
  name: 'a new note is listed',
  expected: 'one entry with path, title and tags as an array',
  async run(target) {
    await writeWell(target, 'listed.md', '---\ntitle: Listed\ntags: one\n---\nText');
    const answer = await target.ask(NOTES);
    const { notes = [] } = answer.json() as { notes?: Readonly<Record<string, unknown>>[] };
    const own = notes.filter(({ path }) => path === notePath(target, 'listed.md'));
    expectThat(own.length === 1, `${own.length} of ${notes.length} entries`);
    const [entry] = own;
    expectThat(entry?.title === 'Listed' && (target.isReference || Array.isArray(entry.tags)), shown(entry));
    return shown(entry);
  },
};

const found: Check = {
  name: 'a word of a new note is found',
  expected: 'the note among the results; nothing for an empty query',
  async run(target) {
    const word = `w${target.mark.replace(/\W/g, '')}`;
    await writeWell(target, 'found.md', `Some text with ${word} in it`);
    const answer = await target.ask(`/api/vault/search?q=${word}`);
    const { results = [] } = answer.json() as { results?: { path?: unknown }[] };
    const hit = results.find(({ path }) => path === notePath(target, 'found.md'));
    expectThat(hit !== undefined, `${answer.status}, ${results.length} results`);
    const empty = await target.ask('/api/vault/search?q=');
    const { results: none } = empty.json() as { results?: unknown };
    expectThat(Array.isArray(none) && none.length === 0, `empty query: ${empty.summary}`);
    return shown(hit);
  },
};

const strangeQueries: Check = {
  name: 'a query is words, whatever stands in it',
  expected: '200 for quotes, operators, brackets and wildcards',
  async run(target) {
    for (const query of ['"', 'AND', 'a OR (', 'NEAR(', '*', 'path:x', "';--", '^', '\u0000']) {
      const answer = await target.askIfThere(`/api/vault/search?q=${encodeURIComponent(query)}`);
      const { results } = answer.json() as { results?: unknown };
      expectThat(
        answer.status === 200 && Array.isArray(results),
        `${answer.summary} for ${JSON.stringify(query)}`,
      );
    }
    return '9 times 200';
  },
};

const graph: Check = {
  name: 'linked notes are joined in the graph',
  expected: 'both as nodes, and an edge from one to the other',
  async run(target) {
    const [from, to] = [notePath(target, 'from.md'), notePath(target, `${target.mark}-to.md`)];
    await writeWell(target, `${target.mark}-to.md`, 'Target');
    await writeWell(target, 'from.md', `[[${target.mark}-to]]`);
    const answer = await target.ask('/api/vault/graph');
    const { nodes = [], edges = [] } = answer.json() as {
      nodes?: { id?: unknown }[];
      edges?: { source?: unknown; target?: unknown }[];
    };
    const ids = new Set(nodes.map(({ id }) => id));
    const edge = edges.find(({ source, target: end }) => source === from && end === to);
    expectThat(
      ids.has(from) && ids.has(to) && edge !== undefined,
      `${nodes.length} nodes, edge: ${shown(edge)}`,
    );
    return `${nodes.length} nodes, ${edges.length} edges`;
  },
};

const confined: Check = {
  name: 'no path leads out of the vault',
  expected: 'every attempt refused with 400 to 422, nothing read',
  isBeyond: true,
  async run(target) {
    await writeWell(target, 'confined.md', 'in');
    const outside = [
      '..%2fopenagent.yaml',
      '%2fetc%2fhostname',
      '/etc/hostname',
      'a%2f..%2f..%2fopenagent.yaml',
    ];
    for (const path of [...outside, 'a%00.md', '..%5copenagent.yaml', '.%2e/openagent.yaml']) {
      const answer = await target.ask(`${NOTES}/${path}`);
      expectThat(answer.status >= 400 && answer.status <= 422, `${answer.summary} for ${path}`);
    }
    return '7 attempts refused';
  },
};

const deleted: Check = {
  name: 'a deleted note is gone',
  expected: '{ok: true}, then 404 with a JSON error, for reading and deleting alike',
  async run(target) {
    await writeWell(target, 'deleted.md', 'short-lived');
    const url = noteUrl(notePath(target, 'deleted.md'));
    const first = await target.ask(url, { method: 'DELETE' });
    const { ok } = first.json() as { ok?: unknown };
    expectThat(first.status === 200 && ok === true, `DELETE ${first.summary}`);
    for (const method of ['GET', 'DELETE']) {
      const answer = await target.ask(url, { method });
      const { error } = answer.json() as { error?: unknown };
      expectThat(answer.status === 404 && typeof error === 'string', `${method} ${answer.summary}`);
    }
    return 'ok, 404, 404';
  },
};

export const VAULT_CHECKS: CheckGroup = {
  area: 'vault',
  checks: [
    ...[roundTrip, lineEnds, oddNames, overwrite, conflict, listed, found, strangeQueries, graph],
    ...[confined, deleted],
  ],
};
