import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Log } from '../../src/logging/log.ts';
import { type Approval, createApprovals, type Question } from '../../src/tools/approvals.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { silentLog, until } from '../fixtures/turns.ts';

const APPROVAL_MS = 60_000;

function setUp(options: { clients?: number; openMax?: number; approvalMs?: number } = {}) {
  const { approvalMs = APPROVAL_MS } = options;
  const clock = createTestClock();
  const frames: Record<string, unknown>[] = [];
  const logged: Record<string, unknown>[] = [];
  const log: Log = { ...silentLog, info: (event, fields) => void logged.push({ event, ...fields }) };
  const approvals = createApprovals({
    send: (frame) => {
      frames.push(JSON.parse(frame));
      return options.clients ?? 1;
    },
    ...{ approvalMs, clock, log },
    ...(options.openMax === undefined ? {} : { openMax: options.openMax }),
  });
  const ask = async (question: Partial<Question> = {}) => {
    const asked = frames.length;
    const pending = approvals.ask({
      ...{ tool: 'files_write', input: { path: 'a', content: 'b' }, turnId: '1-1', sessionId: 'S' },
      ...{ signal: new AbortController().signal },
      ...question,
    });
    const frame = await until(() => frames[asked], 'the question');
    return { pending, frame, id: String(frame.approval_id) };
  };
  return { approvals, clock, frames, logged, ask };
}

const CALL = { tool: 'files_write', input: { content: 'b', path: 'a' }, sessionId: 'S' };

function use(approval: Approval, call = CALL): void {
  assert.ok(approval.isAllowed);
  approval.use(call);
}

test('the question shows exactly what would be called, and until when it can be answered', async () => {
  const { approvals, clock, frames, ask } = setUp();
  const { pending, frame, id } = await ask();
  assert.deepEqual(frame, {
    ...{ type: 'approval_request', approval_id: id, session_id: 'S', turn_id: '1-1', tool: 'files_write' },
    arguments: { path: 'a', content: 'b' },
    expires_at: (clock.wallMs() + APPROVAL_MS) / 1000,
  });
  assert.deepEqual(
    approvals.open().map((open) => JSON.parse(open)),
    [frame],
  );
  assert.ok(approvals.decide(id, 'allow', 'me'));
  use(await pending);
  assert.deepEqual(approvals.open(), []);
  assert.equal(frames.at(-1)?.type, 'approval_resolved');
  assert.equal(frames.at(-1)?.decision, 'allow');
});

test('an approval holds for the very call it was given for, in whatever order its keys stand', async () => {
  const others = [
    { ...CALL, tool: 'files_read' },
    { ...CALL, sessionId: 'T' },
    { ...CALL, input: { path: 'a', content: 'c' } },
    { ...CALL, input: { path: 'a', content: 'b', if_exists: 'overwrite' } },
  ];
  for (const other of others) {
    const { approvals, ask } = setUp();
    const { pending, id } = await ask();
    approvals.decide(id, 'allow', 'me');
    const approval = await pending;
    assert.throws(() => use(approval, other as typeof CALL), { code: 'tool.denied' });
    use(approval);
  }
});

test('an approval is used once', async () => {
  const { approvals, ask } = setUp();
  const { pending, id } = await ask();
  approvals.decide(id, 'allow', 'me');
  const approval = await pending;
  use(approval);
  assert.throws(() => use(approval), { code: 'tool.denied' });
});

test('the first answer counts, a second one finds nothing', async () => {
  const { approvals, ask } = setUp();
  const { pending, id } = await ask();
  assert.equal(approvals.decide('another', 'allow', 'me'), false);
  assert.equal(approvals.decide(id, 'deny', 'me'), true);
  assert.equal(approvals.decide(id, 'allow', 'me'), false);
  assert.equal((await pending).isAllowed, false);
});

test('a question that nobody answers in time is denied', async () => {
  const { approvals, clock, frames, ask } = setUp();
  const { pending, id } = await ask();
  clock.advance(APPROVAL_MS);
  assert.deepEqual(await pending, { isAllowed: false, reason: 'nobody approved it in time' });
  assert.equal(approvals.decide(id, 'allow', 'me'), false);
  assert.equal(frames.at(-1)?.decision, 'expired');
});

test('a stop of the turn ends the question', async () => {
  const { approvals, frames, ask } = setUp();
  const turn = new AbortController();
  const { pending, id } = await ask({ signal: turn.signal });
  const reason = new Error('stopped');
  turn.abort(reason);
  await assert.rejects(pending, (error) => error === reason);
  assert.equal(approvals.decide(id, 'allow', 'me'), false);
  assert.equal(frames.at(-1)?.decision, 'cancelled');
});

test('an end of the agent denies what waits and what comes', async () => {
  const { approvals, ask, frames } = setUp();
  const { pending } = await ask();
  approvals.close();
  assert.equal((await pending).isAllowed, false);
  const count = frames.length;
  const late = await approvals.ask({ ...CALL, turnId: '1', signal: new AbortController().signal });
  assert.equal(late.isAllowed, false);
  assert.equal(frames.length, count);
});

test('where no client can answer it is denied at once, with the reason', async () => {
  const { approvals, ask } = setUp({ clients: 0 });
  const { pending } = await ask();
  const approval = await pending;
  assert.ok(!approval.isAllowed);
  assert.match(approval.reason, /no client/);
  assert.deepEqual(approvals.open(), []);
});

test('a turn that began before a crash waits for whoever was asked then, and for as long as anybody else is', async () => {
  const { approvals, clock, ask } = setUp({ clients: 0, approvalMs: 300_000 });
  const gone = await ask({ isRecovered: true });
  clock.advance(60_000);
  assert.match(String(Reflect.get(await gone.pending, 'reason')), /no client/);

  const asked = await ask({ isRecovered: true });
  assert.equal(approvals.open().length, 1);
  clock.advance(60_000);
  clock.advance(239_999);
  assert.equal(approvals.size, 1);
  clock.advance(1);
  assert.match(String(Reflect.get(await asked.pending, 'reason')), /in time/);
});

test('the number of open questions is bounded', async () => {
  const { approvals, ask } = setUp({ openMax: 2 });
  const first = await ask();
  await ask();
  const third = await approvals.ask({ ...CALL, turnId: '1', signal: new AbortController().signal });
  assert.equal(third.isAllowed, false);
  approvals.decide(first.id, 'deny', 'me');
  await first.pending;
  await ask();
});

test('arguments that nobody would read are not asked about', async () => {
  const { approvals } = setUp();
  const input = { content: 'x'.repeat(200_000) };
  const approval = await approvals.ask({ ...CALL, input, turnId: '1', signal: new AbortController().signal });
  assert.equal(approval.isAllowed, false);
});

test('every decision is logged with who made it, and no arguments', async () => {
  const { approvals, clock, logged, ask } = setUp();
  const first = await ask({ input: { secret: 'hidden-s3cret' } });
  approvals.decide(first.id, 'allow', 'somebody');
  await first.pending;
  const second = await ask();
  clock.advance(APPROVAL_MS);
  await second.pending;
  const decided = logged.filter(({ event }) => event === 'approval.decided');
  assert.deepEqual(
    decided.map(({ decision, by, tool, turn }) => ({ decision, by, tool, turn })),
    [
      { decision: 'allow', by: 'somebody', tool: 'files_write', turn: '1-1' },
      { decision: 'expired', by: undefined, tool: 'files_write', turn: '1-1' },
    ],
  );
  assert.doesNotMatch(JSON.stringify(logged), /hidden-s3cret/);
});
