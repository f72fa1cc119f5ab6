import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { serverFrames } from '../../src/contract/frames.ts';
import { createResourceEvents } from '../../src/gateway/services/resource-events.ts';
import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { connectClient, signIn } from '../fixtures/ws-client.ts';
import { startGateway } from '../fixtures/ws-gateway.ts';

function start() {
  const clock = createTestClock();
  const told: unknown[] = [];
  const events = createResourceEvents({ clock, broadcast: (frame) => void told.push(JSON.parse(frame)) });
  const takeAll = () => {
    clock.advance(100);
    for (const frame of told) assert.ok(serverFrames.resource_event.strict().safeParse(frame).success);
    return told.splice(0).map((frame) => ({ ...(frame as object), type: undefined }));
  };
  return { events, told, takeAll };
}

const event = (resource: string, action: string, id?: string) => ({
  ...{ type: undefined, resource, action },
  ...(id === undefined ? {} : { id }),
});

test('a change is told with its resource as the reference calls it', () => {
  const { events, takeAll } = start();
  events.changed('config', 'updated', 'model');
  events.changed('task', 'created', 't-1');
  events.changed('mcp', 'deleted');
  assert.deepEqual(takeAll(), [
    event('config', 'updated', 'model'),
    event('scheduled_task', 'created', 't-1'),
    event('mcp', 'deleted'),
  ]);
  assert.deepEqual(takeAll(), []);
});

test('several changes of one thing within the window are one, as seen by who saw neither', () => {
  for (const [first, second, told] of [
    ['created', 'updated', 'created'],
    ['created', 'deleted', 'deleted'],
    ['updated', 'updated', 'updated'],
    ['updated', 'deleted', 'deleted'],
    ['deleted', 'created', 'updated'],
  ] as const) {
    const { events, takeAll } = start();
    events.changed('vault', first, 'a.md');
    events.changed('vault', second, 'a.md');
    assert.deepEqual(takeAll(), [event('vault', told, 'a.md')]);
  }
});

test('ten thousand changes of notes are one hint to read all again; other resources are told as ever', () => {
  const { events, takeAll } = start();
  for (let n = 0; n < 10_000; n += 1) events.changed('vault', 'updated', `${n}.md`);
  events.changed('config', 'updated');
  assert.deepEqual(takeAll(), [event('vault', 'changed'), event('config', 'updated')]);
  events.changed('vault', 'updated', 'a.md');
  assert.deepEqual(takeAll(), [event('vault', 'updated', 'a.md')]);
});

test('a budget that is half spent is told at once, with the money', () => {
  const { events, told } = start();
  const details = { percent: 50, period: '2026-11', budget_usd: 20, spent_usd: 10.01 };
  events.budgetReached('month', details);
  assert.deepEqual(told, [
    { type: 'resource_event', resource: 'budget', action: 'updated', id: 'month', details },
  ]);
  assert.ok(serverFrames.resource_event.strict().safeParse(told[0]).success);
});

test('only clients that asked for it hear of changes, until they sign in without it', async (t: TestContext) => {
  const gateway = await startGateway(t, createNodeTransport);
  const asked = await signIn(t, gateway, { client_id: 'a', capabilities: ['resources', 'unknown'] });
  const other = await signIn(t, gateway, { client_id: 'b', capabilities: ['delta'] });
  gateway.services.resources.changed('vault', 'created', 'a.md');
  assert.deepEqual(await asked.next(), {
    ...{ type: 'resource_event', resource: 'vault', action: 'created', id: 'a.md' },
  });
  assert.deepEqual(other.types(), ['auth_ok']);
  assert.deepEqual(asked.frames[0]?.capabilities, ['resources']);
  asked.send({ type: 'auth', client_id: 'a' });
  await asked.nextOf('auth_ok');
  const late = await signIn(t, gateway, { client_id: 'c', capabilities: ['resources'] });
  gateway.services.resources.changed('vault', 'deleted', 'a.md');
  await late.nextOf('resource_event');
  await asked.settled();
  assert.equal(asked.types().filter((type) => type === 'resource_event').length, 1);
});

test('with a token, a socket that has not authenticated hears nothing', async (t: TestContext) => {
  const gateway = await startGateway(t, createNodeTransport, { token: 'right' });
  const stranger = await connectClient(t, gateway);
  stranger.send({ type: 'ping' });
  await stranger.nextOf('auth_error');
  const known = await signIn(t, gateway, { token: 'right', capabilities: ['resources'] });
  gateway.services.resources.changed('config', 'updated');
  await known.nextOf('resource_event');
  assert.deepEqual(stranger.types(), ['auth_error']);
});
