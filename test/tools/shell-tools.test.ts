import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createChildProcesses } from '../../src/actors/child-processes.ts';
import { type Clock, systemClock } from '../../src/contract/clock.ts';
import { DEFAULT_TOOLS, type ShellToolSettings } from '../../src/contract/tool-settings.ts';
import { ProgramOutput } from '../../src/tools/program-output.ts';
import { createShellTools } from '../../src/tools/shell-tools.ts';
import type { ToolResult } from '../../src/tools/tool.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { silentLog, tempDir, until } from '../fixtures/turns.ts';

const NODE = process.execPath;
const DEADLINE_MS = 20_000;

async function setUp(t: TestContext, settings: Partial<ShellToolSettings> = {}, clock: Clock = systemClock) {
  const dir = await tempDir(t);
  await mkdir(join(dir, 'work'));
  const children = createChildProcesses({
    ...{ agentId: 'alpha', dir, boot: 1, max: 32, clock: systemClock, log: silentLog, report: () => {} },
  });
  t.after(() => children.stop(100));
  const shell = createShellTools({
    settings: { ...DEFAULT_TOOLS.shell, enabled: true, ...settings },
    roots: [dir],
    spawn: (command, args, options) => children.spawn(command, args, options),
    clock,
  });
  const call = (
    name: string,
    input: Record<string, unknown>,
    {
      sessionId = 'S',
      signal = new AbortController().signal,
    }: { sessionId?: string; signal?: AbortSignal } = {},
  ): Promise<ToolResult> => {
    const tool = shell.tools().find((each) => each.name === name);
    assert.ok(tool, name);
    return tool.run(input, { signal, turnId: '1', sessionId, report: () => {} });
  };
  return { dir, call, children };
}

const script = (code: string) => ({ command: NODE, args: ['-e', code] });
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false; // No such process.
  }
}

test('a program runs to its end, with its input, its output and its exit code', async (t) => {
  const { call, dir } = await setUp(t);
  const code =
    'process.stdin.on("data", (d) => console.log(String(d), process.cwd())).on("end", () => process.exit(3))';
  const { text, isError } = await call('shell_run', { ...script(code), stdin: 'given', cwd: 'work' });
  assert.equal(text, `It ended with 3.\ngiven ${join(await realpath(dir), 'work')}\n`);
  assert.equal(isError, true);
});

test('no shell reads the arguments', async (t) => {
  const { call, dir } = await setUp(t);
  const words = ['$(touch owned)', '; touch owned', '`touch owned`', '*', '&& touch owned'];
  const { text } = await call('shell_run', { command: 'printf', args: ['%s\n', ...words] });
  assert.equal(text, `It ended with 0.\n${words.join('\n')}\n`);
  assert.ok(!existsSync(join(dir, 'owned')));
});

test('a program gets a small environment, without the secrets of the agent', async (t) => {
  process.env.CANARY_KEY = 'hidden-s3cret';
  t.after(() => delete process.env.CANARY_KEY);
  const { call } = await setUp(t);
  const { text } = await call('shell_run', script('console.log(Object.keys(process.env).join())'));
  assert.match(text, /PATH/);
  assert.doesNotMatch(text, /CANARY_KEY/);
});

test('only the programs of the list are started, and only within the roots', async (t) => {
  const { call } = await setUp(t, { commands: ['printf'] });
  for (const command of ['sh', './printf', '/usr/bin/printf', 'printf ', '']) {
    await assert.rejects(call('shell_run', { command }), /./, command);
  }
  assert.match((await call('shell_run', { command: 'printf', args: ['x'] })).text, /x$/);
  const start = call('shell_start', { command: 'printf', args: ['x'], cwd: '/' });
  await assert.rejects(start, { code: 'file.refused' });
});

test('a program that is not there is a failure that says so', async (t) => {
  const { call } = await setUp(t);
  const { text, isError } = await call('shell_run', { command: 'no-such-program-here' });
  assert.equal(isError, true);
  assert.match(text, /could not be started: ENOENT/);
});

test('a program over its time is ended with all that it started', async (t) => {
  const clock = createTestClock();
  const { call, dir } = await setUp(t, {}, clock);
  const child = 'setInterval(() => {}, 1000)';
  const code = `const c = require("child_process").spawn(process.execPath, ["-e", ${JSON.stringify(child)}]);
    process.on("SIGTERM", () => {}); setInterval(() => {}, 1000);
    require("fs").writeFileSync("pid", String(c.pid) + ".")`;
  const started = await call('shell_start', { ...script(code), timeout_ms: 60_000 });
  assert.equal(started.text, 'Started as job-1');
  const pid = Number(await until(() => readPid(dir), 'the second program', DEADLINE_MS));
  clock.advance(60_000);
  clock.advance(2_000);
  await until(() => !isAlive(pid), 'the end of the second program', DEADLINE_MS);
  const { text } = await call('shell_kill', { job: 'job-1' });
  assert.equal(text, 'It was ended: its time was over.');
});

function readPid(dir: string): string | undefined {
  const file = join(dir, 'pid');
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return text.endsWith('.') ? text.slice(0, -1) : undefined;
}

test('a program in the background is written to, read from a position, and ended', async (t) => {
  const { call } = await setUp(t);
  await call('shell_start', script('process.stdin.pipe(process.stdout)'));
  await call('shell_input', { job: 'job-1', text: 'one\n' });
  assert.equal(
    (await call('shell_output', { job: 'job-1', wait_ms: 20_000 })).text,
    'It runs. next: 4.\none\n',
  );
  await call('shell_input', { job: 'job-1', text: 'two\n' });
  assert.match(
    (await call('shell_output', { job: 'job-1', from: 4, wait_ms: 20_000 })).text,
    /next: 8\.\ntwo\n$/,
  );
  assert.match((await call('shell_output', {})).text, /^job-1: .*It runs\.$/);
  assert.match((await call('shell_kill', { job: 'job-1' })).text, /ended/);
  assert.match((await call('shell_kill', { job: 'job-1' })).text, /ended/);
  const late = await call('shell_input', { job: 'job-1', text: 'x' });
  assert.equal(late.isError, true);
});

test('a program belongs to the session that started it', async (t) => {
  const { call } = await setUp(t);
  await call('shell_start', script('setInterval(() => {}, 1000)'));
  for (const name of ['shell_output', 'shell_kill', 'shell_input']) {
    await assert.rejects(call(name, { job: 'job-1' }, { sessionId: 'other' }), /no program job-1/, name);
  }
  assert.equal((await call('shell_output', {}, { sessionId: 'other' })).text, 'There are no programs.');
});

test('a stop of the turn ends the program it waits for, and leaves those in the background', async (t) => {
  const { call, children } = await setUp(t);
  await call('shell_start', script('setInterval(() => {}, 1000)'));
  const turn = new AbortController();
  const running = call('shell_run', script('setInterval(() => {}, 1000)'), { signal: turn.signal });
  await until(() => children.count() === 2, 'the program', DEADLINE_MS);
  turn.abort(new Error('stopped'));
  await assert.rejects(running, /stopped/);
  assert.equal(children.count(), 1);
});

test('the number of programs is bounded', async (t) => {
  const { call } = await setUp(t);
  for (let count = 0; count < 8; count += 1) await call('shell_start', { command: 'sleep', args: ['60'] });
  await assert.rejects(call('shell_start', { command: 'sleep', args: ['60'] }), { code: 'child.limit' });
});

test('of much output the newest part is kept, and how much is missing is told', async (t) => {
  const { call } = await setUp(t, { outputChars: 1_000 });
  const { text } = await call('shell_run', script('console.log("x".repeat(50000) + "END")'));
  assert.match(text, /The first \d+ characters are not kept/);
  assert.match(text, /END\n$/);
  assert.ok(text.length < 1_200);
});

test('output is read by position, whatever was dropped before', () => {
  const output = new ProgramOutput(10);
  for (let piece = 0; piece < 100; piece += 1) output.add('abcd');
  assert.equal(output.end, 400);
  assert.deepEqual(output.from(398), { text: 'cd', missed: 0 });
  assert.deepEqual(output.from(400), { text: '', missed: 0 });
  assert.deepEqual(output.from(0), { text: 'cdabcdabcd', missed: 390 });
  assert.deepEqual(output.from(999), { text: '', missed: 0 });
});
