import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import SqliteDatabase from 'better-sqlite3';
import { namedClient } from '../../src/contract/client-key.ts';
import { type Clock, systemClock } from '../../src/contract/clock.ts';
import { AppError, type ErrorCode } from '../../src/contract/errors.ts';
import { openDatabase, withoutSyncs } from '../../src/storage/database.ts';
import { turnIdOf, turnRowId } from '../../src/storage/turn-record.ts';
import { openTurns, tempDir, until } from '../fixtures/turns.ts';

const hasCode = (code: ErrorCode) => (error: unknown) => AppError.is(error) && error.code === code;

describe('the journal', () => {
  test('refuses new turns on a full disk, keeps outcomes, and writes them when there is space', async (t) => {
    const s = await openTurns(join(await tempDir(t), 'openagent.db'));
    t.after(() => s.db.close());
    s.submit('a');
    const call = await until(() => s.model.calls[0], 'the model call');
    const pages = s.db.pragma('page_count', { simple: true }) as number;
    s.db.pragma(`max_page_count = ${pages}`);
    call.answer('x'.repeat(100_000));
    s.submit('y'.repeat(100_000), { sessionId: 'other' });
    const refusal = await until(() => s.outlet.ends()[0], 'a refusal');
    assert.equal(refusal.code, 'storage.unavailable');
    assert.equal(refusal.turn_id, undefined);
    assert.equal(s.rows()[0]?.ended_at, null);
    s.db.pragma(`max_page_count = ${pages + 1_000}`);
    const answer = await until(() => s.outlet.ends()[1], 'the answer');
    assert.equal(answer.type, 'response');
    assert.deepEqual(
      s.rows().map((row) => row.state),
      ['done'],
    );
  });

  test('waits for another program that holds the database for a moment', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    const s = await openTurns(path);
    const other = new SqliteDatabase(path);
    t.after(() => [other.close(), s.db.close()]);
    other.exec('BEGIN IMMEDIATE');
    s.submit('a');
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(s.outlet.frames.length, 0);
    other.exec('COMMIT');
    (await until(() => s.model.calls[0], 'the model call')).answer('b');
    await until(() => s.outlet.ends()[0]?.type === 'response', 'the answer');
  });

  test('refuses a new turn whose patience with a lock is over, and keeps an outcome all the same', async (t) => {
    let nowMs = 0;
    const clock = { ...systemClock, monotonicMs: () => nowMs };
    const path = join(await tempDir(t), 'openagent.db');
    const s = await openTurns(path, { clock });
    const other = new SqliteDatabase(path);
    t.after(() => [other.close(), s.db.close()]);
    s.submit('a');
    const call = await until(() => s.model.calls[0], 'the model call');
    s.journal.flush();
    other.exec('BEGIN IMMEDIATE');
    s.submit('b', { sessionId: 'other' });
    call.answer('kept');
    nowMs += 2_001;
    const refusal = await until(() => s.outlet.ends()[0], 'a refusal');
    assert.equal(refusal.code, 'storage.unavailable');
    other.exec('ROLLBACK');
    await until(() => s.outlet.ends()[1]?.text === 'kept', 'the answer');
  });

  test('tells everybody of a commit, also when one of them fails at it', async (t) => {
    const s = await openTurns(join(await tempDir(t), 'openagent.db'));
    t.after(() => s.db.close());
    const told: number[] = [];
    for (const index of [0, 1, 2]) {
      const [id, acceptedAtMs] = [s.journal.nextTurnId(), Date.now()];
      const turn = { id, sessionId: 's', client: namedClient('c', ''), text: 'a', attachments: null };
      s.journal.accept({ ...turn, messageId: undefined, acceptedAtMs }, () => {
        told.push(index);
        if (index === 0) throw new Error('a defect of the first');
      });
    }
    assert.throws(() => s.journal.flush(), /a defect of the first/);
    assert.deepEqual(told, [0, 1, 2]);
    assert.equal(s.rows().length, 3);
  });

  test('closes behind another program that holds the database for a moment, with every mark written', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    const s = await openTurns(path);
    const other = new SqliteDatabase(path);
    t.after(() => [other.close(), s.db.close()]);
    s.submit('a');
    (await until(() => s.model.calls[0], 'the model call')).answer('b');
    await until(() => s.outlet.ends()[0], 'the answer');
    other.exec('BEGIN IMMEDIATE');
    s.engine.confirm(s.outlet.terminals);
    const closed = s.journal.close(60_000);
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    other.exec('COMMIT');
    assert.equal(await closed, true);
    assert.equal(s.rows()[0]?.open, 0);
  });

  test('says what it could not write when it is closed, and leaves no timer behind', async (t) => {
    const timers = new Set<unknown>();
    const clock: Clock = {
      ...systemClock,
      setTimeout: (callback, delayMs) => {
        const timer = setTimeout(() => {
          timers.delete(timer);
          callback();
        }, delayMs);
        timers.add(timer);
        return timer;
      },
      clearTimeout: (timer) => {
        timers.delete(timer);
        systemClock.clearTimeout(timer);
      },
    };
    const path = join(await tempDir(t), 'openagent.db');
    const s = await openTurns(path, { clock });
    const other = new SqliteDatabase(path);
    t.after(() => [other.close(), s.db.close()]);
    other.exec('BEGIN IMMEDIATE');
    s.submit('a');
    assert.equal(await s.journal.close(1), false);
    assert.equal(timers.size, 0);
    other.exec('ROLLBACK');
    assert.equal(s.journal.flush(), false);
    assert.deepEqual(s.rows(), []);
  });

  test('gives ids that grow within a start and from start to start', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    const first = await openTurns(path);
    const ids = [first.journal.nextTurnId(), first.journal.nextTurnId()];
    first.db.close();
    const second = await openTurns(path);
    t.after(() => second.db.close());
    ids.push(second.journal.nextTurnId());
    assert.deepEqual(
      ids,
      [...ids].sort((a, b) => a - b),
    );
    assert.deepEqual(ids.map(turnIdOf), ['1-1', '1-2', '2-1']);
    assert.ok(Number.isSafeInteger(turnRowId(2 ** 20, 2 ** 32 - 1)));
  });

  test('cuts old turns to their outcome, some at a time, and never looks at them again', async (t) => {
    const s = await openTurns(join(await tempDir(t), 'openagent.db'));
    t.after(() => s.db.close());
    for (const i of [0, 1, 2]) {
      s.submit('a', { sessionId: `s${i}` });
      (await until(() => s.model.calls[i], 'a model call')).answer('b');
    }
    await until(
      () => s.rows().length === 3 && s.rows().every((row) => row.state === 'done'),
      'three outcomes',
    );
    const future = Date.now() + 1_000;
    assert.equal(s.journal.trim(future, 2), true);
    assert.deepEqual(
      s.rows().map((row) => row.text),
      [null, null, 'a'],
    );
    assert.equal(s.journal.trim(future, 2), false);
    assert.ok(s.rows().every((row) => row.text === null && typeof row.outcome === 'string'));
    assert.equal(s.journal.trim(future, 2), false);
  });

  test('does not cut what is younger', async (t) => {
    const s = await openTurns(join(await tempDir(t), 'openagent.db'));
    t.after(() => s.db.close());
    s.submit('a');
    (await until(() => s.model.calls[0], 'the model call')).answer('b');
    await until(() => s.rows()[0]?.state === 'done', 'the outcome');
    s.journal.trim(Date.now() - 60_000, 10);
    assert.equal(s.rows()[0]?.text, 'a');
  });

  test('reads no further than the first young turn when it looks for old ones', async (t) => {
    const s = await openTurns(join(await tempDir(t), 'openagent.db'));
    t.after(() => s.db.close());
    for (const i of [0, 1, 2]) {
      s.submit('a', { sessionId: `s${i}` });
      (await until(() => s.model.calls[i], 'a model call')).answer('b');
    }
    await until(() => s.rows().every((row) => row.state === 'done') && s.rows()[2], 'three outcomes');
    const age = s.db.prepare('UPDATE turns SET accepted_at = 0 WHERE id = ?');
    const [first, , third] = s.rows();
    for (const row of [first, third]) age.run(row?.id);
    const minuteAgo = Date.now() - 60_000;
    assert.equal(s.journal.trim(minuteAgo, 10), false);
    assert.deepEqual(
      s.rows().map((row) => row.text),
      [null, 'a', 'a'],
    );
  });
});

describe('openDatabase', () => {
  test('names a damaged file and what to do about it', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    await writeFile(path, 'this is not a database, but long enough to look at '.repeat(100));
    await assert.rejects(openDatabase(path, systemClock), (error) => {
      assert.ok(hasCode('storage.corrupt')(error));
      assert.ok((error as Error).message.includes(path) && (error as Error).message.includes('backup'));
      return true;
    });
  });

  test('does not open a file of a newer version', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    (await openDatabase(path, systemClock)).pragma('user_version = 99');
    await assert.rejects(openDatabase(path, systemClock), hasCode('storage.version'));
  });

  test('gives up on a lock after a while', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    const other = new SqliteDatabase(path);
    t.after(() => other.close());
    other.exec('BEGIN EXCLUSIVE');
    const hurried = { ...systemClock, setTimeout: (callback: () => void) => setImmediate(callback) };
    await assert.rejects(openDatabase(path, hurried), hasCode('storage.locked'));
  });

  test('leaves only the first pages of a new WAL to the sync of a later commit', async (t) => {
    const db = await openDatabase(join(await tempDir(t), 'openagent.db'), systemClock);
    t.after(() => db.close());
    const safety = () => [
      db.pragma('synchronous', { simple: true }),
      db.pragma('wal_autocheckpoint', { simple: true }),
    ];
    db.pragma('wal_checkpoint(TRUNCATE)');
    const [during, usual] = [withoutSyncs(db, safety), safety()];
    assert.deepEqual({ during, usual }, { during: [0, 0], usual: [1, 1_000] });
    assert.throws(() => withoutSyncs(db, () => db.exec('no SQL')), /syntax error/);
    assert.deepEqual(safety(), usual);
    db.pragma('user_version = 98');
    assert.deepEqual(withoutSyncs(db, safety), usual, 'its header must be on disk before them');
  });

  test('keeps tables and rows that the reference made', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    const reference = new SqliteDatabase(path);
    reference.exec(`CREATE TABLE usage_log (id TEXT PRIMARY KEY, timestamp REAL NOT NULL, model TEXT NOT NULL,
      input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost REAL NOT NULL, session_id TEXT,
      year_month TEXT NOT NULL);
      INSERT INTO usage_log VALUES ('u1', 1.5, 'openai:gpt-4o', 10, 20, 0.25, 's', '2026-11')`);
    reference.close();
    const db = await openDatabase(path, systemClock);
    t.after(() => db.close());
    assert.deepEqual(db.prepare('SELECT model, cost FROM usage_log').all(), [
      { model: 'openai:gpt-4o', cost: 0.25 },
    ]);
  });
});

test('a client key tells named clients from unnamed ones, whatever they call themselves', () => {
  assert.notEqual(namedClient('1:2', '').key, namedClient('2', '1').key);
});
