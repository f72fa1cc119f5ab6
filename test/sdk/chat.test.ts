/** The SDK's chat against a real gateway: it comes back by itself, and each message has one answer. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { WebSocketServer } from 'ws';
import { AgentError, type Chat, createAgentClient } from '../../clients/sdk/src/node.ts';
import { createNodeTransport } from '../../src/gateway/transports/node.ts';
import { eventually } from '../fixtures/chat.ts';
import { within } from '../fixtures/transport-bench.ts';
import { startGateway, type TestGateway, TOKEN } from '../fixtures/ws-gateway.ts';

function chatWith(
  t: TestContext,
  { port }: { readonly port: number },
  options: { readonly token?: string; readonly clientId?: string; readonly pendingMax?: number } = {},
): Chat {
  const { token, ...rest } = options;
  const client = createAgentClient({
    url: `http://127.0.0.1:${port}`,
    ...(token === undefined ? {} : { token }),
  });
  const chat = client.chat({ capabilities: ['delta'], reconnectMsMin: 10, reconnectMsMax: 50, ...rest });
  t.after(() => chat.close());
  return chat;
}

const echoing = (t: TestContext): Promise<TestGateway> =>
  startGateway(t, createNodeTransport, { model: 'echo' });

function becomes(chat: Chat, state: Chat['state']): Promise<void> {
  return within(
    new Promise((resolve) => {
      const off = chat.on('state', (now) => {
        if (now !== state) return;
        off();
        resolve();
      });
      if (chat.state === state) resolve();
    }),
  );
}

const codeOf = (code: string) => (error: unknown) => error instanceof AgentError && error.code === code;

test('a message is accepted, streamed and answered', async (t) => {
  const chat = chatWith(t, await echoing(t));
  const turn = chat.send('how are you', { sessionId: 'S' });
  const pieces: string[] = [];
  turn.onUpdate((update) => void (update.type === 'delta' && pieces.push(update.text)));
  assert.match(await within(turn.accepted), /^\d+-\d+$/);
  const { text, session_id } = await within(turn.response);
  assert.deepEqual([text, session_id], ['echo: how are you', 'S']);
  assert.equal(pieces.join(''), 'echo: how are you');
});

test('what is sent before the connection is there goes out with it', async (t) => {
  const chat = chatWith(t, await echoing(t));
  assert.equal(chat.state, 'connecting');
  assert.equal((await within(chat.send('early').response)).text, 'echo: early');
  assert.equal((await within(chat.ready)).agent_name, 'tester');
});

test('a closed chat rejects what has no answer; the agent has only what was acknowledged', async (t) => {
  const gateway = await startGateway(t, createNodeTransport);
  const chat = chatWith(t, gateway, { clientId: 'cut' });
  const first = chat.send('one', { sessionId: 'A' });
  await within(first.accepted);
  assert.equal(gateway.rows().length, 1);
  await gateway.transport.close(1012, 'restart', 0);
  await becomes(chat, 'waiting');
  const second = chat.send('two', { sessionId: 'B' });
  chat.close();
  await assert.rejects(second.response, codeOf('client.closed'));
  await assert.rejects(first.response, codeOf('client.closed'));
});

test('the same id is the same message', async (t) => {
  const gateway = await echoing(t);
  const chat = chatWith(t, gateway, { clientId: 'again' });
  const turn = chat.send('once', { id: 'm-1' });
  assert.equal(chat.send('once', { id: 'm-1' }), turn);
  const { turn_id } = await within(turn.response);
  const repeated = await within(chat.send('once', { id: 'm-1' }).response);
  assert.equal(repeated.turn_id, turn_id);
  assert.equal(gateway.rows().length, 1);
});

test('an answer to an earlier life of this client is told as missed, once', async (t) => {
  const gateway = await startGateway(t, createNodeTransport);
  const before = chatWith(t, gateway, { clientId: 'phoenix' });
  await within(before.send('late').accepted);
  before.close();
  await eventually(() => gateway.hub.connectedClients() === 0, 'its socket is gone');
  await eventually(() => gateway.model.calls.at(0), 'the model is asked').then((call) =>
    call.answer('at last'),
  );
  const after = chatWith(t, gateway, { clientId: 'phoenix' });
  const missed: string[] = [];
  after.on('missed', ({ text }) => void missed.push(text));
  await eventually(() => missed.length > 0, 'what was missed');
  assert.equal((await within(after.send('next').accepted)).split('-').length, 2);
  assert.deepEqual(missed, ['at last']);
});

test('a turn that ends with an error rejects with its code, a refused message with the reason', async (t) => {
  const gateway = await startGateway(t, createNodeTransport, { limits: { waitingPerSession: 1 } });
  const chat = chatWith(t, gateway);
  const running = chat.send('runs');
  await within(running.accepted);
  const waiting = chat.send('waits');
  await within(waiting.accepted);
  await assert.rejects(within(chat.send('too many').response), codeOf('queue.session_full'));
  const { text } = await within(chat.command('stop'));
  assert.match(text, /stop/i);
  await assert.rejects(within(running.response), codeOf('turn.cancelled'));
  await assert.rejects(within(waiting.response), codeOf('turn.dropped'));
});

test('a wrong token ends the chat instead of knocking for ever', async (t) => {
  const gateway = await startGateway(t, createNodeTransport, { token: TOKEN });
  const chat = chatWith(t, gateway, { token: 'wrong' });
  const turn = chat.send('never');
  await assert.rejects(within(chat.ready), codeOf('auth.invalid'));
  await assert.rejects(within(turn.response), codeOf('auth.invalid'));
  assert.equal(chat.state, 'refused');
  await assert.rejects(chat.send('still').response, codeOf('auth.invalid'));
  const right = chatWith(t, gateway, { token: TOKEN });
  await within(right.ready);
});

test('a message that is too large for the agent is refused here, and the socket stays', async (t) => {
  const gateway = await startGateway(t, createNodeTransport, {
    model: 'echo',
    limits: { frameBytes: 70_000 },
  });
  const chat = chatWith(t, gateway);
  await within(chat.ready);
  await assert.rejects(within(chat.send('x'.repeat(80_000)).response), codeOf('frame.too_large'));
  assert.equal((await within(chat.send('small').response)).text, 'echo: small');
});

test('messages that wait here are bounded', async (t) => {
  const gateway = await startGateway(t, createNodeTransport);
  const chat = chatWith(t, gateway, { pendingMax: 2 });
  chat.send('a');
  chat.send('b');
  await assert.rejects(chat.send('c').response, codeOf('queue.client_full'));
});

test('a command whose answer is cut off rejects: nobody knows whether it was carried out', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  t.after(() => server.close());
  server.on('connection', (socket) => {
    socket.on('message', (data) => {
      const { type, id } = JSON.parse(String(data)) as { type: string; id?: string };
      const frames: Record<string, object> = {
        auth: { type: 'auth_ok', agent_name: 'x', version: '1', client_id: 'c', limits: {} },
        ping: { type: 'pong', id },
      };
      if (type === 'command') socket.terminate();
      else socket.send(JSON.stringify(frames[type]));
    });
  });
  await once(server, 'listening');
  const chat = chatWith(t, server.address() as { port: number });
  await becomes(chat, 'open');
  await assert.rejects(within(chat.command('restart')), codeOf('connection.lost'));
  await becomes(chat, 'open');
});

test('an answer that was lost on its way is asked for again, under the id that the agent knows', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  t.after(() => server.close());
  const ids: string[] = [];
  server.on('connection', (socket) => {
    const say = (frame: object) => socket.send(JSON.stringify(frame));
    socket.on('message', (data) => {
      const { type, id = '' } = JSON.parse(String(data)) as { type: string; id?: string };
      const turn = { session_id: 'default', turn_id: '1-1', id };
      if (type === 'auth')
        say({ type: 'auth_ok', agent_name: 'x', version: '1', client_id: 'c', limits: {} });
      else if (type === 'ping') say({ type: 'pong', id });
      else if (ids.push(id) > 1)
        say({ type: 'response', text: 'late', attachments: null, model: null, ...turn });
      else {
        say({ type: 'status', text: 'Thinking...', ...turn });
        socket.close();
      }
    });
  });
  await once(server, 'listening');
  const turn = chatWith(t, server.address() as { port: number }).send('hello');
  assert.equal(await within(turn.accepted), '1-1');
  assert.equal((await within(turn.response)).text, 'late');
  assert.deepEqual(ids, [turn.id, turn.id]);
});
