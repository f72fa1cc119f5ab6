/** What the vault can do beyond the reference: rename with its links, folders, and getting back what was deleted. */
import { type Check, type CheckGroup, expectThat, shown } from '../check.ts';
import { notePath, noteUrl, readWell, removeLater, writeWell } from './vault-checks.ts';

const guarded: Check = {
  name: 'a note that must be new replaces nothing',
  expected: '409 or 412 for `If-None-Match: *` where there is one, and the note unchanged',
  isBeyond: true,
  async run(target) {
    await writeWell(target, 'new.md', 'first');
    const url = noteUrl(notePath(target, 'new.md'));
    const answer = await target.askJson('PUT', url, { content: 'second' }, { 'if-none-match': '*' });
    expectThat([409, 412].includes(answer.status), answer.summary);
    const { content } = await readWell(target, 'new.md');
    expectThat(content === 'first', `afterwards: ${shown(content)}`);
    return `${answer.summary}, unchanged`;
  },
};

const renamed: Check = {
  name: 'a renamed note takes its links along',
  expected: 'gone under the old path, there under the new one, and the link of another note written anew',
  isBeyond: true,
  async run(target) {
    const [old, next] = [`${target.mark}-old`, `${target.mark}-next`];
    await writeWell(target, `${old}.md`, 'Moves');
    await writeWell(target, 'points.md', `To [[${old}]] and on`);
    const [from, to] = [notePath(target, `${old}.md`), notePath(target, `${next}.md`)];
    await target.askIfThere(`/api/vault/backlinks?path=${encodeURIComponent(from)}`);
    removeLater(target, to);
    const answer = await target.askJson('POST', '/api/vault/rename', { from, to });
    expectThat(answer.status === 200, answer.summary);
    expectThat((await target.ask(noteUrl(from))).status === 404, 'still there under the old path');
    expectThat((await readWell(target, `${next}.md`)).content === 'Moves', 'another content');
    const { content } = await readWell(target, 'points.md');
    expectThat(content === `To [[${next}]] and on`, `the link: ${shown(content)}`);
    return shown(content);
  },
};

const backlinks: Check = {
  name: 'a note knows who links to it',
  expected: 'the path of the linking note',
  isBeyond: true,
  async run(target) {
    const end = `${target.mark}-end`;
    await writeWell(target, `${end}.md`, 'End');
    await writeWell(target, 'links.md', `[[${end}|alias]]`);
    const path = encodeURIComponent(notePath(target, `${end}.md`));
    const answer = await target.askIfThere(`/api/vault/backlinks?path=${path}`);
    const { backlinks: found = [] } = answer.json() as { backlinks?: { path?: unknown }[] };
    expectThat(found.length === 1 && found[0]?.path === notePath(target, 'links.md'), shown(answer.text));
    return shown(found);
  },
};

const folders: Check = {
  name: 'folders come and go',
  expected: 'made, listed, refused while a note is in it, deleted when empty',
  isBeyond: true,
  async run(target) {
    const path = notePath(target, 'folder');
    const url = `/api/vault/folders?path=${encodeURIComponent(path)}`;
    await target.askIfThere('/api/vault/folders');
    const made = await target.askJson('POST', '/api/vault/folders', { path });
    expectThat(made.status === 200, `POST ${made.summary}`);
    const { folders: all = [] } = (await target.ask('/api/vault/folders')).json() as { folders?: string[] };
    expectThat(all.includes(path), `not among ${all.length} folders`);
    await writeWell(target, 'folder/in.md', 'In');
    const full = await target.ask(url, { method: 'DELETE' });
    expectThat(full.status === 409, `DELETE of a full one: ${full.summary}`);
    await target.ask(noteUrl(`${path}/in.md`), { method: 'DELETE' });
    const gone = await target.ask(url, { method: 'DELETE' });
    // The folder may have gone with its last note.
    expectThat([200, 404].includes(gone.status), `DELETE of an empty one: ${gone.summary}`);
    return `${full.summary} while full, ${gone.status} when empty`;
  },
};

const restored: Check = {
  name: 'a deleted note can be had back',
  expected: 'listed in the trash, and after its restoration as it was',
  isBeyond: true,
  async run(target) {
    await target.askIfThere('/api/vault/trash');
    await writeWell(target, 'back.md', 'Comes back');
    const path = notePath(target, 'back.md');
    await target.ask(noteUrl(path), { method: 'DELETE' });
    const { notes = [] } = (await target.ask('/api/vault/trash')).json() as {
      notes?: { id: string; path: string }[];
    };
    const id = notes.find((each) => each.path === path)?.id;
    expectThat(id !== undefined, `not among ${notes.length} deleted notes`);
    const answer = await target.askJson('POST', '/api/vault/trash/restore', { id });
    expectThat(answer.status === 200, answer.summary);
    const { content } = await readWell(target, 'back.md');
    expectThat(content === 'Comes back', shown(content));
    return shown(answer.text);
  },
};

export const VAULT_BEYOND_CHECKS: CheckGroup = {
  area: 'vault',
  checks: [guarded, renamed, backlinks, folders, restored],
};
