import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { VaultService } from '../../src/gateway/services/vault-service.ts';
import type { ToolResult } from '../../src/tools/tool.ts';
import { createVaultTools, type NoteService } from '../../src/tools/vault-tools.ts';
import { openTestVault } from '../fixtures/open-vault.ts';

/** The vault as REST handlers know it is what the tools take. */
const asNotes = (vault: VaultService): NoteService => vault;

async function setUp(t: TestContext) {
  const { vault, root } = await openTestVault(t, { isWatched: false });
  const tools = createVaultTools(asNotes(vault)).tools();
  const call = (name: string, input: Record<string, unknown>): Promise<ToolResult> => {
    const tool = tools.find((each) => each.name === name);
    assert.ok(tool, name);
    assert.equal(tool.check?.(input), undefined);
    const signal = new AbortController().signal;
    return tool.run(input, { signal, turnId: '1', sessionId: 'S', report: () => {} });
  };
  return { call, vault, root, tools };
}

const etagOf = ({ text }: ToolResult): string => /etag: (\S+)/.exec(text)?.[1] ?? assert.fail(text);

test('notes are written, read, found, listed and linked', async (t) => {
  const { call } = await setUp(t);
  const content = '---\ntags: [plants]\n---\n# Garden\nSee [[projects/shed]].\n';
  await call('vault_write', { path: 'projects/garden.md', content });
  await call('vault_write', { path: 'projects/shed.md', content: 'Wood, see [[projects/garden]]' });
  const read = await call('vault_read', { path: 'projects/garden.md' });
  assert.ok(read.text.endsWith(content));
  assert.match(
    (await call('vault_list', { folder: 'projects', tag: 'plants' })).text,
    /^projects\/garden\.md \| .*#plants$/,
  );
  assert.match((await call('vault_search', { query: 'wood' })).text, /projects\/shed\.md/);
  const links = await call('vault_links', { path: 'projects/garden.md' });
  assert.match(links.text, /Links to:\nprojects\/shed\n\nLinked from:\nprojects\/shed\.md/);
});

test('a note that exists is replaced with its etag only', async (t) => {
  const { call, root } = await setUp(t);
  const etag = etagOf(await call('vault_write', { path: 'a.md', content: 'one' }));
  await assert.rejects(call('vault_write', { path: 'a.md', content: 'two' }), { code: 'vault.exists' });
  await call('vault_write', { path: 'a.md', content: 'two', etag });
  await assert.rejects(call('vault_write', { path: 'a.md', content: 'three', etag }), {
    code: 'vault.conflict',
  });
  assert.equal(await readFile(join(root, 'a.md'), 'utf8'), 'two');
});

test('each change twice is as once', async (t) => {
  const { call, root } = await setUp(t);
  const write = { path: 'a.md', content: 'x and x' };
  const etag = etagOf(await call('vault_write', write));
  assert.equal(etagOf(await call('vault_write', write)), etag);
  const patch = { path: 'a.md', etag, old_text: 'x and', new_text: 'x and x and' };
  const patched = etagOf(await call('vault_patch', patch));
  await assert.rejects(call('vault_patch', patch), { code: 'vault.conflict' });
  assert.equal(await readFile(join(root, 'a.md'), 'utf8'), 'x and x and x');
  const rename = { path: 'a.md', new_path: 'b.md' };
  await call('vault_rename', rename);
  await assert.rejects(call('vault_rename', rename), { code: 'vault.not_found' });
  await call('vault_delete', { path: 'b.md', etag: patched });
  await call('vault_write', { path: 'b.md', content: 'another one' });
  await assert.rejects(call('vault_delete', { path: 'b.md', etag: patched }), { code: 'vault.conflict' });
});

test('a patch replaces one place, or all when told so, and says why it did not', async (t) => {
  const { call } = await setUp(t);
  let etag = etagOf(await call('vault_write', { path: 'a.md', content: 'a b a $& c' }));
  const patch = (old: string, text: string, all = false) =>
    call('vault_patch', { path: 'a.md', etag, old_text: old, new_text: text, all });
  assert.match((await patch('zzz', '')).text, /does not stand/);
  const twice = await patch('a', 'b');
  assert.equal(twice.isError, true);
  assert.match(twice.text, /2 times/);
  etag = etagOf(await patch('a', '$&', true));
  assert.ok((await call('vault_read', { path: 'a.md' })).text.endsWith('$& b $& $& c'));
});

test('a rename changes the links to the note', async (t) => {
  const { call, root } = await setUp(t);
  await call('vault_write', { path: 'a.md', content: '' });
  await call('vault_write', { path: 'b.md', content: '[[a]]' });
  assert.match(
    (await call('vault_rename', { path: 'a.md', new_path: 'c.md' })).text,
    /links changed in 1 notes/,
  );
  assert.equal(await readFile(join(root, 'b.md'), 'utf8'), '[[c]]');
  await call('vault_write', { path: 'f/d.md', content: '' });
  await call('vault_write', {
    path: 'b.md',
    content: '[[f/d]]',
    etag: etagOf(await call('vault_read', { path: 'b.md' })),
  });
  await call('vault_rename', { path: 'f', new_path: 'g' });
  assert.equal(await readFile(join(root, 'b.md'), 'utf8'), '[[d]]');
});

test('no path leads out of the vault', async (t) => {
  const { call } = await setUp(t);
  for (const path of ['../openagent.yaml', '/etc/passwd', 'a/../../b.md', '.trash/x.md', 'x\0.md']) {
    await assert.rejects(call('vault_read', { path }), /./, path);
    await assert.rejects(call('vault_write', { path, content: 'x' }), { code: 'vault.path_invalid' }, path);
  }
});

test('a wrong input is told so that it can be mended', async (t) => {
  const { tools } = await setUp(t);
  const patch = tools.find(({ name }) => name === 'vault_patch');
  const problem = patch?.check?.({ path: 1, old_text: '', new_text: 'x', other: true });
  for (const word of ['path', 'etag', 'old_text', 'other']) assert.match(problem ?? '', new RegExp(word));
});
