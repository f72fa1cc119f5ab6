/** The token of the fleet's port: kept for who scrapes it by a fixed configuration, and never one that others may know. */
import assert from 'node:assert/strict';
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Announcement } from '../../src/contract/fleet/announcement.ts';
import { startFleetGateway, tempRunDir } from '../fixtures/fleet-gateway.ts';

const OWN = 'A-token.of+ours/0123456789abcdef_';

test('a port that is named keeps its token from one host to the next, and the end of a host', async (t) => {
  const runDir = await tempRunDir(t);
  const first = await startAt(t, runDir);
  const token = await readFile(first.tokenFile, 'utf8');
  assert.match(token, /^[\w-]{43}\n$/);
  assert.equal(((await stat(first.tokenFile)).mode & 0o777).toString(8), '600');
  assert.equal(first.tokenFile, join(runDir, `port-${first.port}.token`));
  await first.gateway.close();
  assert.deepEqual(await readdir(runDir), [`port-${first.port}.token`]);
  const second = await startAt(t, runDir, first.port);
  assert.equal(await readFile(second.tokenFile, 'utf8'), token);
  assert.equal(await second.statusWith(token.trim()), 200);
  assert.deepEqual(second.warnings, []);
});

test('to remove the file is to have another token with the next host', async (t) => {
  const runDir = await tempRunDir(t);
  const first = await startAt(t, runDir);
  const token = (await readFile(first.tokenFile, 'utf8')).trim();
  await first.gateway.close();
  await rm(first.tokenFile);
  const second = await startAt(t, runDir, first.port);
  assert.equal(await second.statusWith(token), 401);
  assert.equal(await second.statusWith((await readFile(second.tokenFile, 'utf8')).trim()), 200);
});

test('a token of the operator is taken as it is', async (t) => {
  const runDir = await tempRunDir(t);
  const port = await freePort();
  await writeFile(join(runDir, `port-${port}.token`), OWN, { mode: 0o600 });
  const { statusWith, warnings } = await startAt(t, runDir, port);
  assert.equal(await statusWith(OWN), 200);
  assert.deepEqual(warnings, []);
});

const UNFIT: readonly (readonly [string, RegExp, (path: string) => Promise<void>])[] = [
  [
    'that others may read',
    /other users may open it/,
    async (path) => {
      await writeFile(path, OWN);
      await chmod(path, 0o640);
    },
  ],
  ['that is empty, as a full disk leaves it', /no token/, (path) => writeFile(path, '', { mode: 0o600 })],
  ['that is short enough to guess', /no token/, (path) => writeFile(path, 'sesame', { mode: 0o600 })],
  ['that is endless', /too long/, (path) => writeFile(path, OWN.repeat(40), { mode: 0o600 })],
  [
    'behind a link',
    /symbolic link/,
    async (path) => {
      await writeFile(`${path}.elsewhere`, OWN, { mode: 0o600 });
      await symlink(`${path}.elsewhere`, path);
    },
  ],
];
for (const [what, why, plant] of UNFIT)
  test(`a token ${what} is replaced, and that is told`, async (t) => {
    const runDir = await tempRunDir(t);
    const port = await freePort();
    await plant(join(runDir, `port-${port}.token`));
    const { statusWith, warnings, tokenFile } = await startAt(t, runDir, port);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', why);
    assert.equal(await statusWith(OWN), 401);
    assert.equal(await statusWith((await readFile(tokenFile, 'utf8')).trim()), 200);
    assert.equal(((await stat(tokenFile)).mode & 0o777).toString(8), '600');
  });

test('where the token cannot be kept there is no port, and nobody listens on it', async (t) => {
  const runDir = await tempRunDir(t);
  const port = await freePort();
  await mkdir(join(runDir, `port-${port}.token`));
  const { gateway, warnings, ask } = await startFleetGateway(t, { runDir, port });
  assert.match(warnings.join('\n'), /The fleet has no port/);
  assert.equal(gateway.url, undefined);
  const taken = createServer();
  await new Promise<void>((resolve, reject) => {
    taken.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  taken.close();
  assert.equal((await ask('/livez')).status, 200);
});

test('two hosts that wish the same port have a token each', async (t) => {
  const runDir = await tempRunDir(t);
  const one = await startAt(t, runDir);
  const two = await startAt(t, runDir, one.port, process.ppid);
  assert.notEqual(two.port, one.port);
  const [tokenOfOne, tokenOfTwo] = [
    (await readFile(one.tokenFile, 'utf8')).trim(),
    (await readFile(two.tokenFile, 'utf8')).trim(),
  ];
  assert.deepEqual([await one.statusWith(tokenOfOne), await two.statusWith(tokenOfTwo)], [200, 200]);
  assert.equal(await one.statusWith(tokenOfTwo), 401);
});

async function startAt(t: TestContext, runDir: string, port?: number, pid = process.pid) {
  const started = await startFleetGateway(t, { runDir, port: port ?? (await freePort()), pid });
  const { gateway, ask, warnings } = started;
  const text = await readFile(join(runDir, `${pid}.json`), 'utf8');
  const { http } = Announcement.parse(JSON.parse(text));
  assert.ok(http);
  const statusWith = async (token: string) =>
    (await ask('/api/fleet', { tcp: true, headers: { authorization: `Bearer ${token}` } })).status;
  return { gateway, warnings, statusWith, port: http.port, tokenFile: http.token_file };
}

/** Below those that the system gives to whoever asks for any: nobody else takes it between here and its use. */
async function freePort(): Promise<number> {
  const port = 21_000 + Math.floor(Math.random() * 10_000);
  const server = createServer();
  const isFree = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
  });
  if (!isFree) return freePort();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
