/** kill -9 and a full disk in the middle of a note's write: the note is the old one or the new one, and whole. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mountTmpfs, whyNoMount } from '../fixtures/mounts.ts';
import { filesBelow, openTestVault, tempFolder } from '../fixtures/open-vault.ts';
import { TYPESCRIPT } from '../fixtures/typescript.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/vault-kill.ts', import.meta.url));
/** Every call of every action in torture; otherwise one in the middle of a write. */
const IS_FULL = process.env.OPENAGENT_TEST_RUNS !== undefined;
const ACTIONS = IS_FULL ? ['write', 'remove', 'rename'] : ['write'];
const MIDDLE = 9;
const OLD = 'old\r\n'.repeat(20_000);
const NEW = 'new';

interface End {
  readonly signal: string | null;
  readonly out: string;
  readonly root: string;
}

async function run(t: TestContext, action: string, last: number): Promise<End> {
  const dir = await tempFolder(t);
  await mkdir(join(dir, 'memories/sub'), { recursive: true });
  await writeFile(join(dir, 'memories/sub/note.md'), OLD);
  const args = [...TYPESCRIPT, PROGRAM, dir, action, String(last), NEW];
  const { signal, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
  assert.ok(signal === 'SIGKILL' || stdout !== '', stderr);
  return { signal, out: stdout, root: join(dir, 'memories') };
}

async function pointsOf(t: TestContext, action: string): Promise<readonly number[]> {
  if (!IS_FULL) return [MIDDLE];
  const calls = Number((await run(t, action, 0)).out);
  assert.ok(calls > MIDDLE);
  return Array.from({ length: calls }, (_, at) => at + 1);
}

for (const action of ACTIONS) {
  test(`kill -9 at any call of a ${action} leaves the note old or new, and the vault usable`, async (t) => {
    for (const point of await pointsOf(t, action)) {
      const { signal, root } = await run(t, action, point);
      assert.equal(signal, 'SIGKILL', `call ${point}`);
      const files = await filesBelow(root);
      const trashed = await trashedIn(root);
      const whole = [...files.values(), ...trashed];
      assert.ok(whole.length >= 1, `call ${point}: the note is gone`);
      for (const text of whole)
        assert.ok(text === OLD || text === NEW, `call ${point}: ${text.length} characters`);
      if (action === 'write') assert.deepEqual([...files.keys()], ['sub/note.md']);
      const one = await openTestVault(t, { dir: join(root, '..') });
      await one.vault.write('sub/note.md', 'after');
      assert.equal((await one.vault.read('sub/note.md')).content, 'after');
    }
  });
}

async function trashedIn(root: string): Promise<readonly string[]> {
  const ids = (await readdir(join(root, '.trash')).catch(() => [])).filter((id) => !id.startsWith('.'));
  const texts = await Promise.all(
    ids.map(async (id) => [...(await filesBelow(join(root, '.trash', id))).values()]),
  );
  return texts.flat();
}

test('on a full disk a write is refused, the old note stays, and nothing is left behind', {
  skip: whyNoMount(),
}, async (t) => {
  const dir = mountTmpfs(t, '1m');
  const one = await openTestVault(t, { dir });
  await one.vault.write('a.md', OLD);
  await writeFile(join(dir, 'ballast'), Buffer.alloc(4 * 1024 * 1024)).catch(() => {});
  const error: unknown = await one.vault.write('a.md', `${OLD}more`).catch((cause) => cause);
  assert.equal((error as { code: string }).code, 'storage.full');
  await assert.rejects(
    one.vault.write('new/b.md', OLD),
    (cause: { code?: string }) => cause.code === 'storage.full',
  );
  assert.equal((await filesBelow(one.root)).get('a.md'), OLD);
  assert.deepEqual(await readdir(join(one.root, '.trash/.tmp')), []);
});
