/** Published servers, as they come from npm. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import { eventually } from '../fixtures/chat.ts';
import {
  EVERYTHING,
  FILESYSTEM,
  isAlive,
  MODERN,
  program,
  server,
  startHttpServer,
  startMcp,
} from './mcp-fixture.ts';

const LONG = 'every_thing_trigger-long-running-operation';

test('everything over stdio: listed, called, cancelled, crashed in the middle, and started again', async (t) => {
  const target = program(EVERYTHING, ['stdio'], { NAMED: 'yes' });
  const { mcp, call, tool, reaches, pids, stop } = startMcp(t, [server('every.thing', target)]);
  await mcp.settled(20_000);
  assert.equal(mcp.states()[0]?.state, 'ready');
  assert.deepEqual(
    mcp.sources().map(({ name }) => name),
    ['every.thing'],
  );
  assert.equal(tool('every_thing_echo').effect, 'none');
  assert.equal(tool('every_thing_gzip-file-as-resource').effect, 'unsafe');
  assert.deepEqual(tool('every_thing_echo').inputSchema.type, 'object');

  assert.deepEqual(await call('every_thing_echo', { message: 'hello' }), { text: 'Echo: hello' });
  assert.match((await call('every_thing_get-tiny-image')).text, /\[image image\/png, \d+ bytes, not shown\]/);
  assert.match((await call('every_thing_get-resource-links', { count: 2 })).text, /\[resource \S+ ".+"\]/);
  const structured = await call('every_thing_get-structured-content', { location: 'New York' });
  assert.equal(typeof JSON.parse(structured.text).temperature, 'number');
  const wrong = await call('every_thing_get-sum', { a: 'one', b: 2 });
  assert.equal(wrong.isError, true);
  const environment = JSON.parse((await call('every_thing_get-env')).text) as Record<string, string>;
  assert.equal(environment.NAMED, 'yes');
  const needed = ['HOME', 'LANG', 'NAMED', 'OPENAGENT_CHILD', 'PATH', 'TMPDIR', 'TZ'];
  assert.deepEqual(
    Object.keys(environment).filter((name) => !needed.includes(name)),
    [],
  );

  const progress: string[] = [];
  const long = { duration: 0.3, steps: 3 };
  const done = await call(LONG, long, { report: (text) => progress.push(text) });
  assert.match(done.text, /completed/);
  // The SDK forgets one that comes together with the answer.
  assert.deepEqual(progress.slice(0, 2), ['1/3', '2/3']);

  const controller = new AbortController();
  const cancelled = call(LONG, { duration: 60, steps: 1 }, { signal: controller.signal });
  controller.abort(new Error('nobody wants it'));
  await assert.rejects(cancelled, /nobody wants it/);
  assert.equal((await call('every_thing_echo', { message: 'still here' })).text, 'Echo: still here');

  const crashed = call(LONG, { duration: 60, steps: 1 });
  process.kill(pids[0] as number, 'SIGKILL');
  await assert.rejects(crashed, (error) => AppError.is(error) && error.code === 'mcp.lost');
  assert.deepEqual(mcp.sources()[0]?.tools(), []);
  await reaches('every.thing', 'ready');
  assert.deepEqual([mcp.states()[0]?.restarts, mcp.states()[0]?.lastError], [1, undefined]);

  assert.equal(pids.length, 2);
  await stop();
});

test('everything over stdio that hangs is ended and started again', async (t) => {
  const limits = { mcpCallMs: 200 };
  const target = program(EVERYTHING, ['stdio']);
  const { mcp, call, reaches, pids, log } = startMcp(t, [server('every', target)], { limits });
  await mcp.settled(20_000);
  process.kill(pids[0] as number, 'SIGSTOP');
  const hung = call('every_echo', { message: 'anybody?' });
  await assert.rejects(hung, (error) => AppError.is(error) && error.code === 'mcp.timeout');
  await eventually(() => log.some(({ event }) => event === 'mcp.lost'), 'it is lost');
  await reaches('every', 'ready');
  assert.equal(isAlive(pids[0] as number), false);
  assert.equal(pids.length, 2);
});

test('everything over streamable HTTP: listed, called, cancelled, lost and found again', async (t) => {
  const first = await startHttpServer(t, 'streamableHttp');
  const url = `http://127.0.0.1:${first.port}/mcp`;
  const { mcp, call, reaches } = startMcp(t, [
    server('every.thing', { transport: 'auto', url, headers: { authorization: 'Bearer a-secret' } }),
  ]);
  await mcp.settled(20_000);
  assert.deepEqual([mcp.states()[0]?.state, mcp.states()[0]?.transport], ['ready', 'http']);
  assert.deepEqual(await call('every_thing_echo', { message: 'hello' }), { text: 'Echo: hello' });
  const progress: string[] = [];
  await call(LONG, { duration: 0.2, steps: 2 }, { report: (text) => progress.push(text) });
  assert.equal(progress[0], '1/2');
  const controller = new AbortController();
  const cancelled = call(LONG, { duration: 60, steps: 1 }, { signal: controller.signal });
  controller.abort(new Error('nobody wants it'));
  await assert.rejects(cancelled, /nobody wants it/);

  const crashed = call(LONG, { duration: 60, steps: 1 });
  const refused = assert.rejects(crashed, (error) => AppError.is(error) && error.code === 'mcp.lost');
  await first.kill();
  await refused;
  await reaches('every.thing', 'backoff');
  await startHttpServer(t, 'streamableHttp', first.port);
  await reaches('every.thing', 'ready');
  assert.equal((await call('every_thing_echo', { message: 'again' })).text, 'Echo: again');
});

test('everything over SSE is found out, called and lost', async (t) => {
  const http = await startHttpServer(t, 'sse');
  const target = { transport: 'auto', url: `http://127.0.0.1:${http.port}/sse`, headers: {} } as const;
  const { mcp, call, reaches } = startMcp(t, [server('old', target)]);
  await mcp.settled(20_000);
  assert.deepEqual([mcp.states()[0]?.state, mcp.states()[0]?.transport], ['ready', 'sse']);
  assert.deepEqual(await call('old_echo', { message: 'hello' }), { text: 'Echo: hello' });
  await http.kill();
  await reaches('old', 'backoff');
});

test('filesystem over stdio: writes and reads inside its root', async (t) => {
  const dir = startMcp(t, []).dir;
  const target = program(FILESYSTEM, [dir]);
  const { mcp, call, tool } = startMcp(t, [server('fs', target, { trustAnnotations: true })]);
  await mcp.settled(20_000);
  const path = join(dir, 'note.txt');
  assert.equal(tool('fs_read_text_file').effect, 'none');
  assert.equal(tool('fs_write_file').effect, 'repeatable');
  assert.equal(tool('fs_move_file').effect, 'unsafe');
  assert.equal((await call('fs_write_file', { path, content: 'kept' })).isError, undefined);
  assert.equal(readFileSync(path, 'utf8'), 'kept');
  assert.match((await call('fs_read_text_file', { path })).text, /kept/);
  assert.equal((await call('fs_read_text_file', { path: '/etc/hostname' })).isError, true);
});

test('a server that speaks only the protocol of 2026 is listed, called, cancelled, and changed', async (t) => {
  const { mcp, call } = startMcp(t, [server('new', program(MODERN, []))]);
  await mcp.settled(20_000);
  assert.equal(mcp.states()[0]?.state, 'ready', mcp.states()[0]?.lastError);
  const controller = new AbortController();
  const cancelled = call('new_sleep', {}, { signal: controller.signal });
  controller.abort(new Error('nobody wants it'));
  await assert.rejects(cancelled, /nobody wants it/);
  assert.deepEqual(await call('new_hello', { who: 'you' }), { text: 'hello you' });
  await eventually(() => mcp.states()[0]?.tools.length === 3, 'the further tool');
});
