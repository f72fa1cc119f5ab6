/** `top` of a real fleet in a real terminal: what stands on it, what keys do, and that it is as before afterwards. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { openTerminal, type Terminal } from '../fixtures/terminal.ts';

const BIN = fileURLToPath(new URL('../../bin/openagent-supervisor.mjs', import.meta.url));

function openTop(t: TestContext, fleet: FleetProcess): Terminal {
  const terminal = openTerminal(t, {
    ...{ columns: 80, rows: 24, cwd: tmpdir() },
    env: { HOME: fleet.place, HISTFILE: '/dev/null', OPENAGENT_RUN_DIR: fleet.runDir, PS1: '$ ' },
  });
  terminal.type(
    `echo was before; stty -a | tail -n +2 | cksum; node ${BIN} top; echo "exit code=$?"; stty -a | tail -n +2 | cksum`,
  );
  return terminal;
}

/** What the shell shows once `top` has ended: the same as before it, and how it ended. */
async function givenBack(terminal: Terminal): Promise<string> {
  const [shown, , before, exitCode, after] = await terminal.shows(
    /(was before\n(\d+ \d+)\nexit code=(\d+)\n(\d+ \d+)\n)/,
  );
  assert.doesNotMatch(shown ?? '', /RESTARTS/);
  assert.equal(after, before, 'the modes of the terminal');
  return exitCode ?? '';
}

test('top shows the fleet, sorts, explains itself, restarts an agent and gives the terminal back', async (t) => {
  const fleet = await startFleet(t, { agents: 3 });
  const terminal = openTop(t, fleet);
  await terminal.shows(/^3 agents {2}3 running$/m);
  await terminal.shows(/^> a1 +running +[\d.-]+ +[\d.]+ MB +\S+ m?s +0 +0 +\d.*$/m);
  await terminal.shows(/^── a1 running ─+\nat +127\.0\.0\.1:\d+ +\w+ +thread +model echo$/m);
  terminal.press('i', 'i');
  await terminal.shows(/ID▼.*\n> a3 .*\n {2}a2 .*\n {2}a1 /);
  terminal.press('?');
  await terminal.shows(/^Keys +States[\s\S]*quarantined +given up on/m);
  terminal.press('Escape');
  await terminal.shows(/^> a3 /m);
  terminal.press('Down', 'r');
  await terminal.shows(/^> a2 +running +\S+ +[\d.]+ MB +\S+ m?s +0 +1 +\d.*$/m);
  terminal.resize(120, 30);
  await terminal.shows(/^ {2}ID▼.* PORT +PROBLEM$/m);
  terminal.press('q');
  assert.equal(await givenBack(terminal), '0');
});

test('top waits for a fleet that has died, and shows it when it is back', async (t) => {
  const fleet = await startFleet(t, { agents: 2 });
  const terminal = openTop(t, fleet);
  const [, pid] = await terminal.shows(/^openagent-supervisor .* pid (\d+) [\s\S]*^2 agents {2}2 running$/m);
  assert.equal(Number(pid), fleet.hostPid);
  await fleet.killGroup();
  await terminal.shows(/^no answer for \d+s, trying again: [\s\S]*^> a1 /m);
  terminal.press('r');
  await terminal.shows(/^no fleet answers: nobody to ask$/m);
  await fleet.start();
  await terminal.shows(
    new RegExp(`^openagent-supervisor .* pid ${fleet.hostPid} [\\s\\S]*^2 agents {2}2 running$`, 'm'),
  );
  terminal.pressCtrlC();
  assert.equal(await givenBack(terminal), '0');
});

test('where there is no terminal top names the command that needs none', () => {
  const env = { PATH: process.env.PATH, HOME: tmpdir() };
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, 'top'], { encoding: 'utf8', env });
  assert.deepEqual([status, stdout], [2, '']);
  assert.match(stderr, /top needs a terminal.*openagent-supervisor ps/);
});
