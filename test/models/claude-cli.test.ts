/** Anthropic's own SDK, and a double of the program behind it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemClock } from '../../src/contract/clock.ts';
import { AppError } from '../../src/contract/errors.ts';
import { createToolServer } from '../../src/mcp/tool-server.ts';
import { type ClaudeEvent, type ClaudeTask, createClaudeCli } from '../../src/models/claude-cli.ts';
import { claudeNotInstalled, findClaudeSdk } from '../../src/models/claude-program.ts';
import { tempDir, until } from '../fixtures/turns.ts';

const PROGRAMS = fileURLToPath(new URL('../fixtures/claude', import.meta.url));

async function open(t: TestContext, permissionMode?: string) {
  const dir = await tempDir(t);
  const pathBefore = process.env.PATH;
  process.env.PATH = `${PROGRAMS}:${dirname(process.execPath)}`;
  t.after(() => {
    process.env.PATH = pathBefore;
  });
  const pids: number[] = [];
  const cli = createClaudeCli({
    ...{ dir, permissionMode, clock: systemClock },
    start: (command, args, cwd) => {
      const env = { PATH: process.env.PATH, HOME: dir };
      const child = spawn(command, args, { cwd, env, detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
      if (child.pid !== undefined) pids.push(child.pid);
      return child;
    },
  });
  const events: ClaudeEvent[] = [];
  const asked: string[] = [];
  const run = (script: unknown, more: Partial<ClaudeTask> = {}) =>
    cli.run({
      prompt: typeof script === 'string' ? script : JSON.stringify(script),
      ...{ system: 'You are a test.', model: undefined, resume: undefined, toolServer: undefined },
      signal: new AbortController().signal,
      onEvent: (event) => events.push(event),
      allow: async (tool) => {
        asked.push(tool);
        return { refusedFor: 'not now' };
      },
      ...more,
    });
  const text = () => events.map((event) => (event.type === 'text' ? event.delta : '')).join('');
  return { dir, run, events, asked, text, pids };
}

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const codeOf = (code: string, text: RegExp) => (error: unknown) => {
  assert.ok(AppError.is(error), String(error));
  assert.equal(error.code, code, error.message);
  assert.match(error.message, text);
  return true;
};

test('an answer comes in pieces, once, with what it cost; its program is gone afterwards', async (t) => {
  const { run, events, text, pids } = await open(t);
  await run('hello there');
  assert.equal(text(), 'you said: hello there');
  assert.ok(events.filter(({ type }) => type === 'text').length > 3, 'in pieces');
  const usage = events.find(({ type }) => type === 'usage');
  assert.deepEqual(usage?.type === 'usage' && usage.usage, {
    ...{ input: 15, output: 5, cacheRead: 3, cacheWrite: 2, reasoning: undefined, costUsd: 0.0125 },
  });
  await until(() => pids.every((pid) => !isAlive(pid)), 'it ends', 10_000);
});

test('a session is gone on with by its id, and begins anew where the program has lost it', async (t) => {
  const { run, events, text } = await open(t);
  await run({ name: 'first', steps: [{ say: 'one' }] });
  const began = events.find(({ type }) => type === 'began');
  assert.ok(began?.type === 'began');
  await run({ name: 'second', steps: [{ recall: true }] }, { resume: began.sessionId });
  assert.equal(text(), 'oneI remember: first');
  await run({ steps: [{ say: ' anew' }] }, { resume: '00000000-0000-4000-8000-000000000000' });
  assert.equal(text(), 'oneI remember: first anew');
});

test('it is told what it is, and has the tools of the agent', async (t) => {
  const { run, text, events, asked } = await open(t);
  const inputSchema = { type: 'object', properties: { at: { type: 'number' } } };
  const tool = { name: 'look', description: 'looks', inputSchema, effect: 'none' } as const;
  const toolServer = createToolServer({
    ...{ name: 'openagent', version: '1', tools: [{ ...tool, run: async () => ({ text: '' }) }] },
    call: async (found, name, input) => ({
      text: `${found?.name} ${name} ${JSON.stringify(input)}`,
      isError: false,
    }),
  });
  const steps = [{ system: true }, { list: true }, { tool: 'look', input: { at: 1 } }];
  await run({ steps }, { toolServer });
  assert.equal(text(), 'You are a test.["look"]');
  const ended = events.find(({ type }) => type === 'tool_end');
  assert.equal(ended?.type === 'tool_end' && ended.text, 'look look {"at":1}');
  const begun = events.find(({ type }) => type === 'tool');
  assert.equal(begun?.type === 'tool' && begun.name, 'look');
  assert.deepEqual(asked, []);
});

test('what it wants to do by itself is asked for, unless permission_mode says otherwise', async (t) => {
  const careful = await open(t);
  const file = join(careful.dir, 'touched');
  await careful.run({ steps: [{ touch: file }] });
  assert.deepEqual(careful.asked, ['Bash']);
  assert.equal(existsSync(file), false);
  const refused = careful.events.find(({ type }) => type === 'tool_end');
  assert.deepEqual(refused?.type === 'tool_end' && [refused.isError, refused.text], [true, 'not now']);
  await careful.run({ steps: [{ touch: file }] }, { allow: async () => ({}) });
  assert.equal(readFileSync(file, 'utf8'), 'touched\n');
  const free = await open(t, 'bypass');
  await free.run({ steps: [{ touch: file }] });
  assert.deepEqual(free.asked, []);
  assert.equal(readFileSync(file, 'utf8'), 'touched\ntouched\n');
});

test('its failures are told apart', async (t) => {
  const { run } = await open(t);
  for (const [error, code] of [
    ['Not logged in · Please run /login', 'model.auth'],
    ['Claude AI usage limit reached', 'model.rate_limited'],
    ['API Error: 529 overloaded', 'model.overloaded'],
    ['Prompt is too long', 'model.context_too_long'],
    ['something else', 'model.failed'],
  ] as const) {
    await assert.rejects(run({ steps: [], error }), codeOf(code, new RegExp(error.replaceAll('·', '.'))));
  }
  const died = run({ steps: [{ exit: 3, stderr: 'out of luck' }] });
  await assert.rejects(died, codeOf('model.failed', /out of luck/));
});

test('one that nobody wants any more is ended with all it has started', async (t) => {
  const { run, pids, events } = await open(t);
  const stop = new AbortController();
  const running = run({ steps: [{ say: 'a' }, { hang: true }] }, { signal: stop.signal });
  await until(() => events.some(({ type }) => type === 'text'), 'it speaks', 10_000);
  const reason = new AppError('turn.cancelled', 'stopped');
  stop.abort(reason);
  await assert.rejects(running, reason);
  await until(() => pids.every((pid) => !isAlive(pid)), 'it ends', 10_000);
});

test('where nothing is installed, the message says how to, and what does without', async (t) => {
  const dir = await tempDir(t);
  assert.equal(findClaudeSdk(dir, []), undefined);
  assert.match(
    claudeNotInstalled('claude-x').message,
    /npm install @anthropic.*provider: anthropic, model_id: claude-x.*ANTHROPIC_API_KEY/s,
  );
});
