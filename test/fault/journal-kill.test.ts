/** kill -9 at every point of docs/journal.md: what a client was told stays true, and nothing runs that must not. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Frame, openTurns, tempDir, until } from '../fixtures/turns.ts';
import { TYPESCRIPT } from '../fixtures/typescript.ts';

const PROGRAM = fileURLToPath(new URL('../fixtures/journal-kill.ts', import.meta.url));

interface Case {
  readonly point: string;
  readonly messages: string;
  readonly action?: 'stop';
  /** What the first message ends as after the next start; `undefined` when it was never accepted. */
  readonly ends: 'done' | 'failed' | 'cancelled' | 'interrupted' | undefined;
}

const CASES: readonly Case[] = [
  { point: 'accept pending', messages: 'a', ends: undefined },
  { point: 'accept committed', messages: 'a', ends: 'done' },
  { point: 'running pending', messages: 'a', ends: 'done' },
  { point: 'sent queued', messages: 'a,b', ends: 'done' },
  { point: 'sent status', messages: 'a', ends: 'done' },
  { point: 'model called', messages: 'a', ends: 'done' },
  { point: 'model streaming', messages: 'a,b', ends: 'done' },
  { point: 'done pending', messages: 'a,b', ends: 'done' },
  { point: 'done committed', messages: 'a,b', ends: 'done' },
  { point: 'sent response', messages: 'a,b', ends: 'done' },
  { point: 'done delivered', messages: 'a', ends: 'done' },
  { point: 'close pending', messages: 'a', ends: 'done' },
  { point: 'close committed', messages: 'a', ends: 'done' },
  { point: 'failed pending', messages: 'fail,b', ends: 'done' },
  { point: 'failed committed', messages: 'fail,b', ends: 'failed' },
  { point: 'cancelled pending', messages: 'hang,b', action: 'stop', ends: 'done' },
  { point: 'cancelled committed', messages: 'hang', action: 'stop', ends: 'cancelled' },
  { point: 'sent error', messages: 'hang', action: 'stop', ends: 'cancelled' },
];

describe('kill -9', () => {
  for (const { point, messages, action, ends } of CASES) {
    test(`at "${point}" with ${messages} loses nothing and repeats nothing`, async (t) => {
      const path = join(await tempDir(t), 'openagent.db');
      const seen = await runAndKill(path, point, messages, action);
      const back = await comeBack(path);
      t.after(() => back.db.close());
      const rows = back.rows();
      assert.equal(rows.find((row) => row.message_id === messages.split(',')[0])?.state, ends);
      assert.ok(rows.every((row) => row.ended_at !== null));
      checkFrames(seen, back.outlet.frames, rows);
    });
  }

  test('during recovery is charged before the turn runs again, and ends as interrupted at last', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    await runAndKill(path, 'model called', 'a', undefined);
    await runAndKill(path, 'attempt pending', '', undefined);
    for (const _ of [1, 2, 3]) await runAndKill(path, 'model called', '', undefined);
    const back = await comeBack(path);
    t.after(() => back.db.close());
    assert.equal(back.rows()[0]?.state, 'interrupted');
    assert.equal(back.outlet.ends()[0]?.code, 'turn.interrupted');
    assert.equal(back.model.calls.length, 0);
  });
});

async function runAndKill(
  path: string,
  point: string,
  messages: string,
  action: string | undefined,
): Promise<Frame[]> {
  const args = [...TYPESCRIPT, PROGRAM, path, point, messages, action ?? ''];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  assert.deepEqual([code, signal], [null, 'SIGKILL'], `"${point}" was not reached: ${output}`);
  return output
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Frame);
}

/** The next start, with the same client, and a model that answers at once. */
async function comeBack(path: string) {
  const setup = await openTurns(path);
  const timer = setInterval(() => {
    for (const call of setup.model.calls) call.answer('whole');
  }, 1);
  await until(() => setup.rows().every((row) => row.ended_at !== null), 'every turn ended');
  clearInterval(timer);
  return setup;
}

function checkFrames(
  before: readonly Frame[],
  after: readonly Frame[],
  rows: Record<string, unknown>[],
): void {
  const isEnd = (frame: Frame) => frame.type === 'response' || frame.type === 'error';
  for (const row of rows) {
    const own = (frame: Frame) => frame.id === row.message_id && frame.turn_id !== undefined;
    const [first, again] = [before.filter(own).filter(isEnd), after.filter(own).filter(isEnd)];
    assert.ok(first.length <= 1 && again.length <= 1, 'no frame twice in one life');
    const texts = new Set([...first, ...again].map((frame) => JSON.stringify(frame)));
    assert.equal(texts.size, 1, 'exactly one terminal frame, whatever was repeated');
    assert.equal(row.open === 1 || first.length === 1, true, 'closed only when it was delivered');
  }
  const told = new Set(before.filter((frame) => frame.turn_id !== undefined).map((frame) => frame.id));
  for (const id of told)
    assert.ok(
      rows.some((row) => row.message_id === id),
      `${id} was acknowledged and is gone`,
    );
}
