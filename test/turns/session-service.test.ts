import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createSessionService } from '../../src/actors/session-service.ts';
import { systemClock } from '../../src/contract/clock.ts';
import { SESSION_SCHEMAS } from '../../src/contract/schemas/sessions.ts';
import { Conversations } from '../../src/sessions/conversation.ts';
import { createThinkingModel, createTool, toolParts } from '../fixtures/thinking.ts';
import { openTurns, tempDir, until } from '../fixtures/turns.ts';

async function start(t: TestContext) {
  const path = join(await tempDir(t), 'openagent.db');
  const model = createThinkingModel(({ messages }) =>
    messages.at(-1)?.role === 'user' ? ['I look.', { call: 'look' }] : ['Seen.'],
  );
  const s = await openTurns(path, {
    model,
    mind: ({ records }) => ({
      ...toolParts(createTool('look', 'none')),
      conversations: new Conversations({ records, clock: systemClock, historyTokens: () => 10_000 }),
    }),
  });
  t.after(() => s.db.close());
  for (const [at, [text, sessionId]] of (
    [
      ['one', 's'],
      ['two', 's'],
      ['five', 5],
    ] as const
  ).entries()) {
    s.submit(text, { sessionId });
    await until(() => s.outlet.ends().length > at, `the end of ${text}`);
  }
  return { ...s, service: createSessionService(s.records, path, () => {}) };
}

test('sessions are listed, told turn by turn and page by page, and forgotten', async (t) => {
  const { service, engine, outlet } = await start(t);
  const sessions = await service.list(10, 0);
  SESSION_SCHEMAS.listSessions.response.parse({ sessions });
  assert.deepEqual(sessions.map(({ session_id, title, turns }) => [session_id, title, turns]).sort(), [
    [5, 'five', 1],
    ['s', 'one', 2],
  ]);
  const page = await service.history('s', { limit: 1, before: undefined });
  SESSION_SCHEMAS.getSessionHistory.response.parse(page);
  assert.equal(page.more, true);
  assert.deepEqual(
    page.turns[0]?.messages.map(({ role, text, tools }) => [role, text, ...tools]),
    [
      ['user', 'two'],
      ['assistant', 'I look.', 'look'],
      ['tool', 'look done', 'look'],
      ['assistant', 'Seen.'],
    ],
  );
  const older = await service.history('s', { limit: 1, before: page.turns[0]?.turn_id });
  assert.deepEqual([older.more, older.turns[0]?.messages[0]?.text], [false, 'one']);
  engine.beginAfresh(outlet.client, 's');
  const cut = await service.history('s', { limit: 9, before: undefined });
  assert.deepEqual(
    cut.turns.map(({ in_context: isShown }) => isShown),
    [false, false],
  );
  assert.equal((await service.history('5', { limit: 9, before: undefined })).turns.length, 1);
  await service.remove('s');
  await assert.rejects(service.history('s', { limit: 9, before: undefined }), { code: 'session.not_found' });
  await assert.rejects(service.remove('s'), { code: 'session.not_found' });
});

test('the model of a session is chosen, also before anybody spoke in it', async (t) => {
  const { service, records } = await start(t);
  await service.setModel('new', 'test:one');
  await service.setModel('5', 'test:two');
  assert.deepEqual([records.state('new').model, records.state(5).model], ['test:one', 'test:two']);
  await service.setModel('5', undefined);
  assert.equal(records.state(5).model, undefined);
});
