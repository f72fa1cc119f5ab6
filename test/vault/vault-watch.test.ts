import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../../src/contract/clock.ts';
import type { HostNotice } from '../../src/contract/host-link.ts';
import type { AgentStatus, PreparedAgent } from '../../src/supervisor/fleet.ts';
import { createFleetVaults } from '../../src/supervisor/vault-watch/fleet-vaults.ts';
import { createFolderWatches } from '../../src/supervisor/vault-watch/folder-watches.ts';
import { createVaultWatch, type VaultWatchOptions } from '../../src/supervisor/vault-watch/vault-watch.ts';
import { tempFolder } from '../fixtures/open-vault.ts';
import { until } from '../fixtures/turns.ts';

const DEADLINE_MS = 20_000;

async function watching(t: TestContext, options: Partial<VaultWatchOptions> = {}) {
  const root = await tempFolder(t);
  const told: { readonly id: string; readonly notice: HostNotice }[] = [];
  const defects: unknown[] = [];
  const watch = createVaultWatch({
    clock: systemClock,
    tell: (id, notice) => told.push({ id, notice }),
    onDefect: (error) => defects.push(error),
    ...options,
  });
  t.after(() => {
    watch.close();
    assert.deepEqual(defects, []);
  });
  const heard = (path: string) =>
    until(
      () => told.some(({ notice }) => notice.type === 'vault.changed' && notice.paths.includes(path)),
      `${path} is told of`,
      DEADLINE_MS,
    );
  return { root, told, watch, heard };
}

test('one watch per folder, whatever is in it; hidden folders and links are left out', async (t) => {
  const { root, watch, heard, told } = await watching(t);
  for (const folder of ['a/b', '.git/objects', 'a/.obsidian'])
    await mkdir(join(root, folder), { recursive: true });
  for (let n = 0; n < 50; n += 1) await writeFile(join(root, `a/${n}.md`), 'x');
  await symlink(root, join(root, 'loop'));
  assert.deepEqual(await watch.watch('one', root), { watching: true, folders: 3 });
  assert.equal(watch.count(), 3);
  await writeFile(join(root, '.git/objects/x.md'), 'x');
  await writeFile(join(root, 'a/.hidden.md'), 'x');
  await writeFile(join(root, 'a/b/x.md'), 'x');
  await heard('a/b/x.md');
  const paths = told.flatMap(({ notice }) => (notice.type === 'vault.changed' ? notice.paths : []));
  assert.deepEqual([...new Set(paths)], ['a/b/x.md']);
});

test('a folder that comes is watched with all below; one that is moved is followed; one that goes is let go', async (t) => {
  const { root, watch, heard } = await watching(t);
  await watch.watch('one', root);
  await mkdir(join(root, 'new/deep/er'), { recursive: true });
  await heard('new');
  await until(() => watch.count() === 4, 'four folders are watched', DEADLINE_MS);
  await writeFile(join(root, 'new/deep/er/x.md'), 'x');
  await heard('new/deep/er/x.md');
  await rename(join(root, 'new'), join(root, 'moved'));
  await heard('moved');
  await writeFile(join(root, 'moved/deep/er/y.md'), 'y');
  await heard('moved/deep/er/y.md');
  assert.equal(watch.count(), 4);
  await rm(join(root, 'moved'), { recursive: true });
  await until(() => watch.count() === 1, 'only the vault is watched', DEADLINE_MS);
});

test('the bound of all vaults is kept, and an agent that does not fit is not watched half', async (t) => {
  const { root, watch } = await watching(t, { watchesMax: 5 });
  for (const folder of ['one/a', 'two/a', 'two/b', 'two/c'])
    await mkdir(join(root, folder), { recursive: true });
  assert.equal((await watch.watch('one', join(root, 'one'))).watching, true);
  const refused = await watch.watch('two', join(root, 'two'));
  assert.ok(!refused.watching);
  assert.match(refused.reason, /max_user_watches/);
  assert.equal(watch.count(), 2);
  watch.unwatch('one');
  assert.equal((await watch.watch('two', join(root, 'two'))).watching, true);
  assert.equal(watch.count(), 4);
});

test('a vault that is not there is told as such; one that goes away ends its watch', async (t) => {
  const { root, watch, told } = await watching(t);
  assert.deepEqual(await watch.watch('one', join(root, 'none')), { watching: false, reason: 'ENOENT' });
  await mkdir(join(root, 'vault/a'), { recursive: true });
  await watch.watch('one', join(root, 'vault'));
  await rename(join(root, 'vault'), join(root, 'elsewhere'));
  await until(
    () => told.some(({ notice }) => notice.type === 'vault.unwatched'),
    'the end is told',
    DEADLINE_MS,
  );
  assert.equal(watch.count(), 0);
});

test('as many events as the system keeps in its queue may hide lost ones: somebody is told', async (t) => {
  const root = await tempFolder(t);
  let bursts = 0;
  const heard: (string | undefined)[] = [];
  const onBurst = (): void => {
    bursts += 1;
  };
  const watches = createFolderWatches({ watchesMax: 10, burstMax: 20, onBurst });
  const watch = watches.open(
    root,
    (name) => heard.push(name),
    () => {},
  );
  t.after(() => watch.close());
  await writeFile(join(root, 'one.md'), 'x');
  await until(() => heard.includes('one.md'), 'a single event', DEADLINE_MS);
  assert.equal(bursts, 0);
  // Without a turn of the event loop in between, as while the thread is busy with something else.
  for (let n = 0; n < 200; n += 1) writeFileSync(join(root, `${n}.md`), 'x');
  await until(() => bursts > 0, 'so many events in one go are told', DEADLINE_MS);
  assert.ok(heard.includes('0.md'));
});

test('an agent has its own vault watched, as the supervisor knows it, until it ends', async (t) => {
  const root = await tempFolder(t);
  const told: string[] = [];
  const vaults = createFleetVaults({
    clock: systemClock,
    notify: (id, notice) => told.push(`${id} ${notice.type}`) > 0,
    onDefect: assert.ifError,
  });
  const asking = { id: 'alpha', dir: '/anywhere' };
  await assert.rejects(vaults.answers['vault.watch'](asking), { code: 'host.unavailable' });
  vaults.prepared({ spec: { id: 'alpha' }, settings: { vaultPath: root } } as PreparedAgent);
  assert.deepEqual(await vaults.answers['vault.watch'](asking), { watching: true, folders: 1 });
  await writeFile(join(root, 'a.md'), 'x');
  await until(() => told.includes('alpha vault.changed'), 'the agent is told', DEADLINE_MS);
  vaults.note({ type: 'agent.changed', agent: { id: 'alpha', state: 'running' } as AgentStatus });
  assert.equal(vaults.count(), 1);
  vaults.note({ type: 'agent.changed', agent: { id: 'alpha', state: 'backoff' } as AgentStatus });
  assert.equal(vaults.count(), 0);
});
