import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, command, install, isAgent, isType, workplace } from '../fixtures/command.ts';

let installed: Awaited<ReturnType<typeof install>>;
before(async () => {
  installed = await install();
});
after(() => installed.remove());

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  test(`${signal} to the launcher alone drains and exits 0`, async (t) => {
    const place = await workplace(t, installed.bin);
    await place.agent('hello');
    const running = command(t, place, ['--json', 'hello']);
    await running.event(isAgent('hello', 'running'));
    running.launcher.kill(signal);
    assert.equal(await running.exit, 0);
    assert.ok(running.events.some(isAgent('hello', 'stopped')));
    assert.equal(running.events.at(-1)?.type, 'stopped');
    assert.deepEqual(hows(running), ['drain']);
  });
}

test('SIGTERM to the host alone drains, and the launcher exits 0', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('hello');
  const running = command(t, place, ['--json', 'hello']);
  await running.event(isAgent('hello', 'running'));
  process.kill(await running.hostPid(), 'SIGTERM');
  assert.equal(await running.exit, 0);
  assert.ok(running.events.some(isAgent('hello', 'stopped')));
});

test('Ctrl-C, which reaches launcher and host, and is passed on besides, counts once', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('hello', 'name: drains long\nsupervisor: { drain_ms: 1500 }\n');
  const running = command(t, place, ['--json', 'hello']);
  await running.event(isAgent('hello', 'running'));
  pressCtrlC(running);
  running.launcher.kill('SIGINT'); // what npm does
  assert.equal(await running.exit, 0);
  assert.deepEqual(hows(running), ['drain']);
});

test('a second Ctrl-C, a second or more after the first, forces: exit code 4', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('hello', 'name: drains long\nsupervisor: { drain_ms: 600000 }\n');
  const running = command(t, place, ['--json', 'hello']);
  await running.event(isAgent('hello', 'running'));
  await pressUntilForced(running);
  assert.equal(await running.exit, 4);
  assert.deepEqual(hows(running), ['drain', 'force']);
  const [drain, force] = running.events.filter(isType('stopping'));
  assert.ok((force?.ts ?? 0) - (drain?.ts ?? 0) > 0.9, 'signals within a second of the first are the first');
});

test('an agent that does not end at all is left behind by force, and the exit code says so', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('stuck', 'name: never ends\nsupervisor: { drain_ms: 600000 }\n');
  const running = command(t, place, ['--json', 'stuck']);
  const hostPid = await running.hostPid();
  await running.event(isAgent('stuck', 'running'));
  await pressUntilForced(running);
  assert.equal(await running.exit, 4);
  assert.equal(running.events.at(-1)?.exit_code, 4);
  assert.equal(isAlive(hostPid), false);
});

test('a hung agent in a process of its own does not outlive a forced end', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('stuck', 'name: never ends\nsupervisor: { drain_ms: 600000 }\n');
  const running = command(t, place, ['--json', '--isolation', 'process', 'stuck']);
  const { url } = await running.event(isAgent('stuck', 'running'));
  const { pid } = (await (await fetch(url as string)).json()) as { pid: number };
  assert.notEqual(pid, await running.hostPid());
  await pressUntilForced(running);
  assert.equal(await running.exit, 4);
  assert.equal(isAlive(pid), false);
});

test('the host and its agents live on when the launcher is killed, and still drain', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('hello');
  const running = command(t, place, ['--json', 'hello']);
  const { url } = await running.event(isAgent('hello', 'running'));
  const hostPid = await running.hostPid();
  const exited = once(running.launcher, 'exit');
  running.launcher.kill('SIGKILL');
  await exited;
  const response = await fetch(url as string);
  assert.equal(response.status, 200);
  process.kill(hostPid, 'SIGTERM');
  await running.exit; // the pipes close with the host
  assert.deepEqual(
    running.events.slice(-2).map(({ type, state, exit_code }) => [type, state ?? exit_code]),
    [
      ['agent', 'stopped'],
      ['stopped', 0],
    ],
  );
});

test('a host killed while it stops stays dead: 128 and the number of the signal', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('hello', 'name: drains long\nsupervisor: { drain_ms: 600000 }\n');
  const running = command(t, place, ['--json', 'hello']);
  await running.event(isAgent('hello', 'running'));
  running.launcher.kill('SIGTERM');
  await running.event(isType('stopping'));
  process.kill(await running.hostPid(), 'SIGKILL');
  assert.equal(await running.exit, 137);
});

function hows(running: Command): readonly unknown[] {
  return running.events.filter(isType('stopping')).map(({ how }) => how);
}

/** A terminal signals the whole foreground process group. */
function pressCtrlC(running: Command): void {
  process.kill(-(running.launcher.pid ?? 0), 'SIGINT');
}

async function pressUntilForced(running: Command): Promise<void> {
  const forced = running
    .event((event) => event.type === 'stopping' && event.how === 'force')
    .then(() => true);
  do pressCtrlC(running);
  while (!(await Promise.race([forced, delay(150, false)])));
}

/** A process that has ended and waits to be reaped, which its new parent may never do, is not alive. */
function isAlive(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.trim() !== '' && !stdout.trim().startsWith('Z');
}
