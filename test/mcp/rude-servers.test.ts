/** Servers that do what no server should. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import { PINS_FILE } from '../../src/mcp/mcp-tools.ts';
import { eventually } from '../fixtures/chat.ts';
import { isAlive, type McpFixture, rude, server, startMcp } from './mcp-fixture.ts';

const isCode = (code: string) => (error: unknown) => AppError.is(error) && error.code === code;
const lastError = (fixture: McpFixture, of: (event: string) => boolean) =>
  String(fixture.log.findLast(({ event }) => of(event))?.fields.error);

test('what a server sends is bounded, and another one beside it goes on', async (t) => {
  const limits = { mcpMessageBytes: 8_000_000, mcpMessagesPerSecond: 100 };
  const fixture = startMcp(t, [server('rude', rude('')), server('kind', rude(''))], { limits });
  const { call, mcp, reaches } = fixture;
  await mcp.settled(20_000);
  for (const [flood, reason] of [
    ['rude_flood_of_lines', /more messages in a second than 100/],
    ['rude_flood_without_end', /a message of more than 8000000 bytes/],
    ['rude_die', /it ended by SIGKILL/],
  ] as const) {
    await reaches('rude', 'ready');
    await assert.rejects(call(flood), isCode('mcp.lost'));
    const told = () => reason.test(lastError(fixture, (event) => event === 'mcp.lost'));
    await eventually(told, `the reason of ${flood}`);
    assert.deepEqual(await call('kind_structured'), { text: '{"answer":42}' });
  }
  const long = (await call('kind_long')).text;
  assert.match(long.slice(-100), /€\n\[cut: 951424 characters more\]$/);
});

test('what is no message is passed over, and an error is a result', async (t) => {
  const { call, mcp } = startMcp(t, [server('rude', rude('', { RUDE_SECRET: 'a-secret' }))]);
  await mcp.settled(20_000);
  assert.deepEqual(await call('rude_noise'), { text: 'a-secret', isError: true });
  assert.deepEqual(await call('rude_refuse'), { text: 'not like this', isError: true });
  assert.equal((await call('rude_structured', ['no object'])).isError, true);
});

test('calls beyond the limit are refused, and end with their signal where the server is silent', async (t) => {
  const { call, mcp } = startMcp(t, [server('rude', rude(''))], { limits: { mcpCalls: 2 } });
  await mcp.settled(20_000);
  const controller = new AbortController();
  const { signal } = controller;
  const waiting = [call('rude_silence', {}, { signal }), call('rude_silence', {}, { signal })];
  const ends = waiting.map((one) => assert.rejects(one, /enough/));
  await assert.rejects(call('rude_structured'), isCode('mcp.unavailable'));
  controller.abort(new Error('enough'));
  await Promise.all(ends);
  assert.deepEqual(await call('rude_structured'), { text: '{"answer":42}' });
});

test('a list of tools is taken as far as it can be used', async (t) => {
  const { mcp, tool } = startMcp(t, [server('pages', rude('pages')), server('odd', rude('odd'))], {
    limits: { mcpTools: 8 },
  });
  await mcp.settled(20_000);
  const [pages, odd] = mcp.states();
  assert.equal(pages?.tools.length, 8);
  assert.deepEqual(pages?.tools[7], { name: 'tool 2.1', offeredAs: 'pages_tool_2_1' });
  assert.match(String(pages?.problems), /more than 8 tools/);
  assert.deepEqual(
    odd?.tools.map(({ name }) => name),
    ['long', 'twice'],
  );
  assert.equal(odd?.problems.length, 3);
  assert.match(tool('odd_long').description, /^hidden y{3993}…$/);
});

test('a server that does not start, and one that ends at once, are shown with the reason', async (t) => {
  const fixture = startMcp(t, [
    server('missing', { transport: 'stdio', command: ['/no/such/program'], env: {} }),
    server('exit', rude('exit', { RUDE_SECRET: 'a-secret-value' })),
    server('off', rude('exit'), { enabled: false }),
    server('nobody', { transport: 'http', url: 'http://127.0.0.1:1/mcp', headers: {} }),
  ]);
  const { mcp, tool } = fixture;
  await mcp.settled(20_000);
  const errors = mcp.states().map((status) => status.lastError);
  assert.match(errors[0] ?? '', /\/no\/such\/program cannot be started: .*ENOENT/);
  assert.match(errors[1] ?? '', /it ended with code 3: no good: \*\*\*\* \*\*\*\*$/);
  assert.equal(errors[2], undefined);
  assert.match(errors[3] ?? '', /ECONNREFUSED|bad port/);
  assert.equal(fixture.state('off'), 'disabled');
  assert.throws(() => tool('off_die'));
  assert.ok(!JSON.stringify(fixture.log).includes('a-secret-value'));
  assert.throws(() => mcp.retry('unknown'), isCode('mcp.not_found'));
});

test('a server that says nothing is given up, and tried again', async (t) => {
  const { mcp } = startMcp(t, [server('mute', rude('mute'))], { limits: { mcpConnectMs: 300 } });
  await mcp.settled(20_000);
  assert.equal(mcp.states()[0]?.state, 'backoff');
  assert.match(mcp.states()[0]?.lastError ?? '', /timed out/i);
});

test('deaf servers, their families and those that are just starting end with the agent', async (t) => {
  const { mcp, pids, stop } = startMcp(t, [
    server('deaf', rude('deaf')),
    server('family', rude('family')),
    server('mute', rude('mute')),
  ]);
  await eventually(() => mcp.states().filter(({ state }) => state === 'ready').length === 2, 'two are ready');
  assert.equal(pids.filter(isAlive).length, 3);
  await stop();
  assert.deepEqual(
    mcp.states().map(({ state }) => state),
    ['stopped', 'stopped', 'stopped'],
  );
});

test('a tool that is described differently than when it was approved is told, and withheld where that is wanted', async (t) => {
  const servers = [server('loose', rude('changing')), server('tight', rude('changing'), { pinTools: true })];
  const fixture = startMcp(t, servers);
  const { mcp, dir, log } = fixture;
  await mcp.settled(20_000);
  const names = () => mcp.states().map(({ tools }) => tools.map(({ name }) => name));
  assert.deepEqual(names(), [
    ['same', 'other'],
    ['same', 'other'],
  ]);
  const file = join(dir, PINS_FILE);
  const pins = JSON.parse(readFileSync(file, 'utf8')) as Record<string, { tools: Record<string, string> }>;
  await fixture.stop();

  // As if the server had been updated since.
  for (const name of ['loose', 'tight']) Object.assign(pins[name]?.tools ?? {}, { other: 'another hash' });
  writeFileSync(file, JSON.stringify(pins));
  const again = startMcp(t, servers, { dir });
  await again.mcp.settled(20_000);
  const changed = again.mcp.states().map((status) => status.changedTools);
  assert.deepEqual(changed, [['other'], ['other']]);
  const offered = again.mcp.states().map(({ tools }) => tools.map(({ name }) => name));
  assert.deepEqual(offered, [['same', 'other'], ['same']]);
  assert.ok(again.log.some(({ event, fields }) => event === 'mcp.tools_changed' && fields.withheld === true));
  await again.mcp.approve('tight');
  assert.deepEqual(again.mcp.states()[1]?.changedTools, []);
  assert.equal(again.mcp.states()[1]?.tools.length, 2);
  assert.ok(!log.some(({ event }) => event === 'mcp.tools_changed'));
});

test('a list that changes while the server runs is read again, once for many notices', async (t) => {
  const fixture = startMcp(t, [server('rude', rude(''))]);
  await fixture.mcp.settled(20_000);
  const count = () => fixture.log.filter(({ event }) => event === 'mcp.connect').length;
  assert.equal(count(), 1);
  await fixture.call('rude_change');
  await eventually(() => count() === 2, 'the list is read again');
});

test('an answer that is nested too deeply is not read, and costs the server nothing', async (t) => {
  const fixture = startMcp(t, [server('rude', rude(''))]);
  await fixture.mcp.settled(20_000);
  assert.deepEqual(await fixture.call('rude_deep'), {
    text: 'The answer of deep cannot be read',
    isError: true,
  });
  assert.deepEqual(await fixture.call('rude_structured'), { text: '{"answer":42}' });
  assert.ok(!fixture.log.some(({ event }) => event === 'mcp.lost'));
});
