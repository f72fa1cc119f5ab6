/** The life of a server under a clock that stands still, with connections that do what the test says. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import { DEFAULT_LIMITS } from '../../src/contract/limits.ts';
import type { ListedTool, McpConnection } from '../../src/mcp/connection.ts';
import { FAILURES_MAX } from '../../src/mcp/mcp-server.machine.ts';
import { createMcpTools } from '../../src/mcp/mcp-tools.ts';
import { createToolNames } from '../../src/mcp/tool-names.ts';
import { eventually } from '../fixtures/chat.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { rude, server } from './mcp-fixture.ts';

const TOOL: ListedTool = {
  name: 'read',
  description: '',
  inputSchema: { type: 'object' },
  readOnly: true,
  idempotent: true,
  hash: 'h',
};

/** An attempt to connect, or the connection that came of it. */
interface Attempt {
  readonly signal: AbortSignal;
  succeed(): void;
  fail(reason: string): void;
  lose(reason: string): void;
  readonly closed: boolean;
}

function start(t: TestContext, names = ['one']) {
  const dir = mkdtempSync(join(tmpdir(), 'mcp-life-'));
  const clock = createTestClock();
  const attempts: Record<string, Attempt[]> = {};
  const changes: string[] = [];
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, isEnabled: () => false };
  const mcp = createMcpTools({
    ...{ dir, clock, log, version: '0', limits: DEFAULT_LIMITS },
    settings: { servers: names.map((name) => server(name, rude(''))), builtins: [] },
    random: () => 0.999_999,
    secrets: [],
    start: () => assert.fail('no program is started here'),
    onChange: (name) => changes.push(name),
    open: ({ name }, signal) =>
      new Promise<McpConnection>((resolve, reject) => {
        let lose: (error: Error) => void = () => {};
        const lost = new Promise<Error>((end) => {
          lose = end;
        });
        const attempt = {
          signal,
          closed: false,
          succeed: () =>
            resolve({
              transport: 'stdio',
              list: () => ({ tools: [TOOL], problems: [] }),
              onList: undefined,
              call: async (tool) => ({ text: `${tool} of ${name}` }),
              lost,
              close: async () => {
                attempt.closed = true;
              },
            }),
          fail: (reason: string) => reject(new Error(reason)),
          lose: (reason: string) => lose(new Error(reason)),
        };
        attempts[name] = [...(attempts[name] ?? []), attempt];
      }),
  });
  t.after(async () => {
    await mcp.stop(0);
    rmSync(dir, { recursive: true, force: true });
  });
  const attempt = (name: string, count: number) =>
    eventually(() => attempts[name]?.[count - 1], `attempt ${count} of ${name}`);
  const becomes = (name: string, state: string) =>
    eventually(() => mcp.states().some((status) => status.name === name && status.state === state), state);
  clock.advance(50);
  return { mcp, clock, attempts, changes, attempt, becomes };
}

const RUN = { signal: new AbortController().signal, turnId: '1', sessionId: 's', report: () => {} };

test('servers are connected side by side, and one that hangs keeps nobody waiting', async (t) => {
  const { mcp, attempt, becomes, clock } = start(t, ['slow', 'quick']);
  await attempt('slow', 1);
  (await attempt('quick', 1)).succeed();
  await becomes('quick', 'ready');
  await eventually(() => mcp.sources()[1]?.tools().length === 1, 'its tool');
  assert.deepEqual(mcp.sources()[0]?.tools(), []);
  assert.deepEqual(await mcp.sources()[1]?.tools()[0]?.run({}, RUN), { text: 'read of quick' });
  const settled = mcp.settled(1_000);
  clock.advance(1_000);
  await settled;
});

test('what is lost offers nothing, is closed, and is connected again after a pause that grows', async (t) => {
  const { mcp, clock, attempt, attempts, becomes } = start(t);
  const first = await attempt('one', 1);
  first.succeed();
  await becomes('one', 'ready');
  await eventually(() => mcp.sources()[0]?.tools().length === 1, 'its tool');
  const tool = mcp.sources()[0]?.tools()[0];
  first.lose('gone');
  await becomes('one', 'backoff');
  assert.equal(first.closed, true);
  assert.deepEqual([mcp.states()[0]?.lastError, mcp.sources()[0]?.tools().length], ['gone', 0]);
  const isUnavailable = (error: unknown) =>
    AppError.is(error) && error.code === 'mcp.unavailable' && /backoff: gone/.test(error.message);
  await assert.rejects(async () => tool?.run({}, RUN), isUnavailable);
  clock.advance(499);
  assert.equal(attempts.one?.length, 1);
  clock.advance(1);
  (await attempt('one', 2)).fail('still gone');
  await becomes('one', 'backoff');
  clock.advance(999);
  assert.equal(attempts.one?.length, 2);
  clock.advance(1);
  (await attempt('one', 3)).succeed();
  await becomes('one', 'ready');
  // What a turn has had from before works again.
  assert.deepEqual(await tool?.run({}, RUN), { text: 'read of one' });
  assert.deepEqual([mcp.states()[0]?.restarts, mcp.states()[0]?.lastError], [1, undefined]);
});

test('after so many failures in a row it waits to be wanted, at most once a minute', async (t) => {
  const { mcp, clock, attempt, attempts, becomes } = start(t);
  for (let count = 1; count <= FAILURES_MAX; count += 1) {
    (await attempt('one', count)).fail(`no ${count}`);
    await becomes('one', count < FAILURES_MAX ? 'backoff' : 'failed');
    clock.advance(30_000);
  }
  assert.equal(mcp.states()[0]?.lastError, `no ${FAILURES_MAX}`);
  mcp.sources();
  assert.equal(attempts.one?.length, FAILURES_MAX, 'too soon');
  clock.advance(30_000);
  assert.equal(attempts.one?.length, FAILURES_MAX, 'nobody wants it');
  mcp.sources();
  (await attempt('one', FAILURES_MAX + 1)).fail('no again');
  await becomes('one', 'failed');
  mcp.retry('one');
  (await attempt('one', FAILURES_MAX + 2)).succeed();
  await becomes('one', 'ready');
});

test('a stable time makes up for failures before it', async (t) => {
  const { clock, attempt, becomes } = start(t);
  for (let count = 1; count < FAILURES_MAX; count += 1) {
    (await attempt('one', count)).fail('no');
    await becomes('one', 'backoff');
    clock.advance(30_000);
  }
  const last = await attempt('one', FAILURES_MAX);
  last.succeed();
  await becomes('one', 'ready');
  clock.advance(60_000);
  last.lose('gone');
  await becomes('one', 'backoff');
});

test('a stop ends what is connecting, what is ready and what waits', async (t) => {
  const { mcp, attempt, becomes } = start(t, ['connecting', 'ready', 'backoff']);
  const connecting = await attempt('connecting', 1);
  const ready = await attempt('ready', 1);
  ready.succeed();
  (await attempt('backoff', 1)).fail('no');
  await becomes('ready', 'ready');
  await becomes('backoff', 'backoff');
  await mcp.stop(100);
  await mcp.stop(100);
  assert.deepEqual([connecting.signal.aborted, ready.closed], [true, true]);
  assert.deepEqual(
    mcp.states().map(({ state }) => state),
    ['stopped', 'stopped', 'stopped'],
  );
});

test('names of tools are letters that every model takes, short, and nobody else’s', () => {
  const { nameOf } = createToolNames();
  assert.equal(nameOf('my server', 'read-file'), 'my_server_read-file');
  assert.equal(nameOf('a_b', 'c'), 'a_b_c');
  const other = nameOf('a', 'b_c');
  assert.match(other, /^a_b_c_[0-9a-f]{6}$/);
  assert.equal(nameOf('a', 'b_c'), other, 'and stays so');
  assert.equal(nameOf('a_b', 'c'), 'a_b_c');
  const long = nameOf('s'.repeat(60), 'tööl'.repeat(60));
  assert.match(long, /^[A-Za-z0-9_-]{64}$/);
  assert.notEqual(long, nameOf('s'.repeat(60), `${'tööl'.repeat(60)}x`));
});
