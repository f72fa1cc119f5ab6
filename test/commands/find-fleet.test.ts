import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { findFleet } from '../../src/commands/find-fleet.ts';
import { AppError } from '../../src/contract/errors.ts';

test('the only fleet that runs is it, wherever one stands', async (t) => {
  const { announce, find } = await openRunDirectory(t);
  await announce(process.pid, ['/srv/a']);
  assert.equal((await find('/elsewhere')).announcement?.pid, process.pid);
});

test('of several it is the one that has an agent at, below or around the working directory', async (t) => {
  const { announce, find, socketOf } = await openRunDirectory(t);
  await announce(process.pid, ['/srv/one/a', '/srv/one/b']);
  await announce(process.ppid, ['/srv/two/a', '/srv/one-more']);
  for (const cwd of ['/srv/one', '/srv/one/a', '/srv/one/a/memories']) {
    assert.equal((await find(cwd)).socket, socketOf(process.pid), cwd);
  }
  for (const cwd of ['/srv', '/elsewhere', '/srv/one-more-still']) {
    await assert.rejects(
      find(cwd),
      isError('fleet.ambiguous', new RegExp(`--fleet ${process.ppid} .*1|2 agents`)),
    );
  }
  assert.equal((await find('/srv', String(process.ppid))).socket, socketOf(process.ppid));
  assert.equal((await find('/srv', socketOf(process.pid))).socket, socketOf(process.pid));
});

test('what a killed host left behind, and what is no announcement, is passed over', async (t) => {
  const { announce, find, dir } = await openRunDirectory(t);
  const { pid: dead } = spawnSync('true');
  await announce(dead, ['/srv/a']);
  await announce(process.ppid, ['/srv/a'], { listens: false }); // the process id is another program's by now
  await writeFile(join(dir, '7.json'), '{"pid":');
  await writeFile(join(dir, '8.json'), '{"pid":"eight"}');
  await assert.rejects(
    find('/srv/a'),
    isError('fleet.not_found', /no fleet runs .*start one: openagent-supervisor/),
  );
  await announce(process.pid, ['/srv/a']);
  assert.equal((await find('/srv/a')).announcement?.pid, process.pid);
  await assert.rejects(
    find('/', String(dead)),
    isError('fleet.not_found', new RegExp(`--fleet ${process.pid}`)),
  );
});

test('no directory of announcements means that no fleet runs; a socket nobody listens at is said to be one', async (t) => {
  const { find } = await openRunDirectory(t);
  await assert.rejects(
    find('/', '/nowhere/x.sock'),
    isError('fleet.not_found', /nobody listens at \/nowhere\/x\.sock/),
  );
  const place = { env: { OPENAGENT_RUN_DIR: '/nowhere' }, homeDir: '/', cwd: '/' };
  await assert.rejects(findFleet(undefined, place), isError('fleet.not_found', /announced in \/nowhere/));
});

function isError(code: string, message: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(AppError.is(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

async function openRunDirectory(t: TestContext) {
  const dir = await mkdtemp(join(tmpdir(), 'openagent-run-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const socketOf = (pid: number) => join(dir, `${pid}.sock`);
  return {
    dir,
    socketOf,
    find: (cwd: string, named?: string) =>
      findFleet(named, { env: { OPENAGENT_RUN_DIR: dir }, homeDir: '/', cwd }),
    async announce(pid: number, dirs: readonly string[], { listens = true } = {}) {
      const facts = { version: '1.2.3', started_at: pid, http: null, cwd: '/srv' };
      const announcement = { ...facts, pid, socket: socketOf(pid), dirs };
      await writeFile(join(dir, `${pid}.json`), JSON.stringify(announcement));
      if (!listens) return;
      const server = createServer((socket) => socket.destroy());
      t.after(() => server.close());
      await new Promise<void>((resolve) => server.listen(socketOf(pid), resolve));
    },
  };
}
