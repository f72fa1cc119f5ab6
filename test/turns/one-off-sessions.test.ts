/** Requests of OpenAI's clients that name no session: whatever becomes of them, nobody finds one among his conversations. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createCompletions } from '../../src/actors/completions.ts';
import { startMaintenance } from '../../src/actors/maintenance.ts';
import { AppError } from '../../src/contract/errors.ts';
import { createVitals, VITALS_BYTES } from '../../src/contract/vitals.ts';
import type { CompletionEvent, CompletionRequest } from '../../src/gateway/services/completion-service.ts';
import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { rememberTurn } from '../../src/sessions/conversation.ts';
import { createSessionRecords } from '../../src/storage/session-records.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { silentLog, until } from '../fixtures/turns.ts';
import { startGateway } from '../fixtures/ws-gateway.ts';

async function start(t: TestContext) {
  let made: Parameters<typeof createCompletions>[0] | undefined;
  const gateway = await startGateway(t, createNodeTransport, {
    services: ({ engine: turns, ...parts }) => {
      made = { ...parts, turns, remembers: true, keepImages: async () => [], onDefect: assert.fail };
      return {};
    },
  });
  assert.ok(made);
  const { db, clock } = made;
  const { journal } = gateway;
  const completions = createCompletions(made);
  const sessions = createSessionRecords(db, clock);
  const ask = async (over: Partial<CompletionRequest> = {}, gone?: AbortSignal) => {
    const events: CompletionEvent[] = [];
    const request: CompletionRequest = {
      ...{
        id: 'r1',
        isKeyed: false,
        model: 'openai:other',
        sessionId: undefined,
        previousId: undefined,
        keepsSession: false,
      },
      history: [{ role: 'user', text: 'before' }],
      ...{ text: 'now', images: [], wantsDeltas: false },
      ...over,
    };
    const { sessionId } = await completions.begin(request, (event) => events.push(event), gone);
    return { events, sessionId };
  };
  const listed = () => sessions.list(10, 0).map(({ sessionId }) => sessionId);
  const soon = (check: () => boolean, what: string) => until(check, what, 15_000);
  const forgotten = async (sessionId: string) => {
    await soon(() => !sessions.has(sessionId), 'it is forgotten');
    assert.deepEqual([sessions.oneOffs(), sessions.turns(sessionId, EVER)], [[], []]);
  };
  /** As that of an agent, its first tick included. */
  const sweep = () => {
    const clock = createTestClock();
    const vitals = createVitals(new SharedArrayBuffer(VITALS_BYTES), clock.wallMs);
    const turns = gateway.engine;
    const maintenance = startMaintenance({ journal, turns, sessions, clock, log: silentLog, vitals });
    clock.advance(1_000);
    maintenance.stop();
  };
  return { gateway, journal, completions, sessions, ask, listed, soon, forgotten, sweep };
}

const EVER = { afterTurn: 0, beforeTurn: Number.MAX_SAFE_INTEGER, tokensMax: Number.MAX_SAFE_INTEGER };

for (const [end, state] of [
  ['answered', 'done'],
  ['failed', 'failed'],
  ['given up', 'cancelled'],
] as const) {
  test(`the session of a request that is ${end} is listed at no time and forgotten; the journal knows its turn`, async (t) => {
    const { gateway, sessions, ask, listed, soon, forgotten } = await start(t);
    const gone = new AbortController();
    const { sessionId } = await ask({}, gone.signal);
    await soon(() => gateway.model.calls.length === 1, 'the call');
    assert.deepEqual([listed(), sessions.state(sessionId).model], [[], 'openai:other']);
    assert.equal(sessions.turns(sessionId, EVER).length, 1);
    if (end === 'answered') gateway.model.calls[0]?.answer('yes');
    else if (end === 'failed') gateway.model.calls[0]?.fail(new AppError('model.overloaded', 'busy'));
    else gone.abort();
    await forgotten(sessionId);
    assert.deepEqual(
      gateway.rows().map((row) => [row.session_id, row.text, row.state]),
      [[sessionId, 'now', state]],
    );
  });
}

test('that of a request that is refused is forgotten too, unless another one with its key goes on', async (t) => {
  const { gateway, sessions, ask, soon, forgotten } = await start(t);
  const { sessionId } = await ask();
  await soon(() => gateway.model.calls.length === 1, 'the call');
  const reused = await ask({ text: 'something else' });
  await soon(() => reused.events.length === 1, 'it is refused');
  await soon(() => sessions.has(sessionId), 'the first one keeps what it needs');
  gateway.model.calls[0]?.answer('yes');
  await forgotten(sessionId);

  gateway.engine.beginDrain('stop');
  const refused = await ask({ id: 'r2' });
  assert.equal(refused.events[0]?.type, 'failed');
  await forgotten(refused.sessionId);
});

test('what a start finds is removed once its turn is over, and what that wrote last with it', async (t) => {
  const { gateway, journal, completions, sessions, ask, listed, soon, forgotten, sweep } = await start(t);
  const { sessionId } = await ask();
  await soon(() => gateway.model.calls.length === 1, 'the call');
  completions.stop();
  sweep();
  assert.ok(sessions.has(sessionId), 'its turn goes on, with what it was told');
  gateway.model.calls[0]?.answer('too late');
  await forgotten(sessionId);

  journal.write('session', () => {
    sessions.markOneOff('left', false);
    const messages = [{ role: 'user', text: 'left' } as const];
    rememberTurn({ sessionId: 'left', clientKey: 'k', turnId: 1, messages }, sessions);
    rememberTurn({ sessionId: 'mine', clientKey: 'k', turnId: 2, messages }, sessions);
  });
  journal.flush();
  assert.ok(sessions.has('left'));
  assert.deepEqual(listed(), ['mine']);
  // A turn that a start interrupts is remembered a little later.
  journal.write('memory', () => {
    const messages = [{ role: 'user', text: 'interrupted' } as const];
    rememberTurn({ sessionId: 'left', clientKey: 'k', turnId: 3, messages }, sessions);
  });
  sweep();
  await forgotten('left');
  assert.deepEqual(listed(), ['mine']);
});

test('a session that a client names, or goes on with, is listed and stays', async (t) => {
  const { gateway, ask, listed, soon } = await start(t);
  for (const [at, over] of [{ sessionId: 'mine' }, { keepsSession: true, id: 'r2' }].entries()) {
    const { events } = await ask(over);
    await soon(() => gateway.model.calls.length === at + 1, 'the call');
    gateway.model.calls[at]?.answer('yes');
    await soon(() => events.length === 1, 'the answer');
  }
  assert.deepEqual([...listed()].sort(), ['mine', 'openai:r2']);
});
