import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { type Approvals, createApprovals } from '../../src/tools/approvals.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { silentLog, until } from '../fixtures/turns.ts';
import { connectClient, type WsClient } from '../fixtures/ws-client.ts';
import { startGateway, type TestGateway } from '../fixtures/ws-gateway.ts';

async function setUp(t: TestContext, approvalMs = 60_000) {
  const clock = createTestClock();
  // Each needs the other: as in an agent, the questions find the sockets when the first is asked.
  let gateway: TestGateway | undefined;
  const approvals: Approvals = createApprovals({
    send: (frame) => gateway?.hub.sendApproval(frame) ?? 0,
    ...{ approvalMs, clock, log: silentLog },
  });
  gateway = await startGateway(t, createNodeTransport, { approvals });
  const running = gateway;
  const connect = async (capabilities: readonly string[]): Promise<WsClient> => {
    const client = await connectClient(t, running);
    client.send({ type: 'auth', client_id: 'person', capabilities });
    await client.nextOf('auth_ok');
    return client;
  };
  const ask = () =>
    approvals.ask({
      ...{ tool: 'files_write', input: { path: 'a' }, turnId: '1-1', sessionId: 'S' },
      signal: new AbortController().signal,
    });
  return { approvals, clock, connect, ask, gateway };
}

test('a question goes to every socket that can answer, and to no other', async (t) => {
  const { connect, ask, approvals } = await setUp(t);
  const [one, two, other] = [
    await connect(['approvals']),
    await connect(['approvals']),
    await connect(['delta']),
  ];
  const pending = ask();
  const { approval_id: id } = await one.nextOf('approval_request');
  assert.deepEqual((await two.nextOf('approval_request')).arguments, { path: 'a' });
  two.send({ type: 'approval', approval_id: id, decision: 'allow' });
  assert.equal((await pending).isAllowed, true);
  assert.equal((await one.nextOf('approval_resolved')).decision, 'allow');
  assert.equal((await two.nextOf('approval_resolved')).approval_id, id);
  assert.deepEqual(
    (await other.settled()).map(({ type }) => type),
    ['auth_ok', 'pong'],
  );
  assert.deepEqual(approvals.open(), []);
});

test('an answer that is too late, or to nothing, is told so', async (t) => {
  const { connect, ask, clock } = await setUp(t);
  const client = await connect(['approvals']);
  const pending = ask();
  const { approval_id: id } = await client.nextOf('approval_request');
  clock.advance(60_000);
  assert.equal((await pending).isAllowed, false);
  client.send({ type: 'approval', approval_id: id, decision: 'allow', id: 'a-1' });
  const { code, id: echoed } = await client.nextOf('error');
  assert.deepEqual({ code, echoed }, { code: 'approval.not_found', echoed: 'a-1' });
});

test('a client that did not ask for the capability decides nothing', async (t) => {
  const { connect, ask, approvals } = await setUp(t);
  const able = await connect(['approvals']);
  const other = await connect([]);
  void ask();
  const { approval_id: id } = await able.nextOf('approval_request');
  other.send({ type: 'approval', approval_id: id, decision: 'allow' });
  assert.equal((await other.nextOf('error')).code, 'frame.invalid');
  assert.equal(approvals.open().length, 1);
  approvals.close();
});

test('a client that comes later is sent what still waits, behind its auth_ok', async (t) => {
  const { connect, ask } = await setUp(t);
  const first = await connect(['approvals']);
  const pending = ask();
  const { approval_id: id } = await first.nextOf('approval_request');
  first.vanish();
  const second = await connect(['approvals']);
  assert.equal((await second.nextOf('approval_request')).approval_id, id);
  second.send({ type: 'approval', approval_id: id, decision: 'deny' });
  assert.deepEqual(await pending, { isAllowed: false, reason: 'a person has denied it' });
});

test('when nobody can answer, the call is denied at once; after a minute where somebody could just now', async (t) => {
  const { connect, ask, gateway, clock, approvals } = await setUp(t, 300_000);
  const other = await connect(['delta']);
  assert.match(String(Reflect.get(await ask(), 'reason')), /no client/);
  const client = await connect(['approvals']);
  await client.close();
  await other.close();
  await until(() => gateway.hub.count() === 0, 'its close');
  const pending = ask();
  await until(() => approvals.size === 1, 'the question');
  clock.advance(60_000);
  const approval = await pending;
  assert.ok(!approval.isAllowed);
  assert.match(approval.reason, /no client/);
});

test('an agent that asks nobody does not grant the capability', async (t) => {
  const gateway = await startGateway(t, createNodeTransport);
  const client = await connectClient(t, gateway);
  client.send({ type: 'auth', client_id: 'person', capabilities: ['approvals', 'delta'] });
  assert.deepEqual((await client.nextOf('auth_ok')).capabilities, ['delta']);
});
