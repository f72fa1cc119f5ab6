/** The run directory: what killed hosts left is removed, what cannot be used is told, and the fleet runs without it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { runDirectory } from '../../src/contract/fleet/announcement.ts';
import { startFleetGateway, tempRunDir } from '../fixtures/fleet-gateway.ts';

test('the run directory is the one that is named, else that of the user', () => {
  assert.equal(runDirectory({ OPENAGENT_RUN_DIR: '/r', XDG_RUNTIME_DIR: '/x' }, '/home/u'), '/r');
  assert.equal(runDirectory({ XDG_RUNTIME_DIR: '/x' }, '/home/u'), '/x/openagent-supervisor');
  assert.equal(runDirectory({}, '/home/u'), '/home/u/.openagent-supervisor/run');
});

test('a directory that is not there is made for its owner only, and with it all above it', async (t) => {
  const runDir = join(await tempRunDir(t), 'deep', 'run');
  const { ask, warnings } = await startFleetGateway(t, { runDir });
  assert.equal((await ask('/livez')).status, 200);
  assert.equal(((await stat(runDir)).mode & 0o777).toString(8), '700');
  assert.deepEqual(warnings, []);
});

test('what killed hosts left is removed; what lives, and what is not ours, stays', async (t) => {
  const runDir = await tempRunDir(t);
  const gone = await endedProcess();
  const living = process.ppid;
  const strangers = ['notes.txt', '0.sock', `x${gone}.sock`];
  const leftovers = ['sock', 'json', 'json.tmp', 'token'].map((ending) => `${gone}.${ending}`);
  const own = `${process.pid}.json.tmp`;
  for (const name of [...strangers, ...leftovers, own, `${living}.json`])
    await writeFile(join(runDir, name), '');
  // As a host of another process table (a container) has it: its process is not seen, its socket answers.
  const answering = createServer((_req, res) => res.end());
  const other = await endedProcess();
  await new Promise<void>((resolve) => answering.listen(join(runDir, `${other}.sock`), resolve));
  t.after(() => answering.close());
  const { gateway } = await startFleetGateway(t, { runDir, isStarting: true });
  assert.deepEqual(
    (await readdir(runDir)).sort(),
    [...strangers, `${living}.json`, `${other}.sock`, `${process.pid}.sock`, `${process.pid}.json`].sort(),
  );
  await gateway.close();
  assert.deepEqual((await readdir(runDir)).sort(), [...strangers, `${living}.json`, `${other}.sock`].sort());
});

/** A process id that is nobody's. */
async function endedProcess(): Promise<number> {
  const child = spawn('true');
  await once(child, 'exit');
  assert.ok(child.pid !== undefined);
  return child.pid;
}

test('a path that is too long for a socket is told with the mend, and nothing is made there', async (t) => {
  const dir = await tempRunDir(t);
  const runDir = join(dir, 'x'.repeat(110));
  const { gateway, warnings } = await startFleetGateway(t, { runDir, port: 0 });
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? '', /longer than the 10\d bytes a socket may have: set OPENAGENT_RUN_DIR/);
  assert.deepEqual([gateway.socket, gateway.url, gateway.isOpen()], [undefined, undefined, false]);
  assert.deepEqual(await readdir(dir), []);
});

test('a directory that others may write, or that is none, is not used, and why is told', async (t) => {
  const dir = await tempRunDir(t);
  const open = join(dir, 'open');
  await mkdir(open);
  await chmod(open, 0o777);
  const shared = await startFleetGateway(t, { runDir: open });
  assert.match(shared.warnings.join(), /other users may write into .*: chmod 700/);
  assert.deepEqual(await readdir(open), []);
  const file = join(dir, 'file');
  await writeFile(file, '');
  const none = await startFleetGateway(t, { runDir: file });
  assert.match(none.warnings.join(), /cannot be used .*OPENAGENT_RUN_DIR/);
  assert.equal(none.gateway.isOpen(), false);
});

test('a socket that somebody answers on is left alone, and the port serves without it', async (t) => {
  const runDir = await tempRunDir(t);
  const first = await startFleetGateway(t, { runDir });
  const second = await startFleetGateway(t, { runDir, port: 0 });
  assert.equal(second.gateway.socket, undefined);
  assert.match(second.warnings.join(), /has no socket/);
  assert.equal((await second.ask('/api/fleet', { tcp: true })).json.socket, null);
  assert.equal((await first.ask('/livez')).status, 200);
});

test('what belongs to a host of the same process id in another process table outlives this one', async (t) => {
  const runDir = await tempRunDir(t);
  const first = await startFleetGateway(t, { runDir, port: 0, isStarting: true });
  const before = await readdir(runDir);
  const announced = await readFile(join(runDir, `${process.pid}.json`), 'utf8');
  const second = await startFleetGateway(t, { runDir, port: 0, isStarting: true });
  assert.equal((await readdir(runDir)).length, before.length + 1);
  await second.gateway.close();
  assert.deepEqual(await readdir(runDir), before);
  assert.equal(await readFile(join(runDir, `${process.pid}.json`), 'utf8'), announced);
  assert.equal((await first.ask('/api/fleet', { tcp: true })).status, 200);
});

test('what a killed host left is removed also where its process id was given again', async (t) => {
  const runDir = await tempRunDir(t);
  const given = process.ppid;
  await leaveDeadSocket(join(runDir, `${given}.sock`));
  await writeFile(join(runDir, `${given}.json`), '');
  const { gateway } = await startFleetGateway(t, { runDir, isStarting: true });
  await gateway.close();
  assert.deepEqual(await readdir(runDir), []);
});

/** As a kill leaves it: the file is there, and nobody listens. */
async function leaveDeadSocket(path: string): Promise<void> {
  const listens = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', listens]), 'exit');
  assert.ok((await stat(path)).isSocket());
}

test('a run directory that is gone, or something else now, is no reason not to end', async (t) => {
  const dir = await tempRunDir(t);
  for (const [name, replace] of [
    ['gone', async () => {}],
    ['file', (path: string) => writeFile(path, '')],
  ] as const) {
    const runDir = join(dir, name);
    const { gateway } = await startFleetGateway(t, { runDir, isStarting: true });
    await rm(runDir, { recursive: true });
    await replace(runDir);
    gateway.note({ type: 'fleet.settled' });
    await gateway.close();
    gateway.closeNow();
  }
  assert.deepEqual(await readdir(dir), ['file']);
});

test('two hosts in one directory do not disturb each other', async (t) => {
  const runDir = await tempRunDir(t);
  const one = await startFleetGateway(t, { runDir });
  const two = await startFleetGateway(t, { runDir, pid: process.ppid });
  assert.deepEqual(
    [(await one.ask('/api/fleet')).json.pid, (await two.ask('/api/fleet')).json.pid],
    [process.pid, process.ppid],
  );
  await one.gateway.close();
  assert.equal((await two.ask('/livez')).status, 200);
});

test('a port that is taken is passed over, as those of agents are', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const { gateway, warnings, ask } = await startFleetGateway(t, { port: Math.min(port, 65_000) });
  const got = Number(new URL(gateway.url ?? '').port);
  assert.ok(port > 65_000 || (got > port && got < port + 100));
  assert.deepEqual(warnings, []);
  assert.equal((await ask('/livez', { tcp: true, headers: {} })).status, 200);
});
