import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { discover } from '../../src/supervisor/discovery.ts';
import { makeTempDir } from './agent-directory.ts';

test('agents keep the order given; files among them are ignored', async (t) => {
  const root = await makeFleet(t, ['b', 'a', 'c']);
  await writeFile(join(root, 'README.md'), '');
  const found = await discover(['b', 'README.md', './a/', join(root, 'c')], root);
  assert.deepEqual(found, {
    agents: ['b', 'a', 'c'].map((id) => ({ id, dir: join(root, id) })),
    refused: [],
    created: [],
    patterns: [],
  });
});

test('a missing directory, with its parents, and an empty one become agents', async (t) => {
  const root = await makeFleet(t, []);
  await mkdir(join(root, 'empty'));
  const { agents, created, refused } = await discover(['new/deep/er/', 'empty'], root);
  assert.deepEqual(refused, []);
  assert.deepEqual(created, [join(root, 'new/deep/er'), join(root, 'empty')]);
  assert.deepEqual(
    agents.map(({ id }) => id),
    ['er', 'empty'],
  );
  for (const { dir } of agents) {
    assert.deepEqual((await readdir(dir)).sort(), ['logs', 'memories', 'openagent.yaml']);
  }
});

test('a directory with other files is refused with the mend, and left alone', async (t) => {
  const root = await makeFleet(t, ['good']);
  await mkdir(join(root, 'photos'));
  await writeFile(join(root, 'photos/a.jpg'), '');
  const { agents, refused } = await discover(['photos', 'good'], root);
  assert.deepEqual(agents, [{ id: 'good', dir: join(root, 'good') }]);
  assert.equal(refused[0]?.dir, join(root, 'photos'));
  assert.equal(refused[0]?.error.code, 'directory.not_agent');
  assert.match(refused[0]?.error.message ?? '', new RegExp(`openagent-supervisor init ${root}/photos$`));
  assert.deepEqual(await readdir(join(root, 'photos')), ['a.jpg']);
});

test('the same directory twice, also through a link, is refused by its full path', async (t) => {
  const root = await makeFleet(t, ['a']);
  await symlink(join(root, 'a'), join(root, 'link'));
  const { agents, refused } = await discover(['a', 'a/', 'link'], root);
  assert.deepEqual(agents, [{ id: 'a', dir: join(root, 'a') }]);
  assert.deepEqual(
    refused.map(({ dir, error }) => [dir, error.code]),
    [
      [join(root, 'a'), 'directory.duplicate'],
      [join(root, 'link'), 'directory.duplicate'],
    ],
  );
  assert.match(
    refused[1]?.error.message ?? '',
    new RegExp(`${root}/link is the same directory as ${root}/a`),
  );
});

test('a link to an agent is an agent under the name of the link', async (t) => {
  const root = await makeFleet(t, ['a']);
  await symlink(join(root, 'a'), join(root, 'link'));
  assert.deepEqual((await discover(['link'], root)).agents, [{ id: 'link', dir: join(root, 'link') }]);
});

test('the second of two directories with one base name is refused, and not created either', async (t) => {
  const root = await makeFleet(t, ['x/same']);
  const { agents, refused } = await discover(['x/same', 'y/same'], root);
  assert.deepEqual(agents, [{ id: 'same', dir: join(root, 'x/same') }]);
  assert.equal(refused[0]?.error.code, 'agent.id_duplicate');
  assert.match(refused[0]?.error.message ?? '', new RegExp(`${root}/y/same and ${root}/x/same`));
  assert.deepEqual(await readdir(root), ['x']);
});

test('a directory that was refused does not keep its name from another', async (t) => {
  const root = await makeFleet(t, ['y/same']);
  await mkdir(join(root, 'x/same'), { recursive: true });
  await writeFile(join(root, 'x/same/file'), '');
  const { agents } = await discover(['x/same', 'y/same'], root);
  assert.deepEqual(agents, [{ id: 'same', dir: join(root, 'y/same') }]);
});

test('a pattern that matched nothing makes no directory', async (t) => {
  const root = await makeFleet(t, []);
  const { refused } = await discover(['agents/*'], root);
  assert.equal(refused[0]?.error.code, 'directory.not_agent');
  assert.match(refused[0]?.error.message ?? '', /^Nothing matches .*agents\/\*/);
  assert.deepEqual(await readdir(root), []);
});

test('a dangling link is refused, not followed', async (t) => {
  const root = await makeFleet(t, []);
  await symlink(join(root, 'gone'), join(root, 'link'));
  const { refused } = await discover(['link'], root);
  assert.match(refused[0]?.error.message ?? '', /link is a symbolic link to something that does not exist/);
});

test('a path through a file cannot be written', async (t) => {
  const root = await makeFleet(t, []);
  await writeFile(join(root, 'file'), '');
  const { refused } = await discover(['file/agent'], root);
  assert.equal(refused[0]?.error.code, 'directory.unwritable');
  assert.match(refused[0]?.error.message ?? '', /a part of the path is not a directory/);
});

test('an agent and a parent that this user may not write are refused, the others start', async (t) => {
  const root = await makeFleet(t, ['locked', 'good']);
  await chmod(join(root, 'locked'), 0o555);
  await chmod(root, 0o755);
  const { agents, refused } = await discoverAsNobody(['locked', 'new', 'good'], root);
  assert.deepEqual(
    refused.map(({ dir, error }) => [dir, error.code]),
    [
      [join(root, 'locked'), 'directory.unwritable'],
      [join(root, 'new'), 'directory.unwritable'],
    ],
  );
  assert.match(refused[0]?.error.message ?? '', /permission denied/);
  assert.deepEqual(agents, [{ id: 'good', dir: join(root, 'good') }]);
});

/** Permissions do not bind root, so as root this runs in a process of another user. */
async function discoverAsNobody(args: string[], cwd: string): Promise<Awaited<ReturnType<typeof discover>>> {
  const discovery = fileURLToPath(new URL('../../src/supervisor/discovery.ts', import.meta.url));
  const script = `import { discover } from ${JSON.stringify(discovery)};
    console.log(JSON.stringify(await discover(${JSON.stringify(args)}, ${JSON.stringify(cwd)})));`;
  const isRoot = process.getuid?.() === 0;
  await chmod(cwd, 0o555);
  await chmod(join(cwd, 'good'), 0o777);
  const nobody = isRoot ? { uid: 65_534, gid: 65_534, env: { ...process.env, HOME: '/nonexistent' } } : {};
  const nodeArgs = ['--import', 'tsx', '--input-type=module', '-e', script];
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, nodeArgs, { cwd: root, ...nobody });
  await chmod(cwd, 0o755);
  return JSON.parse(stdout);
}

async function makeFleet(t: Parameters<typeof makeTempDir>[0], names: readonly string[]): Promise<string> {
  const root = await makeTempDir(t);
  for (const name of names) {
    await mkdir(join(root, name), { recursive: true });
    await writeFile(join(root, name, 'openagent.yaml'), 'model: { provider: echo }\n');
  }
  return root;
}
