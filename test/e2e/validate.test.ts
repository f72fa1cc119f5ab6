/** `openagent-supervisor validate` on a real fleet, over both transports, with and without a token. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ROUTES } from '../../src/contract/routes.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';

const BIN = fileURLToPath(new URL('../../bin/openagent-supervisor.mjs', import.meta.url));
const TOKEN = 'correct-horse-battery-staple';
const YAML: Readonly<Record<string, string>> = {
  uws: 'model: { provider: echo }\nsupervisor: { transport: uws }\n',
  node: `model: { provider: echo }\nsupervisor: { transport: node }\nchannels: { websocket: { token: ${TOKEN} } }\n`,
};

interface Told {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function command(
  fleet: FleetProcess,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Told> {
  const child = spawn(process.execPath, [BIN, 'validate', ...args], {
    cwd: fleet.place,
    env: { PATH: process.env.PATH, HOME: fleet.place, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve) => child.once('close', (exitCode) => resolve({ exitCode, stdout, stderr })));
}

interface Check {
  readonly type: 'check';
  readonly area: string;
  readonly name: string;
  readonly verdict: string;
  readonly seen: string;
}

function checksOf({ stdout }: Told): readonly Check[] {
  const lines = stdout.trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Check).filter(({ type }) => type === 'check');
}

/** Skipped because a route is not there, although the table has one that begins like it. */
function wronglySkipped(checks: readonly Check[]): readonly string[] {
  const paths = Object.values(ROUTES).map(({ path }) => path as string);
  return checks.flatMap(({ verdict, seen }) => {
    const [, missing] = /^this gateway has no (\/\S+)/.exec(verdict === 'skip' ? seen : '') ?? [];
    return missing !== undefined && paths.includes(missing) ? [missing] : [];
  });
}

test('a real fleet is validated from outside', async (t) => {
  const fleet = await startFleet(t, { agents: ['uws', 'node'], yaml: (id) => YAML[id] ?? '' });
  await t.test('people get a table, and a wrong token or address is said plainly', () => tellsPeople(fleet));
  await t.test('both transports pass every check, restart and configuration included', () => passes(fleet));
  await fleet.stop();
});

async function passes(fleet: FleetProcess): Promise<void> {
  const tokenFile = join(fleet.place, 'token');
  await writeFile(tokenFile, `${TOKEN}\n`);
  await chmod(tokenFile, 0o600);
  const [uws, node] = await Promise.all([
    command(fleet, [fleet.agent('uws').url, '--all', '--json']),
    command(fleet, [fleet.agent('node').wsUrl, '--all', '--json', '--token-file', tokenFile]),
  ]);
  for (const told of [uws, node]) {
    const checks = checksOf(told);
    const failed = checks.filter(({ verdict }) => verdict === 'fail');
    assert.deepEqual(failed, [], told.stderr);
    assert.deepEqual([told.exitCode, told.stderr], [0, '']);
    assert.deepEqual(wronglySkipped(checks), []);
    const restart = checks.find(({ area }) => area === 'restart');
    assert.match(String(restart?.seen), /^closed with 1012, back after \d+ ms$/);
  }
  const guarded = checksOf(node).filter(({ seen }) => /asks for (a|no) token/.test(seen));
  assert.deepEqual(
    guarded.map(({ name }) => name),
    ['without a token auth is optional'],
  );
  assert.doesNotMatch(node.stdout, new RegExp(TOKEN), 'the token is not in the report');
}

async function tellsPeople(fleet: FleetProcess): Promise<void> {
  const { port, url } = fleet.agent('node');
  const [table, wrong, warned, nobody] = await Promise.all([
    command(fleet, [`127.0.0.1:${port}`, '--only', 'socket,frames'], { OPENAGENT_WS_TOKEN: TOKEN }),
    command(fleet, [url], { OPENAGENT_WS_TOKEN: 'wrong' }),
    command(fleet, [url, '--token', TOKEN, '--only', 'documents']),
    command(fleet, ['127.0.0.1:1']),
  ]);
  assert.deepEqual([table.exitCode, table.stderr], [0, '']);
  assert.match(table.stdout, /^http:\/\/127\.0\.0\.1:\d+: supervisor \S+, model echo, asks for a token\n/);
  assert.match(table.stdout, /^✓ pass {2}frames {5}ping is answered {2,}\{"type":"pong"/m);
  assert.match(table.stdout, /\n\d+ passed, 0 failed, \d+ skipped in \d+\.\d s\n$/);
  assert.ok(!table.stdout.includes('\u001b') && !table.stdout.includes('restart'));
  assert.equal(wrong.exitCode, 2);
  assert.match(wrong.stdout, /cannot be checked: the token is refused: 401 auth\.invalid/);
  assert.deepEqual(warned.exitCode, 0);
  assert.match(warned.stderr, /^warning: .*--token-file/);
  assert.deepEqual(nobody.exitCode, 2);
  assert.match(nobody.stdout, /cannot be checked: .*ECONNREFUSED/);
}
