import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../../src/contract/errors.ts';
import type { Approval, Question } from '../../src/tools/approvals.ts';
import { cutText } from '../../src/tools/cut-text.ts';
import { type CallContext, createToolRunner, type ToolRun } from '../../src/tools/run-tool.ts';
import type { Tool } from '../../src/tools/tool.ts';
import { createToolPolicy } from '../../src/tools/tool-policy.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { silentLog, until } from '../fixtures/turns.ts';

const TIMEOUT_MS = 1_000;

interface Setup {
  readonly tool?: Partial<Tool>;
  readonly approve?: (question: Question) => Approval;
  readonly context?: Partial<CallContext>;
  readonly input?: unknown;
  readonly outputChars?: number;
}

function setUp({ tool, approve, context, input = { a: 1 }, outputChars = 1_000 }: Setup = {}) {
  const clock = createTestClock();
  const done: string[] = [];
  const stop = new AbortController();
  const runner = createToolRunner({
    policy: createToolPolicy({}),
    approvals: {
      ask: async (question) => {
        done.push('asked');
        return approve?.(question) ?? assert.fail('nobody should be asked');
      },
    },
    ...{ timeoutMs: TIMEOUT_MS, outputChars, clock, log: silentLog },
  });
  const whole: Tool = {
    ...{ name: 'do_it', description: '', inputSchema: { type: 'object' }, effect: 'unsafe' },
    run: async () => {
      done.push('run');
      return { text: 'well' };
    },
    ...tool,
  };
  const run = (given: Tool | undefined = whole): Promise<ToolRun> =>
    runner.run(
      given,
      { id: 'c1', name: 'do_it', input },
      {
        ...{ signal: stop.signal, turnId: '1-1', sessionId: 'S', report: () => {} },
        beforeEffect: async (effect) => void done.push(`before ${effect}`),
        ...context,
      },
    );
  return { runner, run, clock, done, stop, whole };
}

const allowed = (used: unknown[] = []): Approval => ({
  isAllowed: true,
  use: (call) => void used.push(call),
});

test('a tool that does something is told of before it does it, one that only looks is not', async () => {
  const unsafe = setUp();
  assert.deepEqual(await unsafe.run(), {
    answer: { id: 'c1', name: 'do_it', text: 'well', isError: false },
    ...{ code: undefined, hasRun: true },
  });
  assert.deepEqual(unsafe.done, ['before unsafe', 'run']);
  const looking = setUp({ tool: { effect: 'none' } });
  await looking.run();
  assert.deepEqual(looking.done, ['run']);
});

test('a tool does not begin before what is told of it has been kept, and not at all when that fails', async () => {
  const failure = new AppError('storage.full', 'full');
  const { run, done } = setUp({ context: { beforeEffect: () => Promise.reject(failure) } });
  await assert.rejects(run(), (error) => error === failure);
  assert.deepEqual(done, []);
});

test('an unknown tool, a wrong input and a denied call are answers that the model can read', async () => {
  const unknown = await setUp().runner.run(
    undefined,
    { id: 'c', name: 'gone', input: {} },
    {
      ...{ signal: new AbortController().signal, turnId: 't', sessionId: null, report: () => {} },
    },
  );
  assert.equal(unknown.code, 'tool.unknown');
  assert.equal(unknown.answer.isError, true);
  const wrong = setUp({ tool: { check: () => 'path: is missing' } });
  const refused = await wrong.run();
  assert.equal(refused.code, 'tool.input_invalid');
  assert.equal(refused.hasRun, false);
  assert.match(refused.answer.text, /path: is missing/);
  const denied = await setUp({ tool: { defaultDecision: 'deny' } }).run();
  assert.equal(denied.code, 'tool.denied');
  assert.equal(denied.hasRun, false);
  assert.deepEqual(wrong.done, []);
});

test('an input that is no object, too deep or too large is refused before anybody looks at it', async () => {
  let deep: unknown = {};
  for (let levels = 0; levels < 100; levels += 1) deep = { deep };
  for (const input of [null, 'text', [1], 1, deep, { text: 'x'.repeat(9 * 1024 * 1024) }]) {
    const { run, done } = setUp({ input });
    assert.equal((await run()).code, 'tool.input_invalid');
    assert.deepEqual(done, []);
  }
});

test('a call that is approved is run after that, one that is not is explained', async () => {
  const used: unknown[] = [];
  const yes = setUp({ tool: { defaultDecision: 'ask' }, approve: () => allowed(used) });
  assert.equal((await yes.run()).answer.text, 'well');
  assert.deepEqual(yes.done, ['asked', 'before unsafe', 'run']);
  assert.deepEqual(used, [{ tool: 'do_it', input: { a: 1 }, sessionId: 'S' }]);
  const no = setUp({
    tool: { defaultDecision: 'ask' },
    approve: () => ({ isAllowed: false, reason: 'a person has denied it' }),
  });
  const refused = await no.run();
  assert.match(refused.answer.text, /a person has denied it/);
  assert.equal(refused.hasRun, false);
  assert.deepEqual(no.done, ['asked']);
});

test('what is run is what was approved, whoever changes the call meanwhile', async () => {
  const input = { path: 'a' };
  let ran: unknown;
  const { run } = setUp({
    input,
    tool: {
      defaultDecision: 'ask',
      run: async (given) => {
        ran = given;
        return { text: '' };
      },
    },
    approve: () => {
      input.path = '/etc/passwd';
      return allowed();
    },
  });
  await run();
  assert.deepEqual(ran, { path: 'a' });
});

test('a call that does not end in its time is answered, and its tool is told to stop', async () => {
  for (const timeoutMs of [undefined, 50]) {
    let signal: AbortSignal | undefined;
    const { run, clock } = setUp({
      tool: {
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
        run: (_, context) => {
          signal = context.signal;
          return new Promise(() => {});
        },
      },
    });
    const running = run();
    await until(() => signal, 'the call');
    clock.advance(timeoutMs ?? TIMEOUT_MS);
    const { code, answer, hasRun } = await running;
    assert.equal(code, 'tool.timeout');
    assert.equal(hasRun, true);
    assert.match(answer.text, /may have happened/);
    assert.equal(signal?.aborted, true);
  }
});

test('a stop of the turn ends the call at once, also of a tool that hears nothing', async () => {
  let signal: AbortSignal | undefined;
  const { run, stop } = setUp({
    tool: {
      run: (_, context) => {
        signal = context.signal;
        return new Promise(() => {});
      },
    },
  });
  const running = run();
  await until(() => signal, 'the call');
  const reason = new Error('stopped');
  stop.abort(reason);
  await assert.rejects(running, (error) => error === reason);
  assert.equal(signal?.aborted, true);
  await assert.rejects(run(), (error) => error === reason);
});

test('a failure keeps its code and sentence, a defect is none of the model’s business', async () => {
  const known = setUp({
    tool: { run: () => Promise.reject(new AppError('vault.not_found', 'No such note')) },
  });
  const told = await known.run();
  assert.equal(told.code, 'vault.not_found');
  assert.match(told.answer.text, /No such note/);
  const defect = setUp({
    tool: {
      run: () => {
        throw new TypeError('secret internals');
      },
    },
  });
  const { code, answer } = await defect.run();
  assert.equal(code, 'tool.failed');
  assert.doesNotMatch(answer.text, /secret internals/);
});

test('a long result keeps its beginning and its end', async () => {
  const text = `BEGIN${'x'.repeat(5_000)}END`;
  const { run } = setUp({ tool: { run: async () => ({ text, isError: true }) } });
  const { answer } = await run();
  assert.ok(answer.text.length <= 1_000);
  assert.match(answer.text, /^BEGIN.*characters left out.*END$/s);
  assert.equal(answer.isError, true);
});

test('property: a cut text is within its bound and well-formed', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.integer({ min: 200, max: 300 }),
      (text, max) => {
        const cut = cutText(text, max);
        assert.ok(cut.length <= Math.max(max, 0));
        if (!/\p{Surrogate}/u.test(text)) assert.doesNotMatch(cut, /\p{Surrogate}/u);
      },
    ),
    { numRuns: Number(process.env.OPENAGENT_TEST_RUNS ?? 200) },
  );
});
