/** The commands on a fleet of twenty, of which one hangs, one is quarantined and one cannot start yet. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { parseCommandLine } from '../../src/supervisor/command-line/command-line.ts';
import { runCommand } from '../../src/supervisor/run-command-line.ts';
import { eventually } from '../fixtures/chat.ts';
import { type DatabaseHolder, holdDatabase } from '../fixtures/database-holder.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';

const BIN = fileURLToPath(new URL('../../bin/openagent-supervisor.mjs', import.meta.url));
const BRIDGE = fileURLToPath(new URL('../fixtures/bridges/hanging.mjs', import.meta.url));

const CALM = Array.from({ length: 17 }, (_, at) => `calm-${String(at + 1).padStart(2, '0')}`);
const IDS = [...CALM, 'hanging', 'corrupt', 'slow'];

test('the commands answer right while one agent hangs, one is quarantined and one cannot start', async (t) => {
  const { fleet, free } = await startTroubled(t);
  const { run, follow } = commandsOf(fleet);
  order(fleet, 'loop');

  await t.test('ps: a line for each agent, with its state and the reason', async () => {
    const { code, lines, err } = await run('ps');
    assert.deepEqual([code, err, lines.length], [0, '', IDS.length + 1]);
    const stateOf = (id: string) => lines.find((line) => line.startsWith(`${id} `))?.split(/ +/)[1];
    for (const id of CALM) assert.equal(stateOf(id), 'running');
    assert.equal(stateOf('corrupt'), 'quarantined');
    assert.match(String(stateOf('slow')), /^(waiting|starting|backoff)$/);
    assert.match(lines.join('\n'), /\ncorrupt .*openagent\.db is not an SQLite database/);
  });

  await t.test('ps --json: an object a line; ps <agent>: everything about it', async () => {
    const { code, records } = await run('ps --json');
    assert.deepEqual([code, records.map(({ id }) => id)], [0, IDS]);
    const details = await run('ps corrupt calm-01');
    assert.equal(details.code, 0);
    assert.match(details.out, /^corrupt {2}quarantined\n {2}directory +\/.*\/corrupt\n/);
    assert.match(details.out, /next +find the cause .* release corrupt\n/);
    assert.match(details.out, /\ncalm-01 {2}running\n[\s\S]* url +http:\/\/127\.0\.0\.1:\d+/);
  });

  await t.test('an agent that is not there is told with what was probably meant', async () => {
    const { code, out, err } = await run('restart calm-1');
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, /there is no agent calm-1; did you mean calm-01\?/);
    assert.match((await run('logs --agent nobody')).err, /no agent nobody/i);
    assert.equal(JSON.parse((await run('ps nobody --json')).err).code, 'agent.not_found');
  });

  await t.test(
    'restart, stop and start wait until it is so, several side by side, and are idempotent',
    async () => {
      const before = (await run('ps calm-01 calm-02 --json')).records;
      const restarted = await run('restart calm-01 calm-02');
      assert.equal(restarted.code, 0, restarted.out);
      assert.match(restarted.out, /✓ calm-01 {2}running on port \d+ \(/);
      const after = (await run('ps calm-01 calm-02 --json')).records;
      assert.deepEqual(
        after.map(({ incarnation, state }) => [incarnation, state]),
        before.map(({ incarnation }) => [Number(incarnation) + 1, 'running']),
      );
      for (const said of ['stopped', 'is stopped already']) {
        const [result] = (await run('stop calm-03 --json')).records;
        assert.deepEqual([result?.ok, result?.state, result?.text], [true, 'stopped', said]);
      }
      assert.equal((await run('start calm-03 calm-04')).code, 0);
      assert.match((await run('start calm-03')).out, /✓ calm-03 {2}runs already on port \d+\n/);
      assert.match((await run('release calm-03')).out, /is not quarantined \(running\)/);
    },
  );

  await t.test('an agent that does not come up is told with its reason and what to do', async () => {
    const { code, out } = await run('release corrupt calm-05');
    assert.equal(code, 1);
    assert.match(out, /✗ corrupt +quarantined: .*is not an SQLite database/);
    assert.match(out, /\n {4}next: find the cause \(openagent-supervisor logs --agent corrupt/);
    const late = await run('restart slow --timeout 0.2 --json');
    assert.equal(late.code, 1);
    assert.match(String(late.records[0]?.error), /^still \w+ after 0\.2 s/);
    await free.release();
    assert.equal((await run('start slow')).code, 0);
  });

  await t.test('a hang is an incident: listed, and shown with the stack', async () => {
    const found = await eventually(async () => (await run('incidents --json')).records[0], 'an incident');
    assert.deepEqual([found.agent, found.event], ['hanging', 'agent.hung']);
    assert.match(
      (await run('incidents')).out,
      /^agent +name +when +event +what\nhanging +\S+ .*agent\.hung +hung for/,
    );
    const shown = await run(`incidents show hanging ${found.name}`);
    assert.match(shown.out, /stack, innermost first\n {2}endlessLoop \(bridges\/hanging\.mjs:\d+:\d+\)/);
    assert.equal((await run('incidents show hanging none')).code, 1);
  });

  await t.test('logs and events follow from where the tail ended: no gap, nothing twice', async (t) => {
    const logs = follow(t, 'logs -f -n 2 --json --agent calm-06');
    const events = follow(t, 'events -f -n 1 --json --agent calm-06 --event agent.changed');
    const isThere = () => logs.records().length >= 2 && events.records().length >= 1;
    await eventually(isThere, 'what was there already');
    for (let n = 0; n < 3; n += 1) assert.equal((await run('restart calm-06')).code, 0);
    const starts = () => logs.records().filter(({ event }) => event === 'gateway.start');
    await eventually(() => starts().length >= 4, 'three more starts');
    assert.equal(await logs.end(), 0);
    const written = (await run('logs --json --agent calm-06 -n 1000')).out;
    assert.ok(written.endsWith(logs.out()), `${logs.out()}\nis no end of\n${written}`);
    const running = () =>
      events
        .records()
        .slice(1)
        .filter(({ text }) => /^running/.test(String(text)));
    await eventually(() => running().length >= 3, 'events');
    await events.end();
    const seqs = events.records().map(({ seq }) => Number(seq));
    assert.deepEqual(
      seqs,
      [...new Set(seqs)].sort((a, b) => a - b),
    );
    const text = await run('logs --agent calm-06 -n 1');
    assert.match(text.out, /^\d\d:\d\d:\d\d\.\d{3} {2}calm-06 {2}gateway\.start +host=127\.0\.0\.1 port=\d+/);
  });

  await t.test('add and remove change what is supervised, and nothing on the disk', async () => {
    mkdirSync(join(fleet.place, 'late'));
    writeFileSync(join(fleet.place, 'late', 'openagent.yaml'), 'model: { provider: echo }\n');
    const added = await run('add late none');
    assert.equal(added.code, 1);
    assert.match(added.out, /✓ late {2}running on port/);
    assert.match(added.out, /✗ none {2}.*none/);
    assert.equal((await run('remove late')).code, 0);
    assert.equal((await run('ps late')).code, 1);
    assert.equal((await run('add late --json')).records[0]?.state, 'running');
  });

  await t.test('completion knows commands, options and the agents of the running fleet', async () => {
    const complete = async (...words: readonly string[]) =>
      (await run(['complete', '--', ...words])).lines.map((line) => line.split('\t')[0]);
    assert.deepEqual(await complete('relea'), ['release', ':directories']);
    assert.deepEqual(await complete('restart', 'h'), ['hanging', ':nothing']);
    assert.deepEqual(await complete('restart', 'hanging', 'h'), [':nothing']);
    assert.deepEqual(await complete('logs', '--agent', 'slow,h'), ['slow,hanging', ':nothing']);
    assert.deepEqual(await complete('logs', '--agent=h'), ['--agent=hanging', ':nothing']);
    assert.deepEqual(await complete('ps', '--w'), ['--wide', ':nothing']);
    assert.deepEqual(await complete('completion', ''), ['bash', 'zsh', 'fish', ':nothing']);
    assert.deepEqual(await complete('add', ''), [':directories']);
    assert.deepEqual(await complete('run', 'relea'), [':directories']);
  });

  await t.test(
    'as a program: it needs no launcher, a reader may leave, and no fleet is exit code 2',
    async () => {
      const [whole, cut, none] = await Promise.all([
        spawned(fleet, `node "${BIN}" ps --json`),
        spawned(fleet, `node "${BIN}" ps --json | head -1; echo "\${PIPESTATUS[0]}"`),
        spawned(fleet, `OPENAGENT_RUN_DIR=/nowhere node "${BIN}" ps`),
      ]);
      assert.deepEqual([whole.code, whole.out.trim().split('\n').length], [0, IDS.length + 1]);
      assert.equal(cut.out.trim().split('\n').at(-1), '0');
      assert.equal(none.code, 2);
      assert.match(none.err, /^error: no fleet runs .*start one: openagent-supervisor agents\/\*\n$/);
    },
  );
  await fleet.killGroup();
});

async function startTroubled(t: TestContext): Promise<{ fleet: FleetProcess; free: DatabaseHolder }> {
  let place = '';
  let free: DatabaseHolder | undefined;
  const yamls: Readonly<Record<string, () => string>> = {
    hanging: () => `model: { provider: echo }\nchannels: { hanging: { dir: '${join(place, 'hanging')}' } }\n`,
    slow: () => 'model: { provider: echo }\nsupervisor: { intensity: 1000, backoff_ms_max: 250 }\n',
  };
  const fleet = await startFleet(t, {
    agents: IDS,
    ready: 'settled',
    prepare: async (directory) => {
      place = directory;
      mkdirSync(join(place, 'hanging', 'bridges'), { recursive: true });
      cpSync(BRIDGE, join(place, 'hanging', 'bridges', 'hanging.mjs'));
      for (const id of ['corrupt', 'slow']) mkdirSync(join(place, id));
      writeFileSync(join(place, 'corrupt', 'openagent.db'), 'no database at all '.repeat(1_000));
      free = await holdDatabase(t, join(place, 'slow', 'openagent.db'));
    },
    yaml: (id) => yamls[id]?.() ?? 'model: { provider: echo }\n',
  });
  assert.ok(free);
  return { fleet, free };
}

/** Whole at once: the bridge may look at any moment. */
function order(fleet: FleetProcess, kind: string): void {
  const file = join(fleet.place, 'hanging', 'order');
  writeFileSync(`${file}.tmp`, kind);
  renameSync(`${file}.tmp`, file);
}

type Told = Readonly<Record<string, unknown>>;

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly lines: readonly string[];
  readonly records: readonly Told[];
}

/** In this process: only how it is started is left out, and that has a case of its own. */
function commandsOf(fleet: FleetProcess) {
  const open = (args: readonly string[]) => {
    const call = parseCommandLine(args, '1.2.3');
    assert.ok(!['run', 'init', 'validate', 'print'].includes(call.kind), JSON.stringify(call));
    const stop = new AbortController();
    const printed = { out: '', err: '' };
    const stream = (name: 'out' | 'err') => ({
      write: (text: string) => {
        printed[name] += text;
        return true;
      },
    });
    const code = runCommand(call as Parameters<typeof runCommand>[0], {
      out: stream('out'),
      err: stream('err'),
      env: { OPENAGENT_RUN_DIR: fleet.runDir },
      cwd: fleet.place,
      homeDir: fleet.place,
      signal: stop.signal,
      wallMs: Date.now,
      version: '1.2.3',
    });
    const lines = () => stripVTControlCharacters(printed.out).split('\n').slice(0, -1);
    const records = () => lines().map((line) => JSON.parse(line) as Told);
    const end = () => {
      stop.abort();
      return code;
    };
    return { code, end, out: () => printed.out, err: () => printed.err, lines, records };
  };
  const wordsOf = (line: string | readonly string[]) => (typeof line === 'string' ? line.split(' ') : line);
  return {
    run: async (line: string | readonly string[]): Promise<Ran> => {
      const words = wordsOf(line);
      const { code, out, err, lines, records } = open(words);
      const exitCode = await code;
      const isJson = words.includes('--json');
      return { code: exitCode, out: out(), err: err(), lines: lines(), records: isJson ? records() : [] };
    },
    follow: (t: TestContext, line: string) => {
      const following = open(wordsOf(line));
      t.after(following.end);
      return following;
    },
  };
}

function spawned(fleet: FleetProcess, script: string): Promise<{ code: number; out: string; err: string }> {
  const env = { PATH: process.env.PATH, HOME: fleet.place, OPENAGENT_RUN_DIR: fleet.runDir };
  return new Promise((resolve) => {
    execFile('bash', ['-c', script], { cwd: fleet.place, env }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    );
  });
}
