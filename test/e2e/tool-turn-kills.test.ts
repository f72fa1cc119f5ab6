/**
 * SIGKILL to everything at seeded random moments of turns with tools, on one directory that lives through all runs:
 * nothing unsafe runs twice, no message is lost, each turn has one end, and whoever resumes has the text without gap or
 * repetition. OPENAGENT_TEST_RUNS and OPENAGENT_TEST_SEED choose the runs.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { type Chat, type Frame, isTerminal, openChat } from '../fixtures/chat.ts';
import { type FleetProcess, startFleet } from '../fixtures/fleet-process.ts';
import { seeded } from '../fixtures/seeded-random.ts';
import { turnRows } from '../fixtures/turn-rows.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 2);
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);
const SESSIONS = 2;
/** So often it is killed once more, within this time of its next start. */
const KILLED_AGAIN = 0.3;
const START_MS = 900;
const YAML = `model: { provider: echo, delay_ms: 4 }
limits: { attempts_per_turn: 10 }
tools: { shell: { enabled: true }, policy: { shell_run: allow } }
`;

interface Asked {
  readonly id: string;
  readonly sessionId: string;
  readonly frames: Frame[];
}

test('kill -9 of everything in the middle of turns with tools repeats nothing and loses nothing', async (t) => {
  const random = seeded(SEED);
  const fleet = await startFleet(t, { agents: ['a1'], yaml: () => YAML });
  const turnMs = await timeOfTurn(t, fleet);
  const totals: Record<string, number> = {};
  for (let run = 1; run <= RUNS; run++) {
    const asked = Array.from({ length: SESSIONS }, (_, at) => {
      const id = `run${run}-${at}`;
      return { id, sessionId: id, frames: [] as Frame[] };
    });
    const atMs = random() * turnMs * 1.2;
    const again = random() < KILLED_AGAIN ? random() * START_MS : undefined;
    try {
      await killedWhileAsking(t, fleet, asked, atMs);
      if (again !== undefined) await killWhileStarting(fleet, again);
      await fleet.start();
      await comeBack(t, fleet, asked);
      for (const one of asked) count(totals, check(one, fleet));
    } catch (error) {
      const where = `seed ${SEED}, run ${run}, killed at ${atMs} ms, again at ${again}`;
      throw new Error(`${where}: ${String(error)}`, { cause: error });
    }
  }
  t.diagnostic(
    `seed ${SEED}, ${RUNS} kills of ${SESSIONS} turns of ${Math.round(turnMs)} ms: ${JSON.stringify(totals)}`,
  );
  await fleet.stop();
});

/** Two steps with tools, and words behind them: what the echo model answers is what its message says. */
function textOf(id: string): string {
  const shell = (act: string) =>
    `/tool shell_run ${JSON.stringify({ command: 'sh', args: ['-c', `echo ${id}.${act} >> acts; sleep 0.02`] })}`;
  return [
    `/tool vault_write ${JSON.stringify({ path: `${id}.md`, content: id })}`,
    shell('1'),
    '/then',
    '/tool vault_list {}',
    shell('2'),
    '/then',
    ...Array.from({ length: 30 }, (_, at) => `word${at}`),
  ].join('\n');
}

const connect = (t: TestContext, fleet: FleetProcess): Promise<Chat> =>
  openChat(t, fleet.agent('a1').wsUrl, { clientId: 'c', capabilities: ['delta', 'tools', 'resume'] });

function ask(chat: Chat, { id, sessionId }: Asked): void {
  chat.send({ type: 'message', text: textOf(id), session_id: sessionId, id });
}

const endOf = (chat: Chat, { id }: Asked): Promise<Frame> =>
  chat.frame((frame) => isTerminal(frame) && frame.id === id, `the end of ${id}`);

async function timeOfTurn(t: TestContext, fleet: FleetProcess): Promise<number> {
  const chat = await connect(t, fleet);
  const sinceMs = performance.now();
  const asked = { id: 'first', sessionId: 'first', frames: [] };
  ask(chat, asked);
  const end = await endOf(chat, asked);
  assert.equal(end.type, 'response', JSON.stringify(end));
  chat.close();
  return performance.now() - sinceMs;
}

async function killedWhileAsking(
  t: TestContext,
  fleet: FleetProcess,
  asked: Asked[],
  atMs: number,
): Promise<void> {
  const chat = await connect(t, fleet);
  for (const one of asked) ask(chat, one);
  await delay(atMs);
  await fleet.killGroup();
  await chat.closed();
  for (const one of asked) one.frames.push(...framesOf(chat, one));
}

async function killWhileStarting(fleet: FleetProcess, atMs: number): Promise<void> {
  const started = fleet.start().catch(() => {}); // killed before it was ready, as a rule
  await delay(atMs);
  await fleet.killGroup();
  await started;
}

/** As a careful client does: what was acknowledged is waited for, what was not is sent again under its id. */
async function comeBack(t: TestContext, fleet: FleetProcess, asked: readonly Asked[]): Promise<void> {
  const chat = await connect(t, fleet);
  for (const one of asked) {
    const seen = one.frames.flatMap(({ type, seq }) => (type === 'delta' ? [Number(seq)] : []));
    chat.send({
      type: 'resume',
      session_id: one.sessionId,
      after_seq: Math.max(0, ...seen),
      id: `r-${one.id}`,
    });
    const { state } = await chat.frame(
      ({ type, id }) => type === 'resumed' && id === `r-${one.id}`,
      'resumed',
    );
    if (one.frames.length === 0 && state === 'none') ask(chat, one);
    else assert.notEqual(state, 'none', `${one.id} was acknowledged and is lost`);
  }
  for (const one of asked) {
    if (!one.frames.some(isTerminal)) await endOf(chat, one);
  }
  // Whatever else is on its way for them comes before the answer to this.
  chat.send({ type: 'ping' });
  await chat.frame(({ type }) => type === 'pong', 'pong');
  for (const one of asked) one.frames.push(...framesOf(chat, one));
  chat.close();
}

function framesOf({ frames }: Chat, { id }: Asked): readonly Frame[] {
  return frames.filter((frame) => frame.id === id && typeof frame.turn_id === 'string');
}

/** What became of it. */
function check({ id, frames }: Asked, fleet: FleetProcess): string {
  assert.equal(new Set(frames.map(({ turn_id }) => turn_id)).size, 1, 'one turn');
  const ends = [...new Set(frames.filter(isTerminal).map((frame) => JSON.stringify(frame)))];
  assert.equal(ends.length, 1, `one end: ${ends.join('\n')}`);
  const end = JSON.parse(ends[0] ?? '') as Frame;
  const acts = actsIn(fleet, id);
  assert.equal(new Set(acts).size, acts.length, `twice: ${acts.join(', ')}`);

  let said: { readonly seq: number; readonly text: string }[] = [];
  for (const [at, frame] of frames.filter(({ type }) => type === 'delta').entries()) {
    assert.equal(frame.seq, at + 1, 'no gap and nothing twice');
    const { void_after: voidAfter } = frame;
    if (typeof voidAfter === 'number') said = said.filter(({ seq }) => seq <= voidAfter);
    said.push({ seq: at + 1, text: String(frame.text) });
  }
  const whole = said.map(({ text }) => text).join('');
  if (end.type === 'response') {
    assert.deepEqual(acts, [`${id}.1`, `${id}.2`]);
    assert.match(String(end.text), /^echo: word0\n.*word29\nvault_write: /s);
    assert.equal(whole.trim(), end.text);
  } else assert.equal(end.code, 'turn.interrupted', JSON.stringify(end));
  checkRow(join(fleet.agent('a1').dir, 'openagent.db'), id, ends[0] ?? '');
  return end.type === 'response' ? 'done' : 'interrupted';
}

function actsIn(fleet: FleetProcess, id: string): readonly string[] {
  const path = join(fleet.agent('a1').dir, 'acts');
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : [];
  return lines.filter((line) => line.startsWith(`${id}.`));
}

function checkRow(path: string, id: string, end: string): void {
  const db = new Database(path, { readonly: true });
  try {
    const rows = turnRows(db).filter((row) => row.message_id === id);
    assert.deepEqual(
      rows.map(({ outcome }) => outcome),
      [end],
    );
  } finally {
    db.close();
  }
}

function count(totals: Record<string, number>, what: string): void {
  totals[what] = (totals[what] ?? 0) + 1;
}
