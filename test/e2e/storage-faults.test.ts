/** Disks that are full, databases that are locked, damaged or foreign: nothing accepted is lost, the others run. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import SqliteDatabase from 'better-sqlite3';
import { systemClock } from '../../src/contract/clock.ts';
import { openDatabase } from '../../src/storage/database.ts';
import { type Chat, type Frame, openChat } from '../fixtures/chat.ts';
import { holdDatabase, openHolder, type WaitingHolder } from '../fixtures/database-holder.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { isolations } from '../fixtures/matrix.ts';
import { mountTmpfs, whyNoMount } from '../fixtures/mounts.ts';

const ECHO = 'model: { provider: echo }\n';
const SLOW = 'model: { provider: echo, delay_ms: 200 }\n';
const REFERENCE_SQL = fileURLToPath(new URL('../fixtures/reference-agent/schema.sql', import.meta.url));
const PAGE = Buffer.alloc(4_096, 1);

for (const isolation of isolations('thread')) {
  test(`a disk that fills in the middle of turns costs no answer (${isolation})`, {
    skip: whyNoMount(),
  }, async (t) => {
    const disk = mountTmpfs(t, '1m');
    const fleet = await startFleet(t, {
      agents: ['full', 'calm'],
      isolation,
      yaml: (id) => (id === 'full' ? SLOW : ECHO),
      prepare: (place) => symlinkSync(disk, join(place, 'full')),
    });
    const neighbour = await openChat(t, fleet.agent('calm').wsUrl, { clientId: 'neighbour' });
    const stays = await openChat(t, fleet.agent('full').wsUrl, {
      clientId: 'stays',
      capabilities: ['delta'],
    });
    const leaves = await openChat(t, fleet.agent('full').wsUrl, {
      clientId: 'leaves',
      capabilities: ['delta'],
    });
    const turnIds = await Promise.all([stays, leaves].map((chat) => begin(chat, 'one two')));
    fill(disk);
    await Promise.all([stays, leaves].map((chat) => chat.frame(isLastDelta, 'end of the answer')));
    const refused = await stays.ask('not accepted');
    assert.equal(refused.type, 'error');
    assert.equal(refused.code, 'storage.unavailable');
    assert.match(String(refused.text), /openagent\.db cannot grow: the disk is full; free some space/);
    assert.equal(refused.turn_id, undefined);
    assert.equal((await neighbour.ask('meanwhile')).text, 'echo: meanwhile');
    for (const chat of [stays, leaves]) assert.deepEqual(chat.frames.filter(isResponse), []);
    leaves.close();
    await leaves.closed();

    rmSync(join(disk, 'ballast'));
    const isHis = (index: number) => (frame: Frame) => frame.turn_id === turnIds[index];
    const kept = await stays.frame((frame) => isResponse(frame) && isHis(0)(frame), 'kept outcome');
    assert.equal(kept.text, 'echo: one two');
    const back = await openChat(t, fleet.agent('full').wsUrl, { clientId: 'leaves' });
    assert.equal((await back.frame((frame) => isResponse(frame) && isHis(1)(frame))).text, 'echo: one two');
    assert.equal((await stays.ask('again')).text, 'echo: again');
    assert.equal(fleet.events.filter(({ id, state }) => id === 'full' && state === 'running').length, 1);
    await fleet.stop();
  });
}

for (const isolation of isolations('thread')) {
  test(`an agent whose disk is full at the start fails alone and says so (${isolation})`, {
    skip: whyNoMount(),
  }, async (t) => {
    const disk = mountTmpfs(t, '256k');
    writeFileSync(join(disk, 'openagent.yaml'), ECHO);
    fill(disk);
    const fleet = await startFleet(t, {
      agents: ['calm'],
      isolation,
      dirs: [disk, 'calm'],
      ready: 'settled',
    });
    const told = fleet.events.findLast(({ dir, reason }) => dir === disk && reason);
    assert.ok(told);
    assert.match(
      (told.reason as { message: string }).message,
      /no space left on device.*the disk some space/,
    );
    assert.equal(fleet.agent('calm').state, 'running');
    await fleet.stop();
  });
}

for (const isolation of isolations('thread')) {
  test(`a database that another program locks: shortly, nobody notices; long, nothing is lost (${isolation})`, async (t) => {
    const fleet = await startFleet(t, {
      agents: ['locked', 'calm'],
      isolation,
      yaml: (id) => (id === 'locked' ? SLOW : ECHO),
    });
    const { dir, wsUrl } = fleet.agent('locked');
    const neighbour = await openChat(t, fleet.agent('calm').wsUrl, { clientId: 'neighbour' });
    const chat = await openChat(t, wsUrl, { clientId: 'stays', capabilities: ['delta'] });
    /** The turn has begun when the lock is taken, and cannot end before. */
    const during = async (text: string, work: (holder: WaitingHolder) => Promise<void>) => {
      const holder = await openHolder(t, join(dir, 'openagent.db'));
      const turnId = await begin(chat, text);
      await holder.hold();
      await work(holder);
      const response = await chat.frame(
        (frame) => isResponse(frame) && frame.turn_id === turnId,
        'kept outcome',
      );
      assert.equal(response.text, `echo: ${text}`);
    };
    await during('one two', async (holder) => {
      const asked = chat.ask('meanwhile');
      await holder.release(1_000);
      assert.equal((await asked).text, 'echo: meanwhile');
    });
    await during('three four', async (holder) => {
      const refused = await chat.ask('not accepted');
      assert.equal(refused.code, 'storage.unavailable');
      assert.match(String(refused.text), /locked by another program; close it, or wait/);
      assert.equal((await neighbour.ask('meanwhile')).text, 'echo: meanwhile');
      assert.equal(chat.frames.filter(isResponse).length, 2, 'nobody is told what is not durable');
      await holder.release();
    });
    assert.equal((await chat.ask('again')).text, 'echo: again');
    await fleet.stop();
  });
}

for (const isolation of isolations('thread')) {
  test(`a database that is locked at the start is waited for, then the agent starts again until it is free (${isolation})`, async (t) => {
    let path = '';
    const options = {
      agents: ['locked', 'calm'],
      isolation,
      yaml: (id: string) =>
        id === 'locked' ? `${ECHO}supervisor: { backoff_ms_min: 50, backoff_ms_max: 100 }\n` : ECHO,
    };
    const make = async (place: string) => {
      path = join(place, 'locked/openagent.db');
      mkdirSync(join(place, 'locked'));
      (await openDatabase(path, systemClock)).close();
    };
    await t.test('shortly', async (t) => {
      const hold = async (place: string) => {
        await make(place);
        const holder = await holdDatabase(t, path);
        void holder.release(1_000);
      };
      const fleet = await startFleet(t, { ...options, prepare: hold });
      const told = fleet.events.filter(({ id }) => id === 'locked');
      assert.deepEqual(
        told.map(({ state }) => state).filter((state) => state !== 'waiting'),
        ['starting', 'running'],
      );
      await fleet.stop();
    });
    await t.test('long', async (t) => {
      let release: (() => Promise<void>) | undefined;
      const hold = async (place: string) => {
        await make(place);
        release = (await holdDatabase(t, path)).release;
      };
      const fleet = await startFleet(t, { ...options, prepare: hold, ready: 'settled' });
      assert.equal(fleet.agent('calm').state, 'running');
      const reason = reasonOf(fleet, 'locked');
      assert.equal(reason.code, 'storage.locked');
      assert.match(reason.message, /openagent\.db is locked by another program; close it, or wait/);
      await release?.();
      await fleet.event(({ id, state }) => id === 'locked' && state === 'running', 'running');
      await fleet.stop();
    });
  });
}

for (const isolation of isolations('thread')) {
  test(`damaged and newer databases are told apart, left untouched, and stop their agent alone (${isolation})`, async (t) => {
    const faults: Readonly<Record<string, (path: string) => void>> = {
      garbage: (path) => writeFileSync(path, 'this is no database\n'.repeat(500)),
      truncated: (path) => truncateSync(path, Math.floor(statSync(path).size / 2)),
      scribbled: scribbleOver,
      newer: (path) => {
        const db = new SqliteDatabase(path);
        db.pragma('user_version = 99');
        db.close();
      },
      fine: () => {},
    };
    const before: Record<string, Buffer> = {};
    const fleet = await startFleet(t, {
      agents: Object.keys(faults),
      isolation,
      prepare: async (place) => {
        for (const [id, fault] of Object.entries(faults)) {
          mkdirSync(join(place, id));
          const path = join(place, id, 'openagent.db');
          await makeFullDatabase(path);
          fault(path);
          before[id] = readFileSync(path);
        }
      },
      ready: 'settled',
    });
    for (const id of ['garbage', 'truncated', 'scribbled']) {
      assert.equal(fleet.agent(id).state, 'quarantined', fleet.output());
      assert.equal(reasonOf(fleet, id).code, 'storage.corrupt');
      assert.match(
        reasonOf(fleet, id).message,
        /openagent\.db is .*; restore a backup, or move the file away/,
      );
    }
    assert.equal(reasonOf(fleet, 'newer').code, 'storage.version');
    assert.match(reasonOf(fleet, 'newer').message, /schema 99.*: run that version, or restore a backup/);
    for (const id of ['garbage', 'truncated', 'newer'])
      assert.deepEqual(readFileSync(join(fleet.place, id, 'openagent.db')), before[id]);
    const chat = await openChat(t, fleet.agent('fine').wsUrl, { clientId: 'asks' });
    assert.equal((await chat.ask('hello')).text, 'echo: hello');
    await fleet.stop();
  });
}

test('a database made by the reference opens, keeps its rows and serves turns', async (t) => {
  const month = new Date().toISOString().slice(0, 7);
  const fleet = await startFleet(t, {
    agents: ['casa'],
    prepare: (place) => {
      mkdirSync(join(place, 'casa'));
      const db = new SqliteDatabase(join(place, 'casa/openagent.db'));
      db.exec(readFileSync(REFERENCE_SQL, 'utf8'));
      db.prepare(
        `INSERT INTO usage_log VALUES ('now', 1775600100.5, 'openai:gpt-4.1', 10, 20, 0.25, NULL, ?)`,
      ).run(month);
      db.close();
    },
  });
  const path = join(fleet.agent('casa').dir, 'openagent.db');
  const chat = await openChat(t, fleet.agent('casa').wsUrl, { clientId: 'asks' });
  assert.equal((await chat.ask('hello')).text, 'echo: hello');
  chat.send({ type: 'command', name: 'usage' });
  const usage = await chat.frame(({ type }) => type === 'command_result');
  assert.match(String(usage.text), /\$0\.25/);
  await fleet.stop();
  const db = new SqliteDatabase(path, { readonly: true });
  t.after(() => db.close());
  const count = (table: string) => db.prepare(`SELECT count(*) FROM ${table}`).pluck().get();
  assert.deepEqual(
    ['scheduled_tasks', 'usage_log', 'sdk_sessions', 'agno_sessions', 'turns'].map(count),
    [1, 2, 1, 1, 1],
  );
});

/** Sends a message; its turn_id, once it runs. */
async function begin(chat: Chat, text: string): Promise<unknown> {
  const session = randomUUID();
  chat.send({ type: 'message', text, session_id: session });
  const isHis = ({ type, session_id }: Frame) => type === 'status' && session_id === session;
  const status = await chat.frame(isHis, 'status');
  return status.turn_id;
}

const isResponse = ({ type }: { readonly type: string }): boolean => type === 'response';
const isLastDelta = (frame: { readonly type: string; readonly text?: unknown }): boolean =>
  frame.type === 'delta' && String(frame.text).trim() === 'two';

/** To the last byte. */
function fill(disk: string): void {
  const file = openSync(join(disk, 'ballast'), 'a');
  try {
    for (;;) writeSync(file, PAGE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(file);
  }
}

/** Turns enough for some hundred pages, in one file. */
async function makeFullDatabase(path: string): Promise<void> {
  const db = await openDatabase(path, systemClock);
  db.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    INSERT INTO turns (id, session_id, client_key, text, accepted_at)
    SELECT i, 's', 'k', hex(zeroblob(250)), 1 FROM n`);
  db.pragma('wal_checkpoint(TRUNCATE)');
  db.close();
}

/** The size stays, so that opening the file shows nothing yet; reading its turns does. */
function scribbleOver(path: string): void {
  const pages = Math.floor(statSync(path).size / PAGE.length);
  const file = openSync(path, 'r+');
  for (let page = Math.floor(pages / 3); page < pages; page += 1)
    writeSync(file, PAGE, 0, PAGE.length, page * PAGE.length);
  closeSync(file);
}

function reasonOf(fleet: FleetProcess, agentId: string): { code: string; message: string } {
  const told = fleet.events.findLast(({ type, id, reason }) => type === 'agent' && id === agentId && reason);
  assert.ok(told, `${agentId} has no reason\n${fleet.output()}`);
  return told.reason as { code: string; message: string };
}
