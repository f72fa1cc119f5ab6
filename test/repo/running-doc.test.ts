/** Holds the unit and the recipe of docs/running.md against the program they start. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { FLEET_ROUTES } from '../../src/contract/fleet/routes.ts';
import { DEFAULT_SPEC } from '../../src/supervisor/child-spec.ts';
import { type CommandLine, parseCommandLine } from '../../src/supervisor/command-line/command-line.ts';
import { readSource } from '../fixtures/source-tree.ts';

const page = readSource('docs/running.md');
const PROGRAM = 'openagent-supervisor';

/** The bodies of the fenced blocks of a language, in their order. */
function blocks(language: string): readonly string[] {
  return [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === language)
    .map(([, , body = '']) => body);
}

/** What follows a key of a unit or an instruction of a recipe, the last one that is not empty. */
function settingOf(text: string, start: string): string {
  const values = text.split('\n').filter((line) => line.startsWith(start) && line !== start);
  return values.at(-1)?.slice(start.length).trim() ?? '';
}

const units = blocks('ini').filter((unit) => unit.includes('ExecStart='));
const recipe = blocks('dockerfile')[0] ?? '';
const runCommand = (blocks('').find((block) => block.includes('docker run')) ?? '').replaceAll('\\\n', ' ');
const entrypoint = JSON.parse(settingOf(recipe, 'ENTRYPOINT ')) as readonly string[];
const containerArgs = [
  ...entrypoint.slice(1),
  ...(runCommand.split('my-agents').at(-1) ?? '').trim().split(/\s+/),
];

/** Seconds from a SIGTERM until the last agent is gone that has nothing else configured, stuck ones too. */
const LONGEST_STOP_SECONDS = (DEFAULT_SPEC.drainMs + DEFAULT_SPEC.closeMs) / 1_000 + 8;

function run(args: readonly string[]): Extract<CommandLine, { kind: 'run' }> {
  const parsed = parseCommandLine(args, '0.0.0');
  assert.equal(
    parsed.kind,
    'run',
    `${args.join(' ')}: ${parsed.kind === 'print' ? parsed.stderr : parsed.kind}`,
  );
  return parsed as Extract<CommandLine, { kind: 'run' }>;
}

test('the units start the program with a command line that it understands', () => {
  assert.equal(units.length, 2);
  for (const unit of units) {
    const [env, program, ...args] = settingOf(unit, 'ExecStart=').split(' ');
    assert.deepEqual([env, program], ['/usr/bin/env', PROGRAM]);
    assert.ok(run(args).dirs.length > 0);
  }
});

test('the recipe and the command that runs it are a command line that the program understands', () => {
  assert.equal(entrypoint[0], PROGRAM);
  assert.ok(run(containerArgs).dirs.length > 0);
  assert.ok(
    run([...entrypoint.slice(1), ...(JSON.parse(settingOf(recipe, 'CMD ')) as string[])]).dirs.length > 0,
  );
});

test('the container is run by a user without rights, and a public bind is given a token', () => {
  assert.equal(settingOf(recipe, 'USER '), 'node');
  assert.equal(run(containerArgs).options.host, '0.0.0.0');
  assert.match(runCommand, / -e OPENAGENT_WS_TOKEN /);
});

test('unit and container wait for longer than a stop takes', () => {
  const unit = Number(settingOf(units[0] ?? '', 'TimeoutStopSec='));
  const container = Number(/--stop-timeout (\d+)/.exec(runCommand)?.[1]);
  assert.ok(unit > LONGEST_STOP_SECONDS, `TimeoutStopSec=${unit}`);
  assert.ok(container > LONGEST_STOP_SECONDS, `--stop-timeout ${container}`);
});

test('probes ask for routes without a token, on the port that is given to the fleet', () => {
  const open: readonly string[] = Object.values(FLEET_ROUTES)
    .filter(({ auth }) => auth === 'none')
    .map(({ path }) => path);
  const probes = [...page.matchAll(/http:\/\/127\.0\.0\.1:(\d+)(\/\w+)/g)];
  assert.equal(probes.length, 2);
  for (const [, port, path = ''] of probes) {
    assert.ok(open.includes(path), path);
    for (const args of [
      containerArgs,
      settingOf(units[1] ?? '', 'ExecStart=')
        .split(' ')
        .slice(2),
    ]) {
      assert.equal(run(args).options.fleetPort, Number(port));
    }
  }
});

test('the health check of the recipe says 0 for 200, and 1 for 503 and for nobody there', async (t) => {
  const check = recipe.split('\n').find((line) => line.startsWith('HEALTHCHECK ')) ?? '';
  const [program, ...args] = JSON.parse(check.slice(check.indexOf('CMD ') + 4)) as readonly string[];
  assert.equal(program, 'node');
  let status = 200;
  const server = createServer((_request, response) => response.writeHead(status).end());
  t.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const exitCode = () =>
    new Promise((resolve) => {
      const own = args.map((arg) => arg.replace(':9000/', `:${port}/`));
      execFile(process.execPath, own, (error) => resolve(error === null ? 0 : error.code));
    });
  assert.equal(await exitCode(), 0);
  status = 503;
  assert.equal(await exitCode(), 1);
  server.close();
  server.closeAllConnections();
  assert.equal(await exitCode(), 1);
});
