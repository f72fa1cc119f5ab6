import assert from 'node:assert/strict';
import { chmod, cp, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { COMMAND_EXIT_CODES } from '../../src/commands/exit-codes.ts';
import { createProgram } from '../../src/supervisor/command-line/program.ts';
import { EXIT_CODES } from '../../src/supervisor/exit-codes.ts';
import { command, install, isAgent, isType, workplace } from '../fixtures/command.ts';

let installed: Awaited<ReturnType<typeof install>>;
before(async () => {
  installed = await install();
});
after(() => installed.remove());

test('--help teaches: examples, what a directory is, environment, signals and exit codes', async (t) => {
  const place = await workplace(t, installed.bin);
  const help = command(t, place, ['--help']);
  assert.equal(await help.exit, 0);
  const text = help.lines.join('\n');
  for (const part of [
    'agents/*',
    'openagent.yaml',
    'OPENAGENT_WS_TOKEN',
    'Ctrl-C',
    'init <dir...>',
    'curl',
  ]) {
    assert.ok(text.includes(part), part);
  }
  for (const { code, meaning } of Object.values(EXIT_CODES))
    assert.ok(text.includes(`  ${code}    ${meaning}`));
  assert.equal(help.stderr(), '');
});

test('docs/command-line.md has every option and every exit code, those of commands in docs of their own', async () => {
  const read = (name: string) => readFile(new URL(`../../docs/${name}.md`, import.meta.url), 'utf8');
  const docs = await read('command-line');
  const { commands, options } = createProgram('', () => {}, { commands: true });
  const flags = (list: readonly { readonly long?: string | undefined }[]) =>
    list.flatMap(({ long }) => (long === undefined || long === '--version' ? [] : [long]));
  assert.ok(flags(options).length >= 8);
  for (const flag of flags(options)) assert.ok(docs.includes(`\`${flag}`), flag);
  for (const command of commands) {
    const page = /^(doctor|backup|restore)$/.test(command.name())
      ? await read(command.name().replace('restore', 'backup'))
      : docs;
    assert.match(docs, new RegExp(`\`${command.name()}[ \`]`), command.name());
    for (const flag of flags(command.options))
      assert.match(page, new RegExp(`${flag}\\b`), `${command.name()} ${flag}`);
  }
  for (const { code, meaning } of [...Object.values(EXIT_CODES), ...Object.values(COMMAND_EXIT_CODES)]) {
    assert.ok(docs.includes(`| ${code} | ${meaning} |`), meaning);
  }
});

test('--version prints the version of the package and nothing else', async (t) => {
  const place = await workplace(t, installed.bin);
  const version = command(t, place, ['--version']);
  assert.equal(await version.exit, 0);
  assert.match(version.lines.join('\n'), /^\d+\.\d+\.\d+$/);
});

test('a program that has not been built says how to build it', async (t) => {
  const place = await workplace(t, installed.bin);
  const bin = join(place.cwd, 'bin/openagent-supervisor.mjs');
  await cp(installed.bin, bin, { recursive: true });
  const unbuilt = command(t, { ...place, bin }, ['hello']);
  assert.equal(await unbuilt.exit, 1);
  assert.match(unbuilt.stderr(), /host-boot\.cjs is missing; build it: npm run build/);
});

test('a wrong command line is refused with exit code 2, and nothing is made or started', async (t) => {
  const place = await workplace(t, installed.bin);
  const nothing = command(t, place, []);
  assert.equal(await nothing.exit, 2);
  assert.match(nothing.stderr(), /no agent directory given[\s\S]*openagent-supervisor agents\/\*/);
  const unreadable = command(t, place, ['--token-file', 'missing', 'a']);
  assert.equal(await unreadable.exit, 2);
  assert.match(unreadable.stderr(), /--token-file <file>.*cannot read missing \(ENOENT\)/);
  assert.deepEqual([...nothing.lines, ...unreadable.lines], []);
  assert.deepEqual(await readdir(place.cwd), []);
});

test('init makes a directory, for its owner only, and does nothing the second time', async (t) => {
  const place = await workplace(t, installed.bin);
  const first = command(t, place, ['init', 'agents/new']);
  assert.equal(await first.exit, 0);
  assert.match(first.lines.join('\n'), /created agents\/new\nstart it: openagent-supervisor agents\/new/);
  const dir = join(place.cwd, 'agents/new');
  assert.deepEqual((await readdir(dir)).sort(), ['logs', 'memories', 'openagent.yaml']);
  assert.equal((await stat(dir)).mode & 0o077, 0);
  const second = command(t, place, ['init', 'agents/new']);
  assert.equal(await second.exit, 0);
  assert.match(second.lines.join('\n'), /nothing to do/);
});

test('a directory that does not exist is made and started', async (t) => {
  const place = await workplace(t, installed.bin);
  const running = command(t, place, ['--json', 'fresh']);
  await running.event(isAgent('fresh', 'running'));
  assert.equal((await running.event(isType('created'))).dir, join(place.cwd, 'fresh'));
  running.launcher.kill('SIGTERM');
  assert.equal(await running.exit, 0);
});

test('what cannot run is refused by its full path while the others start; files are ignored', async (t) => {
  const place = await workplace(t, installed.bin);
  const hello = await place.agent('hello');
  await place.agent('other/hello');
  await place.agent('broken', 'model: [\n');
  await mkdir(join(place.cwd, 'photos'));
  await writeFile(join(place.cwd, 'photos/cat.jpg'), '');
  await writeFile(join(place.cwd, 'README.md'), '');
  await symlink(hello, join(place.cwd, 'link'));
  const args = ['--json', 'hello', 'hello', 'link', 'other/hello', 'broken', 'photos', 'README.md', 'none/*'];
  const running = command(t, place, args);
  const settled = await running.event(isType('settled'));
  const agents = settled.agents as readonly { dir: string; state: string; reason?: { code: string } }[];
  assert.deepEqual(
    agents.map(({ dir, state, reason }) => [dir.replace(`${place.cwd}/`, ''), state, reason?.code]).sort(),
    [
      ['broken', 'refused', 'config.invalid'],
      ['hello', 'refused', 'directory.duplicate'],
      ['hello', 'running', undefined],
      ['link', 'refused', 'directory.duplicate'],
      ['none/*', 'refused', 'directory.not_agent'],
      ['other/hello', 'refused', 'agent.id_duplicate'],
      ['photos', 'refused', 'directory.not_agent'],
    ],
  );
  running.launcher.kill('SIGTERM');
  assert.equal(await running.exit, 0);
});

test('exit code 3 after every reason when no agent can be started', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('broken', 'model: [\n');
  await place.agent('public', 'channels: { websocket: { host: 0.0.0.0 } }\n');
  await place.agent('torn', 'name: fails for good\n');
  const failing = command(t, place, ['broken', 'public', 'torn']);
  assert.equal(await failing.exit, 3);
  const text = failing.lines.join('\n');
  assert.match(text, /\/broken +refused +\S/);
  assert.match(text, /\/public +refused +.*token/);
  assert.match(text, /\ntorn +quarantined +the database is torn/);
  assert.match(text, /\nstopped \(exit code 3\)$/);
});

test('a second supervisor is refused the directory while the first one runs, and gets it afterwards', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('hello');
  const first = command(t, place, ['--json', 'hello']);
  await first.event(isAgent('hello', 'running'));
  const second = command(t, place, ['--json', 'hello']);
  const refused = await second.event(isAgent('hello', 'refused'));
  assert.equal((refused.reason as { code: string }).code, 'directory.locked');
  assert.equal(await second.exit, 3);
  first.launcher.kill('SIGTERM');
  assert.equal(await first.exit, 0);
  const third = command(t, place, ['--json', 'hello']);
  await third.event(isAgent('hello', 'running'));
  third.launcher.kill('SIGTERM');
  assert.equal(await third.exit, 0);
});

test('every line of --json is an object with a time and a type, in the documented order', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('hello', 'name: talks\n');
  const running = command(t, place, ['--json', 'hello']);
  await running.event(isType('settled'));
  running.launcher.kill('SIGTERM');
  assert.equal(await running.exit, 0);
  assert.equal(running.events.length, running.lines.length);
  assert.deepEqual(
    running.events.map(({ type, state }) => [type, state].filter(Boolean).join(' ')),
    [
      'started',
      'agent waiting',
      'agent starting',
      'agent running',
      'settled',
      'stopping',
      'agent stopping',
      'agent stopped',
      'stopped',
    ],
  );
  assert.ok(running.events.every(({ ts }) => Number.isFinite(ts)));
  assert.equal(running.stderr(), '[hello] hello from the agent\n');
});

test('the report for people has a line per change, then the table and what to do next', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('hello', 'name: Hello there\n');
  const readable = command(t, place, ['hello']);
  const text = await readable.text(/Ctrl-C/);
  assert.match(
    text,
    /^hello +starting\nhello +running +http:\/\/127\.0\.0\.1:\d+ {2}echo \(no real model\) {2}node\n/,
  );
  assert.match(text, /\nid +name +state +url +model/);
  assert.match(text, /\nhello +Hello there +running +http/);
  assert.match(text, /curl http:\/\/127\.0\.0\.1:\d+\/api\/health/);
  readable.launcher.kill('SIGTERM');
  assert.equal(await readable.exit, 0);
});

test('the built program runs a real agent, which answers where the report says', async (t) => {
  const place = await workplace(
    t,
    fileURLToPath(new URL('../../bin/openagent-supervisor.mjs', import.meta.url)),
  );
  const running = command(t, place, ['--json', '--port', '0', 'hello']);
  const { url, port, transport } = await running.event(isAgent('hello', 'running'));
  assert.equal((await fetch(`${url}/api/health`)).status, 200);
  const info = (await (await fetch(`${url}/api/agent-info`)).json()) as Record<string, unknown>;
  assert.deepEqual([info.id, info.transport], ['hello', transport]);
  assert.equal((await readFile(join(place.cwd, 'hello/.port'), 'utf8')).trim(), String(port));
  const { mode } = await stat(join(place.cwd, 'hello/openagent.db'));
  assert.equal(mode & 0o077, 0);
  running.launcher.kill('SIGTERM');
  assert.equal(await running.exit, 0);
});

test('options reach the agents: host, transport, isolation, log level and the token of a file', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('hello');
  const tokenFile = join(place.cwd, 'token');
  await writeFile(tokenFile, 'sesame\n', { mode: 0o600 });
  const options = ['--host', '::1', '--transport', 'node', '--log-level', 'debug', '--isolation', 'process'];
  const running = command(t, place, ['--json', ...options, '--token-file', basename(tokenFile), 'hello']);
  const { isolation, port } = await running.event(isAgent('hello', 'running'));
  assert.equal(isolation, 'process');
  const response = await fetch(`http://127.0.0.1:${port}`);
  const { init } = (await response.json()) as {
    init: { transport: string; settings: { gateway: object; logging: object } };
  };
  assert.equal(init.transport, 'node');
  assert.match(JSON.stringify(init.settings.gateway), /"host":"::1","token":"sesame"/);
  assert.match(JSON.stringify(init.settings.logging), /"level":"debug"/);
  running.launcher.kill('SIGTERM');
  assert.equal(await running.exit, 0);
  assert.equal(running.stderr(), '');
});

test('a token others can read is warned of and never printed', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('hello');
  const typed = command(t, place, ['--token', 'sesame', 'hello']);
  await typed.text(/Ctrl-C/);
  typed.launcher.kill('SIGTERM');
  assert.equal(await typed.exit, 0);
  assert.match(typed.stderr(), /warning: Every user of this machine can read --token.*--token-file/);
  const tokenFile = join(place.cwd, 'token');
  await writeFile(tokenFile, 'sesame');
  await chmod(tokenFile, 0o644);
  const fromFile = command(t, place, ['--json', '--token-file', tokenFile, 'hello']);
  const warning = await fromFile.event(isType('warning'));
  assert.match(warning.message as string, /chmod 600/);
  fromFile.launcher.kill('SIGTERM');
  assert.equal(await fromFile.exit, 0);
  for (const said of [typed, fromFile]) assert.doesNotMatch(said.lines.join('\n') + said.stderr(), /sesame/);
});

test('a reader of the report that goes away does not stop the agents', async (t) => {
  const place = await workplace(t, installed.bin);
  await place.agent('hello');
  const running = command(t, place, ['--json', 'hello']);
  const { url } = await running.event(isAgent('hello', 'running'));
  await running.event(isType('settled'));
  running.launcher.stdout?.destroy();
  running.launcher.kill('SIGTERM');
  assert.equal(typeof url, 'string');
  assert.equal(await running.exit, 0);
});
