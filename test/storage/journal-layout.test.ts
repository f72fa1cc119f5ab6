/** How turns stand in the file: what an earlier version wrote is all still there, and frames are made again as they were. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import SqliteDatabase from 'better-sqlite3';
import { namedClient } from '../../src/contract/client-key.ts';
import { systemClock } from '../../src/contract/clock.ts';
import { createClosedTurns, joinClosedRanges } from '../../src/storage/closed-turns.ts';
import { type Database, openDatabase } from '../../src/storage/database.ts';
import { createJournal, type Journal } from '../../src/storage/journal.ts';
import { MIGRATIONS } from '../../src/storage/migrations.ts';
import { answerFrame, type Outcome, turnIdOf, turnRowId } from '../../src/storage/turn-record.ts';
import { openTurns, silentLog, startTurns, tempDir, until } from '../fixtures/turns.ts';

const BEFORE = MIGRATIONS.findIndex(({ name }) => name === 'outcomes beside their turns');
/** What a row held in place of its outcome until its turn ended. */
const ROOM = ' '.repeat(192);
const CLIENT = namedClient('tester', '');

interface OldRow {
  readonly id: number;
  readonly state: string;
  readonly session_id?: string | number | null;
  readonly message_id?: string;
  readonly text?: string | null;
  readonly attachments?: string;
  readonly attempts?: number;
  readonly effects?: number;
  readonly ended_at?: number;
  readonly outcome?: string;
  readonly open?: number;
}

/** A database as the version before this layout left it. */
function writeOld(path: string, rows: readonly OldRow[]): void {
  const db = new SqliteDatabase(path);
  db.pragma('journal_mode = WAL');
  for (const { sql } of MIGRATIONS.slice(0, BEFORE)) db.exec(sql);
  db.pragma(`user_version = ${BEFORE}`);
  const boot = db.prepare('INSERT INTO boots (started_at, version) VALUES (1, ?)');
  for (const version of ['0.1.0', '0.1.0']) boot.run(version);
  const insert =
    db.prepare(`INSERT INTO turns VALUES (@id, @session_id, @client_key, @message_id, @text, @attachments,
    @state, @attempts, @effects, @accepted_at, @ended_at, @outcome, @open)`);
  const blank = {
    session_id: 's',
    message_id: null,
    text: 'said',
    attachments: null,
    attempts: 0,
    effects: 0,
  };
  const fresh = {
    ...blank,
    client_key: CLIENT.key,
    accepted_at: 1000.25,
    ended_at: null,
    outcome: ROOM,
    open: 1,
  };
  for (const row of rows) insert.run({ ...fresh, ...row });
  db.close();
}

const ATTACHMENTS = '[{"type":"file","path":"/a","filename":"a"}]';
const frameOf = (id: number, rest: string) => `{"type":"error","turn_id":"${turnIdOf(id)}",${rest}}`;
const ended = (id: number, state: string, open: number, more: Partial<OldRow> = {}): OldRow => ({
  ...{ id, state, open, ended_at: 1001.5, outcome: frameOf(id, `"text":"ü \\ud800 ${state}"`) },
  ...more,
});
const [A, B] = [turnRowId(1, 0), turnRowId(2, 0)];
const OLD: readonly OldRow[] = [
  ended(A + 1, 'done', 0),
  ended(A + 2, 'done', 0, { text: null, message_id: 'm2' }),
  { id: A + 3, state: 'accepted', attachments: ATTACHMENTS, session_id: 5 },
  ended(A + 4, 'failed', 1, { session_id: null }),
  ended(A + 7, 'cancelled', 0),
  ended(B + 1, 'interrupted', 0, { session_id: 1.5 }),
  { id: B + 2, state: 'running', attempts: 1, message_id: 'm', effects: 1 },
  ended(B + 3, 'done', 1),
];

async function openJournal(t: TestContext, path: string): Promise<{ db: Database; journal: Journal }> {
  const db = await openDatabase(path, systemClock);
  t.after(() => db.close());
  return { db, journal: createJournal({ db, path, version: 'test', clock: systemClock, log: silentLog }) };
}

describe('a database of the layout before', () => {
  test('loses no turn, no outcome and no mark', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    writeOld(path, OLD);
    const { db, journal } = await openJournal(t, path);
    const common = { client: CLIENT, messageId: undefined, attachments: null, acceptedAtMs: 1_000_250 };
    const unended = {
      ...common,
      text: 'said',
      endedAtMs: undefined,
      attempts: 0,
      effects: 0,
      isBegun: false,
    };
    const over = { ...common, text: '', endedAtMs: 1_001_500, attempts: 0, effects: 0, isBegun: true };
    assert.deepEqual(journal.openTurns(), [
      { ...unended, id: A + 3, sessionId: 5, attachments: ATTACHMENTS },
      { ...over, id: A + 4, sessionId: null },
      { ...unended, id: B + 2, sessionId: 's', messageId: 'm', attempts: 1, effects: 1, isBegun: true },
      { ...over, id: B + 3, sessionId: 's' },
    ]);
    for (const { id, outcome, ended_at } of OLD) {
      const kept = ended_at === undefined ? undefined : { frame: outcome, endedAtMs: 1_001_500 };
      assert.deepEqual(journal.outcomeOf(id), kept);
    }
    assert.deepEqual(journal.findByMessage(CLIENT.key, 'm2'), { id: A + 2, text: null });
    assert.deepEqual(journal.endedTurn(A + 4, CLIENT.key)?.isOpen, true);
    assert.deepEqual(journal.endedTurn(A + 7, CLIENT.key)?.isOpen, false);
    assert.deepEqual(journal.lastTurnOf(CLIENT.key, 1.5)?.id, B + 1);
    assert.equal(journal.boot, 3);
    assert.deepEqual(db.pragma('integrity_check'), [{ integrity_check: 'ok' }]);
  });

  test('goes on where it was: what waited runs, what was not delivered is', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    const nowS = Date.now() / 1000;
    writeOld(
      path,
      OLD.map((row) => (row.ended_at === undefined ? row : { ...row, ended_at: nowS })),
    );
    const s = await openTurns(path);
    t.after(() => s.db.close());
    const call = await until(() => s.model.calls[0], 'the call of the turn that waited');
    call.answer('now');
    const [, , third, fourth, , , seventh, eighth] = OLD;
    await until(() => s.outlet.terminals.length === 4, 'all that is owed');
    const texts = new Map(s.outlet.ends().map(({ turn_id, text }) => [turn_id, text]));
    assert.equal(texts.get(turnIdOf(third?.id ?? 0)), 'now');
    assert.match(String(texts.get(turnIdOf(seventh?.id ?? 0))), /It was not repeated/);
    for (const row of [fourth, eighth]) assert.match(String(texts.get(turnIdOf(row?.id ?? 0))), /^ü \ud800 /);
    s.engine.confirm(s.outlet.terminals);
    s.journal.flush();
    assert.deepEqual(s.journal.openTurns(), []);
  });
});

test('a frame that is made again is the same frame, whatever is in it', async (t) => {
  const { db, journal } = await openJournal(t, join(await tempDir(t), 'openagent.db'));
  const texts = ['', 'ü☕𝒳', '\u0000\u001f\u007f"\\/\b\u2028', '\\ud800', 'half \ud83d', ' x\n', '{"a":1}'];
  const sessions = ['s', '', 'ü\u0000"', 5, '5', -0, 1e21, 1.5e-7, 0.1 + 0.2, 2 ** 53, -(2 ** 31) - 1, null];
  const messageIds = [undefined, 'm "1" ☕'];
  const sent = new Map<number, string>();
  for (const sessionId of sessions) {
    for (const [index, text] of texts.entries()) {
      const id = journal.nextTurnId();
      const name = messageIds[index % 2];
      const messageId = name === undefined ? undefined : `${name}${id}`;
      journal.accept({ ...TURN, id, sessionId, messageId }, (error) => assert.equal(error, undefined));
      const answer = { text, model: index === 3 ? 'x:"y"' : 'echo' };
      const frame = answerFrame({ turnId: turnIdOf(id), sessionId, messageId }, answer);
      journal.settle(id, { ...DONE, frame, answer }, 1, true, () => sent.set(id, frame));
    }
  }
  journal.flush();
  assert.equal(sent.size, sessions.length * texts.length);
  for (const [id, frame] of sent) assert.equal(journal.outcomeOf(id)?.frame, frame);
  const whole = db.prepare(
    'SELECT DISTINCT outcome FROM turn_outcomes WHERE model IS NULL AND outcome LIKE ?',
  );
  assert.equal(whole.all('%half%').length, sessions.length, 'kept as they were sent');
  assert.deepEqual(db.prepare('SELECT count(*) AS n FROM turn_outcomes WHERE outcome = ?').get('ü☕𝒳'), {
    n: sessions.length,
  });
});

const TURN = { client: CLIENT, text: 'a', attachments: null, acceptedAtMs: 1 };
const DONE: Pick<Outcome, 'state' | 'code'> = { state: 'done', code: undefined };

test('a turn keeps its first outcome', async (t) => {
  const s = await startTurns(t);
  s.submit('a');
  (await until(() => s.model.calls[0], 'the call')).answer('first');
  const end = await until(() => s.outlet.ends()[0], 'the answer');
  const [id = 0] = s.outlet.terminals;
  s.journal.settle(id, { state: 'failed', code: 'internal', frame: '{}' }, 1, true, () => {});
  s.journal.flush();
  assert.equal(s.journal.outcomeOf(id)?.frame, JSON.stringify(end));
});

describe('closed turns', () => {
  test('are told from open ones in whatever order they were closed, and however often', async (t) => {
    const { db } = await openJournal(t, join(await tempDir(t), 'openagent.db'));
    const closed = createClosedTurns(db);
    const known = new Set<number>([0]);
    // A generator of its own, so that a failure can be had again.
    let state = 7;
    const random = (below: number): number => {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      return state % below;
    };
    for (let round = 0; round < 200; round += 1) {
      const ids = Array.from({ length: random(12) }, () => 1 + random(150));
      closed.add(ids);
      for (const id of ids) known.add(id);
      const ranges = db.prepare('SELECT first, last FROM turns_closed ORDER BY first').raw().all();
      assert.deepEqual(ranges, rangesOf(known));
    }
  });

  test('become one range at a start, where nothing but gaps without a turn lie between them', async (t) => {
    const { db, journal } = await openJournal(t, join(await tempDir(t), 'openagent.db'));
    const ids = Array.from({ length: 6 }, () => journal.nextTurnId());
    for (const id of ids) {
      // The second was refused, and the fourth is still open.
      if (id !== ids[1]) journal.accept({ ...TURN, id, sessionId: 's', messageId: undefined }, () => {});
    }
    journal.flush();
    journal.closeTurns(ids.filter((_, index) => index !== 1 && index !== 3));
    journal.flush();
    joinClosedRanges(db);
    const ranges = db.prepare('SELECT first, last FROM turns_closed ORDER BY first').raw().all();
    assert.deepEqual(ranges, [
      [0, ids[2]],
      [ids[4], ids[5]],
    ]);
    assert.deepEqual(
      journal.openTurns().map(({ id }) => id),
      [ids[3]],
    );
  });

  test('cost a commit nothing but the range they are in', async (t) => {
    const s = await startTurns(t);
    for (let index = 0; index < 30; index += 1) s.submit('a', { sessionId: index });
    for (let index = 0; index < 30; index += 1) {
      (await until(() => s.model.calls[index], 'a call')).answer('b');
      await until(() => s.outlet.ends().length > index, 'its answer');
    }
    s.engine.confirm(s.outlet.terminals);
    s.journal.flush();
    const ranges = s.db.prepare('SELECT first, last FROM turns_closed').raw().all();
    assert.deepEqual(ranges, [
      [0, 0],
      [turnRowId(1, 1), turnRowId(1, 30)],
    ]);
  });
});

function rangesOf(ids: ReadonlySet<number>): number[][] {
  const ranges: number[][] = [];
  for (const id of [...ids].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last && last[1] === id - 1) last[1] = id;
    else ranges.push([id, id]);
  }
  return ranges;
}
