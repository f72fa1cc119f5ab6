import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import { lastUserText, type ModelMessage, type ModelProvider } from '../../src/models/provider.ts';
import { createThinkingModel, createTool, type Script, toolParts } from '../fixtures/thinking.ts';
import { openTurns, type Setup, startTurns, tempDir, until } from '../fixtures/turns.ts';

/** The script's answers in order, whatever is asked. */
const inOrder =
  (...steps: readonly (readonly Awaited<ReturnType<Script>>[number][])[]): Script =>
  (_request, call) =>
    steps[call] ?? ['nothing more'];

async function start(
  t: TestContext,
  script: Script,
  parts: Partial<ReturnType<typeof toolParts>> = {},
  more: Parameters<typeof startTurns>[1] = {},
) {
  const model = createThinkingModel(script);
  const s = await startTurns(t, { ...more, model, mind: () => parts });
  return { ...s, model };
}

const ends = (s: Pick<Setup, 'outlet'>, count: number) =>
  until(() => s.outlet.ends().length >= count && s.outlet.ends(), `${count} ends`);
const statuses = (s: Pick<Setup, 'outlet'>) =>
  s.outlet.frames.filter(({ type }) => type === 'status').map(({ text }) => String(text));
const roles = (messages: readonly ModelMessage[] = []) => messages.map(({ role }) => role);

describe('a turn with tools', () => {
  test('calls what the model asks for, gives it the answers, and ends with what it says then', async (t) => {
    const look = createTool('look', 'none', async (input) => ({ text: `seen ${JSON.stringify(input)}` }));
    const script = inOrder(['I look. ', { call: 'look', input: { at: 1 } }], ['It is there.']);
    const s = await start(t, script, toolParts(look));
    s.submit('look');
    const [end] = await ends(s, 1);
    assert.equal(end?.text, 'I look. \n\nIt is there.');
    assert.equal(end?.model, 'test:thinker');
    const second = s.model.requests[1];
    assert.deepEqual(roles(second?.messages), ['user', 'assistant', 'tool']);
    assert.deepEqual(second?.messages[2], {
      role: 'tool',
      results: [{ id: 'c0-0', name: 'look', text: 'seen {"at":1}', isError: false }],
    });
    assert.deepEqual(
      second?.tools?.map(({ name }) => name),
      ['look'],
    );
  });

  test('tells every client of its calls as the reference does, and those that asked by typed frames too', async (t) => {
    const fail = createTool('fail', 'none', async () => ({ text: 'no such thing', isError: true }));
    const script = inOrder([{ call: 'look', input: { q: 'x'.repeat(5_000) } }, { call: 'fail' }], ['done']);
    const s = await start(t, script, toolParts(createTool('look', 'none'), fail));
    s.outlet.wantsTools = true;
    s.submit('go');
    await ends(s, 1);
    const told = statuses(s)
      .filter((text) => text.startsWith('{'))
      .map((text) => JSON.parse(text));
    assert.deepEqual(told.map(({ tool, status }) => [tool, status]).sort(), [
      ['fail', 'error'],
      ['fail', 'running'],
      ['look', 'done'],
      ['look', 'running'],
    ]);
    assert.ok(told.every(({ params }) => (params?.q?.length ?? 0) < 1_000));
    assert.equal(told.find(({ status }) => status === 'error').error, 'no such thing');
    assert.equal(told.find(({ status }) => status === 'done').result, 'look done');
    const typed = s.outlet.frames.filter(({ type }) => type === 'tool');
    assert.equal(typed.length, 4);
    assert.equal(typed.filter(({ call_id }) => call_id === 'c0-1').at(-1)?.status, 'error');
  });

  test('runs calls that only look side by side, and all others one after the other', async (t) => {
    for (const effect of ['none', 'unsafe'] as const) {
      let [atOnce, most] = [0, 0];
      const slow = createTool('slow', effect, async () => {
        most = Math.max(most, ++atOnce);
        for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
        atOnce -= 1;
        return { text: 'ok' };
      });
      const s = await start(t, inOrder([{ call: 'slow' }, { call: 'slow' }], ['done']), toolParts(slow));
      s.submit('go');
      await ends(s, 1);
      assert.equal(most, effect === 'none' ? 2 : 1);
      assert.equal(slow.runs.length, 2);
    }
  });

  test('has a call that does something on disk before it does it, and the step before that', async (t) => {
    const seen: unknown[] = [];
    let s: Awaited<ReturnType<typeof start>> | undefined;
    const act = createTool('act', 'unsafe', async () => {
      const row = s?.db.prepare('SELECT name, effect, ended_at FROM tool_calls').get();
      seen.push(row, s?.db.prepare('SELECT count(*) AS n FROM turn_steps').get());
      return { text: 'acted' };
    });
    s = await start(t, inOrder([{ call: 'act' }], ['done']), toolParts(act));
    s.submit('go');
    await ends(s, 1);
    assert.deepEqual(seen, [{ name: 'act', effect: 'unsafe', ended_at: null }, { n: 1 }]);
    const row = s.db.prepare('SELECT answer, is_error FROM tool_calls').get();
    assert.deepEqual(row, { answer: 'acted', is_error: 0 });
  });

  test('ends with a code when the model calls tools without end', async (t) => {
    const script: Script = () => [{ call: 'look' }];
    const s = await start(t, script, toolParts(createTool('look', 'none')), { limits: { toolSteps: 3 } });
    s.submit('go');
    const [end] = await ends(s, 1);
    assert.equal(end?.code, 'turn.too_many_steps');
    assert.equal(s.model.requests.length, 4);
  });

  test('is stopped at once while a tool that hears nothing is at work', async (t) => {
    let isRunning = false;
    const deaf = createTool('deaf', 'unsafe', () => {
      isRunning = true;
      return new Promise(() => {});
    });
    const s = await start(t, inOrder([{ call: 'deaf' }], ['never']), toolParts(deaf));
    s.submit('go');
    await until(() => isRunning, 'the tool runs');
    s.engine.stop(s.outlet.client, undefined);
    const [end] = await ends(s, 1);
    assert.equal(end?.code, 'turn.cancelled');
    assert.equal(s.model.requests.length, 1);
    assert.equal(s.rows()[0]?.state, 'cancelled');
  });

  test('holds none of the model calls while a tool is at work', async (t) => {
    let release = (): void => {};
    const slow = createTool(
      'slow',
      'none',
      () => new Promise((resolve) => (release = () => resolve({ text: 'ok' }))),
    );
    const script: Script = ({ messages }) => {
      const last = messages.at(-1);
      return last?.role === 'user' && last.text === 'slow' ? [{ call: 'slow' }] : ['fine'];
    };
    const s = await start(t, script, toolParts(slow), { limits: { concurrentModelCalls: 1 } });
    s.submit('slow', { sessionId: 'one' });
    await until(() => slow.runs.length === 1, 'the tool runs');
    s.submit('quick', { sessionId: 'two' });
    const [first] = await ends(s, 1);
    assert.equal(first?.session_id, 'two');
    release();
    await ends(s, 2);
  });

  test('holds none of them while it waits to try again', async (t) => {
    let goOn = (): void => {};
    const pause = new Promise<void>((resolve) => (goOn = resolve));
    const answering = createThinkingModel(() => ['fine']);
    const model: ModelProvider = {
      ...answering,
      async *stream(request) {
        if (lastUserText(request.messages) === 'limited') await request.rest?.(() => pause);
        yield* answering.stream(request);
      },
    };
    const limits = { concurrentModelCalls: 1 };
    const s = await startTurns(t, { limits, model, mind: () => ({}) });
    s.submit('limited', { sessionId: 'one' });
    s.submit('quick', { sessionId: 'two' });
    const [first] = await ends(s, 1);
    assert.equal(first?.session_id, 'two');
    goOn();
    const both = await ends(s, 2);
    assert.deepEqual(
      both.map(({ type }) => type),
      ['response', 'response'],
    );
  });

  test('asks for a place in the budget before each step, and ends when there is none', async (t) => {
    let [begun, ended] = [0, 0];
    const meter = async () => {
      if (++begun > 1) throw new AppError('model.quota', 'The budget is spent');
      return { take: () => {}, end: () => void ended++ };
    };
    const s = await startTurns(t, {
      model: createThinkingModel(inOrder([{ call: 'look' }], ['never'])),
      mind: () => ({ ...toolParts(createTool('look', 'none')), meter }),
    });
    s.submit('go');
    const [end] = await ends(s, 1);
    assert.equal(end?.code, 'model.quota');
    assert.deepEqual([begun, ended], [2, 1]);
  });

  test('tries again with less where the conversation is too long for the model', async (t) => {
    const tooLong = new AppError('model.context_too_long', 'too long');
    const long = createTool('long', 'none', async () => ({ text: 'y'.repeat(10_000) }));
    const script: Script = ({ messages }) => {
      if (messages.length === 1) return [{ call: 'long' }];
      return JSON.stringify(messages).length > 5_000 ? [tooLong] : ['short enough'];
    };
    const s = await start(t, script, toolParts(long));
    s.submit('go');
    const [end] = await ends(s, 1);
    assert.equal(end?.text, 'short enough');
  });
});

describe('the next start', () => {
  test('goes on behind the last step that is on disk, and makes no call twice', async (t) => {
    const act = createTool('act', 'unsafe');
    // The second model step never ends in this life.
    const hang = createThinkingModel((_request, call) =>
      call === 0 ? [{ call: 'act' }] : new Promise(() => {}),
    );
    const path = `${await tempDir(t)}/openagent.db`;
    const first = await openTurns(path, { model: hang, mind: () => toolParts(act) });
    first.submit('go', { id: 'k' });
    await until(() => hang.requests.length === 2, 'the second step');
    first.engine.beginDrain('restart');
    await first.engine.drained(0);
    first.db.close();
    const model = createThinkingModel(() => ['Finished.']);
    const second = await openTurns(path, { model, mind: () => toolParts(act) });
    t.after(() => second.db.close());
    await until(() => second.rows()[0]?.state === 'done', 'the turn is done');
    assert.equal(act.runs.length, 1);
    assert.deepEqual(roles(model.requests[0]?.messages), ['user', 'assistant', 'tool']);
    assert.equal(second.rows()[0]?.attempts, 1);
  });

  for (const effect of ['unsafe', 'repeatable', 'none'] as const) {
    test(`${effect === 'unsafe' ? 'never repeats' : 'repeats'} a call of the effect "${effect}" without an end`, async (t) => {
      const path = `${await tempDir(t)}/openagent.db`;
      const hanging = createTool('act', effect, () => new Promise(() => {}));
      const script: Script = ({ messages }) => (messages.length === 1 ? [{ call: 'act' }] : ['all done']);
      const first = await openTurns(path, {
        model: createThinkingModel(script),
        mind: () => toolParts(hanging),
      });
      first.submit('go');
      await until(() => hanging.runs.length === 1, 'the tool runs');
      first.engine.beginDrain('restart');
      await first.engine.drained(0);
      first.db.close();
      const act = createTool('act', effect);
      const second = await openTurns(path, {
        model: createThinkingModel(script),
        mind: () => toolParts(act),
      });
      t.after(() => second.db.close());
      const row = await until(() => second.rows().find(({ ended_at }) => ended_at !== null), 'the turn ends');
      assert.equal(row.state, effect === 'unsafe' ? 'interrupted' : 'done');
      assert.equal(act.runs.length, effect === 'unsafe' ? 0 : 1);
      if (effect === 'unsafe') assert.match(String(row.outcome), /the tool act was at work/);
    });
  }
});
