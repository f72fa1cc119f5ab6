import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { systemClock } from '../../src/contract/clock.ts';
import type { ModelRequest } from '../../src/models/provider.ts';
import { Conversations } from '../../src/sessions/conversation.ts';
import { Summaries } from '../../src/sessions/summaries.ts';
import type { SessionRecords } from '../../src/storage/session-records.ts';
import { createThinkingModel, createTool, type Script, toolParts } from '../fixtures/thinking.ts';
import { openTurns, type Setup, silentLog, startTurns, tempDir, until } from '../fixtures/turns.ts';

interface Asked {
  readonly text: string;
  readonly model: string | undefined;
}

function memory(tokens: number, asked: Asked[] = []) {
  const historyTokens = () => tokens;
  return ({ records }: { records: SessionRecords }) => ({
    conversations: new Conversations({ records, clock: systemClock, historyTokens }),
    summaries: new Summaries({
      ...{ records, log: silentLog, historyTokens },
      ask: async ({ text, model }) => {
        asked.push({ text, model });
        return `summary ${asked.length}`;
      },
    }),
    systemPrompt: ({ summary }: { summary: string | undefined }) => `system ${summary ?? 'without summary'}`,
  });
}

const said = (request: ModelRequest | undefined) =>
  (request?.messages ?? []).map((message) =>
    message.role === 'tool' ? message.results.map(({ text }) => text).join() : message.text,
  );

async function start(
  t: TestContext,
  tokens = 10_000,
  script: Script = ({ messages }) => [`re ${messages.length}`],
) {
  const model = createThinkingModel(script);
  const asked: Asked[] = [];
  const s = await startTurns(t, { model, mind: memory(tokens, asked) });
  return { ...s, model, asked };
}

async function say(s: Pick<Setup, 'outlet' | 'submit'>, text: string, sessionId: string | number = 's') {
  const before = s.outlet.ends().length;
  s.submit(text, { sessionId });
  await until(() => s.outlet.ends().length > before, `the end of ${text}`);
}

describe('a session', () => {
  test('brings along what was said in it, and in no other one', async (t) => {
    const s = await start(t);
    await say(s, 'one');
    await say(s, 'other', 5);
    await say(s, 'third', '5');
    await say(s, 'two');
    assert.deepEqual(said(s.model.requests[1]), ['other']);
    assert.deepEqual(said(s.model.requests[2]), ['third']);
    assert.deepEqual(said(s.model.requests[3]), ['one', 're 1', 'two']);
  });

  test('is remembered by the next start', async (t) => {
    const path = join(await tempDir(t), 'openagent.db');
    const first = await openTurns(path, { model: createThinkingModel(() => ['hi']), mind: memory(10_000) });
    await say(first, 'one');
    first.db.close();
    const model = createThinkingModel(() => ['hi again']);
    const second = await openTurns(path, { model, mind: memory(10_000) });
    t.after(() => second.db.close());
    await say(second, 'two');
    assert.deepEqual(said(model.requests[0]), ['one', 'hi', 'two']);
  });

  for (const [name, sessionId] of [
    ['that is named', 's'],
    ['of the client, where none is named', undefined],
  ] as const) {
    test(`${name}, begun afresh, remembers nothing of what was said before`, async (t) => {
      const s = await start(t);
      await say(s, 'one');
      s.engine.beginAfresh(s.outlet.client, sessionId);
      await say(s, 'two');
      await say(s, 'three');
      assert.deepEqual(said(s.model.requests[1]), ['two']);
      assert.deepEqual(said(s.model.requests[2]), ['two', 're 1', 'three']);
    });
  }

  test('begun afresh while a turn runs does not remember that one either', async (t) => {
    let answer = (): void => {};
    const s = await start(t, 10_000, (_request, call) =>
      call === 0 ? new Promise((resolve) => (answer = () => resolve(['late']))) : ['fine'],
    );
    s.submit('secret');
    await until(() => s.model.requests.length === 1, 'the model call');
    s.engine.beginAfresh(s.outlet.client, undefined);
    answer();
    await until(() => s.outlet.ends().length === 1, 'its end');
    await say(s, 'next');
    assert.deepEqual(said(s.model.requests[1]), ['next']);
  });

  test('brings no more than it may, sums up what falls out, and waits for no summary', async (t) => {
    const s = await start(t, 400, () => ['y'.repeat(200)]);
    for (let i = 0; i < 6; i += 1) await say(s, `${i} ${'x'.repeat(200)}`);
    await until(() => s.asked.length > 0, 'a summary');
    assert.match(String(s.asked[0]?.text), /Person: 0 x/);
    for (const { messages } of s.model.requests) assert.ok(JSON.stringify(messages).length < 2_500);
    await say(s, 'last');
    const last = s.model.requests.at(-1);
    assert.match(String(last?.system), /^system summary \d/);
    assert.ok(!said(last).some((text) => text.startsWith('0 ')));
    s.engine.beginAfresh(s.outlet.client, 's');
    await say(s, 'afresh');
    assert.equal(s.model.requests.at(-1)?.system, 'system without summary');
  });

  test('answers with the model that was chosen for it', async (t) => {
    const s = await start(t);
    s.records.setModel('s', 'test:other');
    await say(s, 'one');
    assert.equal(s.model.requests[0]?.model, 'test:other');
    s.records.setModel('s', undefined);
    await say(s, 'two');
    assert.equal(s.model.requests[1]?.model, undefined);
  });

  test('knows of a turn that was stopped behind a tool, whole enough for the next call', async (t) => {
    const act = createTool('act', 'unsafe');
    const model = createThinkingModel(({ messages }, call) =>
      call === 0 ? [{ call: 'act' }] : call === 1 ? new Promise(() => {}) : [`re ${messages.length}`],
    );
    const s = await startTurns(t, {
      model,
      mind: (base) => ({ ...memory(10_000)(base), ...toolParts(act) }),
    });
    s.submit('do it');
    await until(() => model.requests.length === 2, 'the second step');
    s.engine.stop(s.outlet.client, undefined);
    await until(() => s.outlet.ends().length === 1, 'its end');
    await say(s, 'what did you do?');
    const last = model.requests.at(-1)?.messages ?? [];
    assert.deepEqual(
      last.map(({ role }) => role),
      ['user', 'assistant', 'tool', 'assistant', 'user'],
    );
    assert.match(said(model.requests.at(-1))[3] ?? '', /Stopped here by the person/);
  });

  for (const [when, isLate] of [
    ['before it is taken up', false],
    ['while it waits for its tools', true],
  ] as const) {
    test(`knows of a turn that was cut by a restart, and then stopped ${when}`, async (t) => {
      const path = join(await tempDir(t), 'openagent.db');
      const act = createTool('act', 'unsafe');
      const hang = createTool('hang', 'repeatable', () => new Promise(() => {}));
      const { tools, toolRunner } = toolParts(act, hang);
      const first = await openTurns(path, {
        model: createThinkingModel(() => [{ call: 'act' }, { call: 'hang' }]),
        mind: (base) => ({ ...memory(10_000)(base), tools, toolRunner }),
      });
      first.submit('do it');
      await until(() => hang.runs.length === 1, 'its second tool');
      // The end of its drain leaves a turn as a crash does.
      first.engine.beginDrain('restart');
      await first.engine.drained(0);
      first.db.close();
      let asked = 0;
      const late = () => {
        asked += 1;
        return isLate && asked === 1 ? new Promise<never>(() => {}) : tools();
      };
      const model = createThinkingModel(() => ['fine']);
      const second = await openTurns(path, {
        model,
        mind: (base) => ({ ...memory(10_000)(base), tools: late, toolRunner }),
      });
      t.after(() => second.db.close());
      if (isLate) await until(() => asked === 1, 'it asks for its tools');
      second.engine.stop(second.outlet.client, undefined);
      await until(() => second.outlet.ends().length === 1, 'its end');
      await say(second, 'what did you do?');
      const [wish, , answers, last] = said(model.requests[0]);
      assert.equal(wish, 'do it');
      assert.equal(answers, 'act done,It did not end: nobody knows what it did.');
      assert.match(String(last), /^\[(Ended here by a crash|Stopped here by the person)/);
      assert.equal(act.runs.length, 1);
    });
  }

  test('keeps nothing of turns of the echo model', async (t) => {
    const model = createThinkingModel(() => ['echo'], 'echo');
    const s = await startTurns(t, { model, mind: memory(10_000) });
    await say(s, 'one');
    await say(s, 'two');
    assert.deepEqual(said(model.requests[1]), ['two']);
    assert.deepEqual(s.records.list(10, 0), []);
  });
});

test('a session with a model of its own brings along what that one reads, whatever its client is given', async (t) => {
  const s = await start(t);
  await say(s, 'one');
  await say(s, 'two');
  const historyTokens = (model: string | undefined) => (model === 'ollama:small' ? 1 : 10_000);
  const conversations = new Conversations({ records: s.records, clock: systemClock, historyTokens });
  const history = () => conversations.before(Number.MAX_SAFE_INTEGER, 's', 'openai:large').history.length;
  assert.equal(history(), 4);
  s.records.setModel('s', 'ollama:small');
  assert.equal(history(), 0);
});

test('of calls that a stop overtook it is known which may have done something', async (t) => {
  const never = () => new Promise<never>(() => {});
  const write = createTool('files_write', 'unsafe', never);
  const s = await startTurns(t, {
    model: createThinkingModel(() => [{ call: 'files_write' }, { call: 'files_write' }]),
    mind: (base) => ({ ...memory(10_000)(base), ...toolParts(write) }),
  });
  s.submit('write twice', { sessionId: 's' });
  await until(() => write.runs.length === 1, 'the first call');
  s.engine.stop(s.outlet.client, undefined);
  await until(() => s.outlet.ends().length > 0, 'the end');
  const [turn] = s.records.turns('s', {
    afterTurn: 0,
    beforeTurn: Number.MAX_SAFE_INTEGER,
    tokensMax: 10_000,
  });
  assert.match(turn?.messages ?? '', /nobody knows what it did.*It gave no answer, and has changed nothing/);
  assert.equal(write.runs.length, 1);
});
