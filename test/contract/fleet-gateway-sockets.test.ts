/** The fleet gateway's WebSocket: what is followed comes, in order, once, and nobody has to wait for a slow client. */
import assert from 'node:assert/strict';
import { appendFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { AgentStatus } from '../../src/supervisor/fleet.ts';
import { agentStatus } from '../fixtures/agent-status.ts';
import { agentWithDir, type FleetClient, startFleetGateway } from '../fixtures/fleet-gateway.ts';

const logOf = ({ dir }: AgentStatus) => join(dir, 'logs', 'events.jsonl');
const line = (event: string, more: object = {}) => `${JSON.stringify({ ts: 1, event, ...more })}\n`;
const eventsOf = (client: FleetClient) =>
  client.frames.flatMap((frame) => (frame.type === 'log' ? [frame.entry.event] : []));

test('events come as they happen, and to one who returns those that were missed', async (t) => {
  const { gateway, follow } = await startFleetGateway(t);
  const first = await follow();
  first.send({ type: 'follow', events: {} });
  const { next_seq } = await first.frame('following');
  gateway.note({ type: 'agent.changed', agent: agentStatus('a1', { state: 'hung' }) });
  const told = await first.frame('event');
  assert.deepEqual([told.event.seq, told.event.agent, told.event.details.state], [next_seq, 'a1', 'hung']);
  const second = await follow();
  second.send({ type: 'follow', events: { since_seq: next_seq - 1 } });
  assert.deepEqual((await second.frame('event')).event, told.event);
  gateway.note({ type: 'agent.removed', id: 'a1', dir: '/agents/a1' });
  await second.frame('event', ({ event }) => event.event === 'agent.removed');
  assert.deepEqual(
    second.frames.flatMap((frame) => (frame.type === 'event' ? [frame.event.seq] : [])),
    [next_seq, next_seq + 1],
  );
  assert.equal(second.frames[0]?.type, 'following');
});

test('what is followed anew replaces what was followed', async (t) => {
  const { gateway, follow } = await startFleetGateway(t);
  const client = await follow();
  client.send({ type: 'follow', events: {} });
  client.send({ type: 'follow' });
  await client.settled();
  gateway.note({ type: 'agent.removed', id: 'a1', dir: '/agents/a1' });
  assert.deepEqual(
    (await client.settled()).map(({ type }) => type),
    ['following', 'following', 'pong', 'pong'],
  );
});

test('a log is followed from now on, through rotations, a file that is not there yet, and lines that are none', async (t) => {
  const [a1, a2] = [await agentWithDir(t, 'a1'), await agentWithDir(t, 'a2')];
  const { follow } = await startFleetGateway(t, {
    agents: [a1, a2],
    limits: { tailMs: 5, tailLineBytes: 1_000 },
  });
  await writeFile(logOf(a1), line('old'));
  const client = await follow();
  client.send({ type: 'follow', logs: {} });
  await client.frame('following');
  const next = (event: string) => client.frame('log', ({ entry }) => entry.event === event);
  await appendFile(logOf(a1), `${line('one')}{"ts":2,"eve`);
  await next('one');
  await appendFile(logOf(a1), `nt":"two"}\nnot json\n[]\n${line('long', { text: 'x'.repeat(2_000) })}`);
  await next('two');
  await appendFile(logOf(a1), line('before'));
  await rename(logOf(a1), `${logOf(a1)}.2`);
  await writeFile(`${logOf(a1)}.1`, line('between'));
  await writeFile(logOf(a1), line('after'));
  await next('after');
  await writeFile(logOf(a2), line('other'));
  assert.equal((await next('other')).agent, 'a2');
  assert.deepEqual(eventsOf(client), ['one', 'two', 'before', 'between', 'after', 'other']);
});

test('a log that is cut to nothing and written anew is followed on', async (t) => {
  const a1 = await agentWithDir(t, 'a1');
  const { follow } = await startFleetGateway(t, { agents: [a1], limits: { tailMs: 5 } });
  await writeFile(logOf(a1), line('old', { text: 'x'.repeat(500) }));
  const client = await follow();
  client.send({ type: 'follow', logs: { agents: ['a1'] } });
  await client.frame('following');
  await writeFile(logOf(a1), line('new'));
  await client.frame('log', ({ entry }) => entry.event === 'new');
});

test('one follows some agents and some events, another one all, over one tail for each log', async (t) => {
  const [a1, a2] = [await agentWithDir(t, 'a1'), await agentWithDir(t, 'a2')];
  const { follow } = await startFleetGateway(t, { agents: [a1, a2], limits: { tailMs: 5 } });
  const [some, all] = [await follow(), await follow()];
  some.send({ type: 'follow', logs: { agents: ['a1'], event: 'turn.' } });
  all.send({ type: 'follow', logs: {} });
  await Promise.all([some.frame('following'), all.frame('following')]);
  await writeFile(logOf(a2), line('turn.done') + line('end.a2'));
  await all.frame('log', ({ entry }) => entry.event === 'end.a2');
  await writeFile(logOf(a1), line('server.start') + line('turn.done') + line('end.a1') + line('turn.last'));
  await Promise.all([some, all].map((each) => each.frame('log', ({ entry }) => entry.event === 'turn.last')));
  assert.deepEqual(eventsOf(some), ['turn.done', 'turn.last']);
  assert.deepEqual(eventsOf(all), [
    'turn.done',
    'end.a2',
    'server.start',
    'turn.done',
    'end.a1',
    'turn.last',
  ]);
});

test('an agent that is added later is followed with all others', async (t) => {
  const { follow, fleet, gateway } = await startFleetGateway(t, { agents: [], limits: { tailMs: 5 } });
  const client = await follow();
  client.send({ type: 'follow', logs: {} });
  await client.frame('following');
  const late = await agentWithDir(t, 'late');
  fleet.statuses.push(late);
  gateway.note({ type: 'agent.added', agent: late });
  client.send({ type: 'follow', logs: {} });
  await client.settled();
  await writeFile(logOf(late), line('hello'));
  assert.equal((await client.frame('log')).agent, 'late');
});

test('a link, a folder or a log that cannot be read in place of a log is no log, and the others are followed', async (t) => {
  const [a1, a2, a3] = [
    await agentWithDir(t, 'a1'),
    await agentWithDir(t, 'a2'),
    await agentWithDir(t, 'a3'),
  ];
  await mkdir(logOf(a1));
  await rm(join(a2.dir, 'logs'), { recursive: true });
  const { follow, defects } = await startFleetGateway(t, { agents: [a1, a2, a3], limits: { tailMs: 5 } });
  const client = await follow();
  client.send({ type: 'follow', logs: {} });
  await client.frame('following');
  await writeFile(logOf(a3), line('fine'));
  await client.frame('log');
  assert.deepEqual(defects, []);
});

test('frames that are none are told so, and what is followed stays as it was', async (t) => {
  const { gateway, follow } = await startFleetGateway(t);
  const client = await follow();
  client.send({ type: 'follow', events: {} });
  for (const frame of ['', '{', '[]', '"x"', { type: 'dance' }, { type: 'follow', logs: { agents: 7 } }])
    client.send(frame);
  client.ws.send(Buffer.from('x'));
  client.send({ type: 'follow', logs: { agents: ['nobody'] } });
  const frames = await client.settled();
  const codes = frames.flatMap((frame) => (frame.type === 'error' ? [frame.code] : []));
  assert.deepEqual(codes.sort(), ['agent.not_found', ...Array(7).fill('frame.invalid')]);
  gateway.note({ type: 'agent.removed', id: 'a1', dir: '/agents/a1' });
  await client.frame('event');
});

test('there are only so many clients, and each may say only so much', async (t) => {
  const { follow } = await startFleetGateway(t, {
    limits: { sockets: 2, framesPerSecond: 5, frameBytes: 1_000 },
  });
  const [first, second] = [await follow(), await follow()];
  await assert.rejects(follow(), /503/);
  for (let n = 0; n < 10; n += 1) first.send({ type: 'ping' });
  assert.equal(await first.closed(), 1008);
  second.send(JSON.stringify({ type: 'ping', more: 'x'.repeat(2_000) }));
  assert.equal(await second.closed(), 1009);
  await follow();
});

test('one that is too slow for the log misses entries and is told how many; the others miss none', async (t) => {
  const a1 = await agentWithDir(t, 'a1');
  const limits = { tailMs: 5, tailBytes: 200_000, followBytes: 800_000 };
  const { follow } = await startFleetGateway(t, { agents: [a1], limits });
  const [slow, quick] = [await follow(), await follow()];
  for (const client of [slow, quick]) client.send({ type: 'follow', logs: {} });
  await Promise.all([slow.frame('following'), quick.frame('following')]);
  slow.ws.pause();
  const batch = 100;
  const entries = 5 * batch;
  for (let written = batch; written <= entries; written += batch) {
    await appendFile(logOf(a1), line('x', { text: 'y'.repeat(4_000) }).repeat(batch));
    await quick.until(() => eventsOf(quick).length >= written);
  }
  slow.ws.resume();
  await slow.frame('log_skipped');
  await appendFile(logOf(a1), line('last'));
  await Promise.all([slow, quick].map((each) => each.frame('log', ({ entry }) => entry.event === 'last')));
  const skipped = slow.frames.flatMap((frame) => (frame.type === 'log_skipped' ? [frame.entries] : []));
  const total = skipped.reduce((sum, count) => sum + count, 0);
  assert.ok(total > 0);
  assert.equal(eventsOf(slow).length + total, entries + 1);
  assert.equal(eventsOf(quick).length, entries + 1);
});

test('one that takes nothing is cut with 1013', async (t) => {
  const a1 = await agentWithDir(t, 'a1');
  const limits = { tailMs: 5, followBytes: 20_000, stallMs: 50 };
  const { follow, gateway } = await startFleetGateway(t, { agents: [a1], limits: { ...limits, sockets: 1 } });
  const client = await follow();
  client.send({ type: 'follow', logs: {} });
  await client.frame('following');
  client.ws.pause();
  // Its place is free when it is gone; the system holds some of what is sent to it, so there has to be more and more.
  const more = line('x', { text: 'y'.repeat(5_000) }).repeat(20);
  await untilThere(async () => {
    await appendFile(logOf(a1), more);
    return follow();
  });
  client.ws.resume();
  assert.ok([1013, 1006].includes(await client.closed()));
  assert.ok(gateway.isOpen());
});

async function untilThere<T>(look: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + 10_000;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await delay(10);
    }
  }
}

test('at the end clients are told the last that was written, and that it is the end', async (t) => {
  const a1 = await agentWithDir(t, 'a1');
  const { follow, gateway } = await startFleetGateway(t, { agents: [a1], limits: { tailMs: 60_000 } });
  const client = await follow();
  client.send({ type: 'follow', logs: {} });
  await client.frame('following');
  await writeFile(logOf(a1), line('server.stop'));
  await gateway.close();
  assert.equal(await client.closed(), 1001);
  assert.deepEqual(eventsOf(client), ['server.stop']);
});
