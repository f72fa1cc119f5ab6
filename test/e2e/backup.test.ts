/** `backup`, `restore` and `doctor` as they are run, beside a fleet that works. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { connectClients, type LoadClient } from '../fixtures/load-clients.ts';

const BIN = fileURLToPath(new URL('../../bin/openagent-supervisor.mjs', import.meta.url));
const DEADLINE_MS = 30_000;
const POLL_MS = 2;

async function makePlace(t: TestContext): Promise<string> {
  const place = await realpath(await mkdtemp(join(tmpdir(), 'openagent-backup-')));
  t.after(() => rm(place, { recursive: true, force: true }));
  return place;
}

function start(place: string, runDir: string, args: readonly string[]): ChildProcess {
  const env = { PATH: process.env.PATH, HOME: place, OPENAGENT_RUN_DIR: runDir };
  return spawn(process.execPath, [BIN, ...args], {
    cwd: place,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

interface Ended {
  readonly exitCode: number | null;
  readonly out: string;
  readonly err: string;
}

async function run(place: string, runDir: string, ...args: readonly string[]): Promise<Ended> {
  const command = start(place, runDir, args);
  let [out, err] = ['', ''];
  command.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  command.stderr?.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
  const [exitCode] = (await once(command, 'close')) as [number | null];
  return { exitCode, out, err };
}

const every = (clients: readonly LoadClient[], work: (client: LoadClient) => Promise<void>) =>
  Promise.all(clients.map(work));

/** Writes notes and configuration until it is told to stop; what was written for good is in `notes`. */
function keepWriting(url: string) {
  const notes = new Map<string, string>();
  let isStopping = false;
  const write = async (method: 'PUT' | 'PATCH', path: string, body: object): Promise<void> => {
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${url}${path}`, { method, headers, body: JSON.stringify(body) });
    assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.text()}`);
  };
  const work = async (): Promise<void> => {
    for (let count = 0; !isStopping; count += 1) {
      const content = `note ${count} ${'word '.repeat(200)}.`;
      await write('PUT', `/api/vault/notes/folder-${count % 7}/note-${count}.md`, { content });
      notes.set(`folder-${count % 7}/note-${count}.md`, content);
      if (count % 10 === 5)
        await write('PATCH', '/api/config/logging', { level: count % 20 === 5 ? 'debug' : 'info' });
    }
  };
  const ended = work();
  // Told by `stop`; until then a failure must not end the test.
  ended.catch(() => {});
  return {
    notes,
    stop: async () => {
      isStopping = true;
      await ended;
    },
  };
}

const OUTCOMES = `SELECT id, message_id, session_id, text, state, outcome
  FROM turns LEFT JOIN turn_outcomes USING (id) ORDER BY id`;

interface TurnRow {
  readonly id: number;
  readonly message_id: string;
  readonly text: string;
  readonly state: string | null;
  readonly outcome: string | null;
}

function turnsOf(db: string): readonly TurnRow[] {
  const opened = new Database(db, { readonly: true });
  try {
    assert.deepEqual(opened.pragma('integrity_check'), [{ integrity_check: 'ok' }]);
    return opened.prepare(OUTCOMES).all() as TurnRow[];
  } finally {
    opened.close();
  }
}

async function checkDoctor(fleet: FleetProcess, place: string): Promise<void> {
  const held = await readFile(join(fleet.place, 'a1/.lock.json'), 'utf8');
  const { exitCode, out, err } = await run(place, fleet.runDir, 'doctor', '--json');
  assert.equal(exitCode, 0, out + err);
  const findings = out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const holder = findings.find(({ code }) => code === 'lock.held');
  assert.match(String(holder?.text), new RegExp(`process ${fleet.hostPid} `));
  assert.equal(await readFile(join(fleet.place, 'a1/.lock.json'), 'utf8'), held);
  // Had anybody opened the lock in its own process, a second supervisor could take it now.
  const second = await run(place, `${place}/other-run`, '--no-watchdog', '--json', join(fleet.place, 'a1'));
  assert.equal(second.exitCode, 3);
  assert.match(second.out, /directory\.locked/);
}

test('an agent is backed up while it works, and comes back with what it had promised', async (t) => {
  const fleet = await startFleet(t, {
    agents: ['a1'],
    yaml: () => 'model: { provider: echo, delay_ms: 1 }\n',
  });
  const place = await makePlace(t);
  const { url } = fleet.agent('a1');
  const clients = connectClients(t, 4, { url: () => fleet.wsUrl('a1'), window: 2 });
  const writer = keepWriting(url);
  await every(clients, (client) => client.answers(5));
  await checkDoctor(fleet, place);
  await every(clients, (client) => client.answers(1));
  const promised = clients.flatMap(({ messages }) => [...messages.values()].filter(({ turnId }) => turnId));
  const written = new Map(writer.notes);
  const made = await run(place, fleet.runDir, 'backup', 'a1', 'a1.tar.gz', '--json');
  assert.equal(made.exitCode, 0, made.err);
  await every(clients, (client) => client.answers(1));
  await writer.stop();
  await every(clients, (client) => client.finish());
  assert.deepEqual(
    clients.flatMap(({ strays }) => strays),
    [],
  );

  await fleet.stop();
  const original = new Map(turnsOf(join(fleet.place, 'a1/openagent.db')).map((turn) => [turn.id, turn]));
  await runCopy(t, async (copy) => {
    const restored = await run(place, fleet.runDir, 'restore', 'a1.tar.gz', copy, '--json');
    assert.equal(restored.exitCode, 0, restored.err);
    const turns = turnsOf(join(copy, 'openagent.db'));
    const known = new Set(turns.map(({ message_id }) => message_id));
    assert.ok(promised.length >= 20);
    assert.deepEqual(
      promised.filter(({ id }) => !known.has(id)),
      [],
    );
    for (const turn of turns) {
      assert.equal(turn.text, original.get(turn.id)?.text);
      if (turn.state !== null) assert.deepEqual(turn, original.get(turn.id));
    }
    for (const [path, content] of written) {
      assert.equal(await readFile(join(copy, 'memories', path), 'utf8'), content);
    }
    assert.match(await readFile(join(copy, 'openagent.yaml'), 'utf8'), /provider: echo/);
  });
});

/** The copy ends what was unfinished, repeats nothing, and works. */
async function runCopy(t: TestContext, restore: (dir: string) => Promise<void>): Promise<void> {
  let unfinished: readonly TurnRow[] = [];
  const fleet = await startFleet(t, {
    agents: ['copy'],
    prepare: async (made) => {
      await restore(join(made, 'copy'));
      unfinished = turnsOf(join(made, 'copy/openagent.db')).filter(({ state }) => state === null);
    },
  });
  const [client] = connectClients(t, 1, { url: () => fleet.wsUrl('copy'), name: 'newcomer', messages: 1 });
  await client?.finish();
  await fleet.stop();
  const after = new Map(turnsOf(join(fleet.place, 'copy/openagent.db')).map((turn) => [turn.id, turn]));
  assert.deepEqual(
    unfinished.map(({ id }) => after.get(id)?.state),
    unfinished.map(() => 'interrupted'),
  );
}

/** Cannot be packed smaller: it keeps the program busy for a while. */
const NOISE = randomBytes(10_000_000);

async function until(look: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (!(await look())) {
    assert.ok(performance.now() < deadline, 'not in time');
    await delay(POLL_MS);
  }
}

test('kill -9 in the middle leaves the earlier backup, and the next one tidies up', async (t) => {
  const place = await makePlace(t);
  const dir = join(place, 'agent');
  await mkdir(join(dir, 'uploads'), { recursive: true });
  await writeFile(join(dir, 'openagent.yaml'), 'name: x\n');
  await writeFile(join(dir, 'uploads/noise.bin'), NOISE);
  const target = join(place, 'backups/agent.tar.gz');
  await mkdir(join(place, 'backups'));
  await writeFile(target, 'the earlier one');
  const command = start(place, place, ['backup', dir, target]);
  t.after(() => killGroup(command));
  const half = async (): Promise<string | undefined> =>
    (await readdir(join(place, 'backups'))).find((name) => name.endsWith('.tmp'));
  await until(async () => {
    const name = await half();
    const found = name && (await stat(join(place, 'backups', name, 'archive')).catch(() => undefined));
    return Boolean(found && found.size > 1_000_000);
  });
  killGroup(command);
  await once(command, 'close');
  assert.equal(await readFile(target, 'utf8'), 'the earlier one');
  assert.ok(await half(), 'it was killed before its end');
  const { exitCode, err } = await run(place, place, 'backup', dir, target);
  assert.equal(exitCode, 0, err);
  assert.deepEqual(await readdir(join(place, 'backups')), ['agent.tar.gz']);
  assert.equal((await run(place, place, 'restore', target, 'copy')).exitCode, 0);
  assert.deepEqual(await readFile(join(place, 'copy/uploads/noise.bin')), NOISE);
});

function killGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // it has ended
  }
}
