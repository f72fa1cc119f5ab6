/**
 * What a turn that thinks has done so far: its model steps, its tool calls, and the pieces of the answer that its client
 * was sent. Written through the journal, so that a step is durable before its calls act, and a call before it acts: a
 * start of the agent goes on from here instead of doing anything a second time.
 */
import type { AppError } from '../contract/errors.ts';
import type { Database } from './database.ts';
import type { Journal } from './journal.ts';

export interface StepRecord {
  readonly turnId: number;
  /** From 0. */
  readonly step: number;
  readonly text: string;
  /** JSON texts: of the calls, and of what the provider wants to see again. */
  readonly calls: string;
  readonly providerData: string | null;
  /** Runtime id. */
  readonly model: string | null;
  /** Of the last delta that belongs to it or to an earlier one. */
  readonly lastSeq: number;
}

export interface CallRecord {
  readonly turnId: number;
  readonly step: number;
  /** In its step, from 0. */
  readonly position: number;
  readonly callId: string;
  readonly name: string;
  /** JSON text. */
  readonly input: string;
  readonly effect: string;
}

export interface EndedCall extends Pick<CallRecord, 'step' | 'position' | 'callId' | 'name'> {
  readonly answer: string;
  readonly isError: boolean;
}

export interface Delta {
  readonly seq: number;
  readonly text: string;
  /** What was sent before this one, and has a higher seq than that, is void: the model began that step again. */
  readonly voidAfter: number | null;
}

export interface TurnSteps {
  /** Durable when it resolves; kept and tried again while it cannot be written. */
  recordStep(step: StepRecord, nowMs: number): Promise<void>;
  /** Durable before the tool acts. Rejects with `storage.unavailable`: then it must not act. */
  beginCall(call: CallRecord, nowMs: number): Promise<void>;
  endCall(call: CallRecord, answer: { text: string; isError: boolean }, nowMs: number): Promise<void>;
  recordDeltas(turnId: number, deltas: readonly Delta[], committed: () => void): void;
  stepsOf(turnId: number): readonly StepRecord[];
  endedCallsOf(turnId: number): readonly EndedCall[];
  /** Of calls that do something those that have begun and have no answer. */
  openCallsOf(turnId: number): readonly Pick<CallRecord, 'step' | 'position'>[];
  /** A call that must not run twice has begun, and nobody knows how it ended. */
  openUnsafeCall(turnId: number): { readonly name: string } | undefined;
  deltasOf(turnId: number, afterSeq: number): readonly Delta[];
  /** Of turns that ended before, at most `turnsMax` at a time. True when more remain. */
  trimDeltas(endedBeforeMs: number, turnsMax: number): boolean;
}

type Statements = ReturnType<typeof prepare>;

/** Nothing is prepared before something is asked: most turns of the echo model never are. */
export function createTurnSteps(db: Database, journal: Pick<Journal, 'write' | 'writeOrRefuse'>): TurnSteps {
  let prepared: Statements | undefined;
  const sql = (): Statements => {
    prepared ??= prepare(db);
    return prepared;
  };
  const durable = (begin: (committed: (error: AppError | undefined) => void) => void): Promise<void> =>
    new Promise((resolve, reject) => begin((error) => (error ? reject(error) : resolve())));

  return {
    recordStep: (step, nowMs) =>
      durable((done) => journal.write('step', () => sql().step(step, nowMs), done)),
    beginCall: (call, nowMs) =>
      durable((done) => journal.writeOrRefuse('call', () => sql().begin(call, nowMs), done)),
    endCall: (call, answer, nowMs) =>
      durable((done) => journal.write('answer', () => sql().end(call, answer, nowMs), done)),
    recordDeltas: (turnId, deltas, committed) =>
      journal.write('delta', () => sql().deltas(turnId, deltas), committed),
    stepsOf: (turnId) => sql().stepsOf(turnId),
    endedCallsOf: (turnId) => sql().endedCallsOf(turnId),
    openCallsOf: (turnId) => sql().openCallsOf(turnId),
    openUnsafeCall: (turnId) => sql().openUnsafe(turnId),
    deltasOf: (turnId, afterSeq) => sql().deltasOf(turnId, afterSeq),
    trimDeltas: (endedBeforeMs, turnsMax) => trimDeltas(db, endedBeforeMs / 1000, turnsMax),
  };
}

interface StepRow {
  readonly turn_id: number;
  readonly step: number;
  readonly text: string;
  readonly calls: string;
  readonly provider_data: string | null;
  readonly model: string | null;
  readonly last_seq: number;
}

interface CallRow {
  readonly step: number;
  readonly position: number;
  readonly call_id: string;
  readonly name: string;
  readonly answer: string;
  readonly is_error: number;
}

function prepare(db: Database) {
  const step = db.prepare(
    `INSERT OR REPLACE INTO turn_steps (turn_id, step, text, calls, provider_data, model, last_seq, ended_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const begin = db.prepare(
    `INSERT OR REPLACE INTO tool_calls (turn_id, step, position, call_id, name, input, effect, started_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const end = db.prepare(
    `INSERT INTO tool_calls (turn_id, step, position, call_id, name, input, effect, ended_at, answer, is_error)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (turn_id, step, position) DO UPDATE
     SET ended_at = excluded.ended_at, answer = excluded.answer, is_error = excluded.is_error`,
  );
  const delta = db.prepare('INSERT INTO turn_deltas (turn_id, seq, text, void_after) VALUES (?, ?, ?, ?)');
  const steps = db.prepare('SELECT * FROM turn_steps WHERE turn_id = ? ORDER BY step');
  const ended = db.prepare(
    'SELECT * FROM tool_calls WHERE turn_id = ? AND ended_at IS NOT NULL ORDER BY step, position',
  );
  const open = db.prepare('SELECT step, position FROM tool_calls WHERE turn_id = ? AND ended_at IS NULL');
  const unsafe = db.prepare(
    `SELECT name FROM tool_calls WHERE turn_id = ? AND effect = 'unsafe' AND ended_at IS NULL LIMIT 1`,
  );
  const deltas = db.prepare(
    'SELECT seq, text, void_after AS voidAfter FROM turn_deltas WHERE turn_id = ? AND seq > ? ORDER BY seq',
  );
  const keyOf = ({ turnId, step: at, position, callId, name, input, effect }: CallRecord) =>
    [turnId, at, position, callId, name, input, effect] as const;
  return {
    step: (row: StepRecord, nowMs: number) =>
      void step.run(
        ...[row.turnId, row.step, row.text, row.calls, row.providerData, row.model, row.lastSeq],
        nowMs / 1000,
      ),
    begin: (call: CallRecord, nowMs: number) => void begin.run(...keyOf(call), nowMs / 1000),
    end: (call: CallRecord, answer: { text: string; isError: boolean }, nowMs: number) =>
      void end.run(...keyOf(call), nowMs / 1000, answer.text, answer.isError ? 1 : 0),
    deltas: (turnId: number, rows: readonly Delta[]) => {
      for (const { seq, text, voidAfter } of rows) delta.run(turnId, seq, text, voidAfter);
    },
    stepsOf: (turnId: number) => (steps.all(turnId) as StepRow[]).map(toStep),
    endedCallsOf: (turnId: number) => (ended.all(turnId) as CallRow[]).map(toEndedCall),
    openCallsOf: (turnId: number) => open.all(turnId) as Pick<CallRecord, 'step' | 'position'>[],
    openUnsafe: (turnId: number) => unsafe.get(turnId) as { name: string } | undefined,
    deltasOf: (turnId: number, afterSeq: number) => deltas.all(turnId, afterSeq) as Delta[],
  };
}

function toStep(row: StepRow): StepRecord {
  const { turn_id: turnId, step, text, calls, model } = row;
  return { turnId, step, text, calls, model, providerData: row.provider_data, lastSeq: row.last_seq };
}

function toEndedCall({ step, position, call_id: callId, name, answer, is_error }: CallRow): EndedCall {
  return { step, position, callId, name, answer, isError: is_error === 1 };
}

function trimDeltas(db: Database, endedBefore: number, turnsMax: number): boolean {
  const old = db
    .prepare(
      `SELECT turn_id FROM (SELECT DISTINCT turn_id FROM turn_deltas ORDER BY turn_id LIMIT ?)
       WHERE EXISTS (SELECT 1 FROM turn_outcomes WHERE turn_outcomes.id = turn_id AND ended_at < ?)`,
    )
    .all(turnsMax, endedBefore) as { turn_id: number }[];
  const remove = db.prepare('DELETE FROM turn_deltas WHERE turn_id = ?');
  if (old.length > 0) db.transaction(() => old.forEach(({ turn_id: id }) => void remove.run(id))).immediate();
  return old.length === turnsMax;
}
