import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { chmod, mkdir, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import Database from 'better-sqlite3';
import { childTokenPrefix, readMachineBoot, readStartTime } from '../../src/storage/child-record.ts';
import { MIGRATIONS } from '../../src/storage/migrations.ts';
import { runDoctor } from '../../src/supervisor/doctor/run-doctor.ts';
import { commandRun } from '../fixtures/command-context.ts';
import { mountTmpfs, remountReadOnly, whyNoMount } from '../fixtures/mounts.ts';
import { snapshotTree } from '../fixtures/tree-snapshot.ts';
import { makeTempDir } from './agent-directory.ts';

const GONE_PID = 4_194_305;

interface Told {
  readonly code: string;
  readonly severity: string;
  readonly agent: string | null;
  readonly text: string;
  readonly line: number | null;
  readonly mend: string | null;
}

async function examine(place: string, dirs: readonly string[], env: Record<string, string> = {}) {
  const run = commandRun(place, {
    env: { PATH: process.env.PATH, OPENAGENT_RUN_DIR: join(place, 'run'), ...env },
  });
  const exitCode = await runDoctor({ dirs, json: true }, run.context);
  const lines = run.lines();
  const findings = lines.filter(({ type }) => type === 'finding') as unknown as readonly Told[];
  return { exitCode, findings, summary: lines.at(-1) };
}

async function makePlace(t: TestContext): Promise<string> {
  const place = await makeTempDir(t);
  await mkdir(join(place, 'run'), { mode: 0o700 });
  return place;
}

async function makeAgent(
  place: string,
  id: string,
  yaml = 'channels: { websocket: { port: 0 } }\n',
): Promise<string> {
  const dir = join(place, id);
  await mkdir(join(dir, 'logs'), { recursive: true, mode: 0o700 });
  await chmod(dir, 0o700);
  await writeFile(join(dir, 'openagent.yaml'), yaml, { mode: 0o600 });
  return dir;
}

/** Each plants one fault in an agent of its own, and says what is to be found. */
interface Planted {
  readonly code: string;
  readonly yaml?: string;
  readonly plant?: (dir: string, t: TestContext) => Promise<unknown>;
  readonly text: RegExp;
  readonly mend: RegExp | null;
  readonly line?: number;
}

const FAULTS: Readonly<Record<string, Planted>> = {
  'a wrong value': {
    ...{ code: 'config.invalid', yaml: 'name: x\nlogging:\n  level: loud\n', line: 3 },
    ...{ text: /logging\.level: expected one of debug/, mend: /^edit .*openagent\.yaml:3$/ },
  },
  'an unset variable': {
    ...{ code: 'config.variable_missing', yaml: `name: "\${NOBODY_SETS_THIS}"\n`, line: 1 },
    ...{ text: /NOBODY_SETS_THIS is not set/, mend: /^export NOBODY_SETS_THIS=…$/ },
  },
  'a public bind without a token': {
    ...{ code: 'bind.public_without_token', yaml: 'channels:\n  websocket:\n    host: 0.0.0.0\n', line: 3 },
    ...{ text: /other machines/, mend: /:3$/ },
  },
  'a host of another machine': {
    ...{
      code: 'bind.host_unknown',
      yaml: 'channels:\n  websocket: { host: 203.0.113.7, token: t0ken }\n',
      line: 2,
    },
    ...{ text: /203\.0\.113\.7 is no address/, mend: /:2$/ },
  },
  'an MCP program that is not there': {
    ...{ code: 'program.missing', yaml: 'mcp:\n  - name: a\n    command: [no-such-program-here]\n', line: 3 },
    ...{ text: /no-such-program-here/, mend: /install no-such-program-here$/ },
  },
  'a bridge without its module': {
    ...{ code: 'bridge.missing', yaml: 'channels:\n  weather: {}\n', line: 2 },
    ...{ text: /channels\.weather/, mend: /^write .*bridges\/weather\.ts, or remove/ },
  },
  'an unknown key': {
    ...{ code: 'config.doubtful', yaml: 'nmae: x\n', line: 1 },
    ...{ text: /did you mean "name"/, mend: /:1$/ },
  },
  'a stale port': {
    ...{ code: 'port.stale', plant: (dir) => writeFile(join(dir, '.port'), '8765') },
    ...{ text: /names port 8765/, mend: /^rm -f .*\.port$/ },
  },
  'the lock of a supervisor that was killed': {
    code: 'lock.stale',
    plant: (dir) => plantHolder(dir, { pid: GONE_PID }),
    ...{ text: /is gone$/, mend: null },
  },
  'the lock of another machine': {
    code: 'lock.elsewhere',
    plant: (dir) => plantHolder(dir, { pid: GONE_PID, host: 'elsewhere.invalid' }),
    ...{ text: /on elsewhere\.invalid/, mend: /stop the agent there/ },
  },
  'an open directory': {
    ...{ code: 'permissions.directory', plant: (dir) => chmod(dir, 0o755) },
    ...{ text: /has mode 0755/, mend: /^chmod 700 / },
  },
  'secrets that others may read': {
    ...{ code: 'permissions.secrets', yaml: 'providers: { openai: { api_key: sk-1234567890 } }\n' },
    plant: async (dir) => {
      await chmod(dir, 0o755);
      await chmod(join(dir, 'openagent.yaml'), 0o644);
    },
    ...{ text: /providers\.openai\.api_key stands in it/, mend: /^chmod 600 .*openagent\.yaml$/ },
  },
  'a database that others may read': {
    code: 'permissions.file',
    plant: async (dir) => {
      plantDatabase(dir, MIGRATIONS.length);
      await chmod(dir, 0o711);
      await chmod(join(dir, 'openagent.db'), 0o644);
    },
    ...{ text: /openagent\.db \(0644\)/, mend: /^chmod go= .*openagent\.db$/ },
  },
  'a database of a newer version': {
    ...{ code: 'database.newer', plant: async (dir) => plantDatabase(dir, MIGRATIONS.length + 3) },
    ...{ text: /has schema \d+, and this version knows/, mend: /npm install/ },
  },
  'a database that was cut off': {
    code: 'database.damaged',
    plant: async (dir) => {
      plantDatabase(dir, MIGRATIONS.length);
      await truncate(join(dir, 'openagent.db'), 5_000);
    },
    ...{ text: /5000 are there/, mend: /restore/ },
  },
  'a file of the future': {
    code: 'machine.clock',
    plant: async (dir) => utimes(join(dir, 'openagent.yaml'), 4_000_000_000, 4_000_000_000),
    ...{ text: /openagent\.yaml \(2096-/, mend: /^date/ },
  },
  'half a file': {
    code: 'leftover.temporary',
    plant: async (dir) => {
      await writeFile(join(dir, '.openagent.yaml.0123456789ab.tmp'), 'half');
      await utimes(join(dir, '.openagent.yaml.0123456789ab.tmp'), 1_700_000_000, 1_700_000_000);
    },
    ...{ text: /was never finished/, mend: /^rm -rf .*\.tmp$/ },
  },
  'a crumb of a run that was killed': {
    code: 'leftover.crumb',
    plant: (dir) =>
      writeFile(join(dir, '.crumb'), JSON.stringify({ pid: 7, boot: 'b', incarnation: 1, activities: [] })),
    ...{ text: /process 7 was killed/, mend: null },
  },
  'a program that outlived its agent': {
    ...{ code: 'leftover.children', plant: plantChild },
    ...{ text: /are still there: \d+/, mend: /^kill -9 \d+$/ },
  },
  'a huge log': {
    ...{ code: 'log.large', yaml: 'logging: { rotate_bytes: 1000, keep_files: 1 }\n' },
    plant: (dir) => writeFile(join(dir, 'logs/events.jsonl'), 'x'.repeat(10_000), { mode: 0o600 }),
    ...{ text: /holds 10 kB/, mend: /^du -sh / },
  },
  'notes behind a link': {
    code: 'vault.link',
    plant: async (dir) => {
      for (const name of ['elsewhere', 'memories/deep', 'memories/.obsidian'])
        await mkdir(join(dir, name), { recursive: true, mode: 0o700 });
      await symlink('../../elsewhere', join(dir, 'memories/deep/linked'));
      // Hidden, no note, and leading nowhere: nothing is missed.
      await symlink('../../elsewhere', join(dir, 'memories/.obsidian/linked'));
      await symlink('../openagent.yaml', join(dir, 'memories/configuration'));
      await symlink('nowhere', join(dir, 'memories/nowhere.md'));
    },
    ...{
      text: /deep\/linked leads to .*elsewhere: nothing behind it/,
      mend: /^move \S+elsewhere to where the link is/,
    },
  },
  'a port that somebody has': {
    ...{ code: 'port.taken', plant: plantListener },
    ...{ text: /is taken by process \d+ \(\S+\); the first free one is/, mend: null },
  },
};

function plantHolder(dir: string, holder: { pid: number; host?: string }): Promise<void> {
  const whole = { version: '0.1.0', host: hostname(), startedAt: new Date(0).toISOString(), ...holder };
  return writeFile(join(dir, '.lock.json'), JSON.stringify(whole));
}

function plantDatabase(dir: string, version: number): void {
  const db = new Database(join(dir, 'openagent.db'));
  db.exec('CREATE TABLE some (a); CREATE TABLE more (b)');
  db.pragma(`user_version = ${version}`);
  db.close();
}

async function plantChild(dir: string, t: TestContext): Promise<void> {
  const child = spawn('sleep', ['60'], { env: { OPENAGENT_CHILD: `${childTokenPrefix(dir)}x` } });
  t.after(() => child.kill('SIGKILL'));
  const pid = child.pid as number;
  const record = { machineBoot: readMachineBoot(), children: [{ pid, startTime: readStartTime(pid) }] };
  await writeFile(join(dir, '.children.json'), JSON.stringify(record));
}

async function plantListener(dir: string, t: TestContext): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const { port } = server.address() as { port: number };
  await writeFile(join(dir, 'openagent.yaml'), `channels: { websocket: { port: ${port} } }\n`);
}

test('every planted fault is found with its place and its mend, and nothing is changed', async (t) => {
  const place = await makePlace(t);
  const names = Object.keys(FAULTS);
  const dirs = new Map<string, string>();
  for (const [index, name] of names.entries()) {
    const { yaml, plant } = FAULTS[name] as Planted;
    const dir = await makeAgent(place, `agent-${index}`, yaml);
    await plant?.(dir, t);
    dirs.set(name, dir);
  }
  await writeFile(join(place, 'run', `${GONE_PID}.sock`), '');
  await symlink('nowhere', join(place, 'agent-0', 'a-link'));
  const before = await snapshotTree(place);
  const { exitCode, findings, summary } = await examine(place, [...dirs.values(), join(place, 'nobody')]);
  assert.deepEqual(await snapshotTree(place), before);
  for (const [index, name] of names.entries()) {
    const { code, text, mend, line } = FAULTS[name] as Planted;
    const own = findings.filter((each) => each.agent === `agent-${index}`);
    const found = own.find((each) => each.code === code && text.test(each.text));
    assert.ok(found, `${name}: ${JSON.stringify(own)}`);
    if (mend === null) assert.equal(found.mend, null, name);
    else assert.match(found.mend ?? '', mend, name);
    if (line !== undefined) assert.equal(found.line, line, name);
  }
  const codes = findings.map(({ code }) => code);
  assert.ok(codes.includes('leftover.socket'));
  assert.ok(codes.includes('directory.missing'));
  assert.equal(exitCode, 1);
  assert.equal(summary?.exit_code, 1);
  assert.ok(!JSON.stringify(findings).includes('sk-1234567890'), 'no secret is shown');
});

test('everything that is wrong with a file is told at once', async (t) => {
  const place = await makePlace(t);
  const dir = await makeAgent(
    place,
    'bad',
    [
      `model: { provider: ech0, retries: 99, api_key: "\${NOPE}" }`,
      'channels:',
      '  websocket:',
      '    host: 0.0.0.0',
      '    port: 99999',
      'supervisor: { backoff_ms_min: 50, backoff_ms_max: 10 }',
      'scheduler:',
      '  tasks:',
      '    - cron: "* * * *"',
      '      prompt: hi',
      '    - { name: b, prompt: hi, cron: "99 * * * *" }',
      '',
    ].join('\n'),
  );
  const { findings } = await examine(place, [dir]);
  const told = findings
    .filter(({ severity }) => severity === 'error')
    .map(({ line, text }) => `${line} ${text}`);
  const wanted = [
    /^1 model\.provider: .*did you mean "echo"/,
    /^1 model\.retries/,
    /^1 model\.api_key: .*NOPE/,
    /^4 channels\.websocket\.host: .*no token/,
    /^5 channels\.websocket\.port/,
    /^6 supervisor\.backoff_ms_max/,
    /^9 scheduler\.tasks\.0\.name/,
    /^11 scheduler\.tasks\.\d\.cron/,
  ];
  assert.equal(told.length, wanted.length, told.join('\n'));
  for (const [index, pattern] of wanted.entries()) assert.match(told[index] ?? '', pattern);
});

test('an agent with nothing wrong is fine; people are told by agent, and how to mend it', async (t) => {
  const place = await makePlace(t);
  const fine = await makeAgent(place, 'fine');
  const { exitCode, findings } = await examine(place, [fine]);
  assert.equal(exitCode, 0);
  assert.deepEqual(
    findings.filter(({ agent }) => agent === 'fine').map(({ code }) => code),
    ['agent.ok'],
  );
  const open = await makeAgent(place, 'open');
  await chmod(open, 0o755);
  const run = commandRun(place);
  assert.equal(await runDoctor({ dirs: [fine, open], json: false }, run.context), 0);
  assert.match(run.out(), /\nfine\n {2}✓ {3}nothing is wrong\n/);
  assert.match(
    run.out(),
    /\nopen\n {2}! {3}.* has mode 0755\n {6}\[permissions\.directory\]\n {6}mend: chmod 700 /,
  );
  assert.match(run.out(), /\n2 agents: 0 errors, 1 warnings, /);
});

test('without directories it looks at the one it is in, and says so where that is none', async (t) => {
  const place = await makePlace(t);
  const dir = await makeAgent(place, 'here');
  const run = commandRun(place, { cwd: dir });
  assert.equal(await runDoctor({ dirs: [], json: false }, run.context), 0);
  assert.match(run.out(), /\nhere\n/);
  const nowhere = commandRun(place);
  assert.equal(await runDoctor({ dirs: [], json: false }, nowhere.context), 2);
  assert.match(nowhere.err(), /name one/);
});

const mounts = whyNoMount();

test('a full and a read-only disk are told', { skip: mounts }, async (t) => {
  const place = await makePlace(t);
  const small = mountTmpfs(t, '4m');
  const fixed = mountTmpfs(t, '4m');
  const [full, readOnly] = [await makeAgent(small, 'full'), await makeAgent(fixed, 'fixed')];
  remountReadOnly(fixed);
  const { findings } = await examine(place, [full, readOnly]);
  const of = (id: string) => findings.filter(({ agent }) => agent === id).map(({ code }) => code);
  assert.ok(of('full').includes('disk.full'), of('full').join());
  assert.ok(of('fixed').includes('disk.read_only'), of('fixed').join());
});
