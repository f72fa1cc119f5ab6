/** Messages, their queue and their answers, and the commands: reference §2.4 to §2.8. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AppError } from '../../src/contract/errors.ts';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { until } from '../fixtures/turns.ts';
import { type Frame, signIn, type WsClient } from '../fixtures/ws-client.ts';
import { startGateway, type TestGateway } from '../fixtures/ws-gateway.ts';

const isTerminal = ({ type, turn_id }: Frame) =>
  type === 'response' || (type === 'error' && turn_id !== undefined);

/** A turn runs and `waiting` messages wait behind it. */
async function busy(gateway: TestGateway, client: WsClient, waiting = 0, session = 's'): Promise<void> {
  const before = gateway.model.calls.length;
  client.send({ type: 'message', text: 'running', session_id: session });
  await until(() => gateway.model.calls.length > before, 'the turn to run');
  await client.nextOf('status');
  for (let n = 1; n <= waiting; n++) {
    client.send({ type: 'message', text: `waiting ${n}`, session_id: session });
    await client.nextOf('queued');
  }
}

export function turnCases(factory: TransportFactory): void {
  test('a message that starts at once: status, response, both with session_id and turn_id', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway);
    await busy(gateway, client);
    gateway.model.calls[0]?.answer('the answer');
    const { turn_id, ...response } = await client.nextOf('response');
    assert.deepEqual(response, {
      ...{ type: 'response', text: 'the answer', session_id: 's', attachments: null, model: 'scripted' },
    });
    assert.deepEqual(client.types(), ['auth_ok', 'status', 'response']);
    assert.equal(client.frames[1]?.turn_id, turn_id);
  });

  test('id (idempotency key): echoed in every frame of the turn; sent again, it is not run again', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway, { client_id: 'cli' });
    const message = { type: 'message', text: 'once', session_id: 's', id: 'key-1' };
    await busy(gateway, client);
    client.send(message);
    const queued = await client.nextOf('queued');
    gateway.model.calls[0]?.answer('first');
    await until(() => gateway.model.calls.length === 2, 'the second to run');
    gateway.model.calls[1]?.answer('second');
    const last = await client.nextWhere((frame) => frame.type === 'response' && frame.id === 'key-1', 'it');
    assert.deepEqual([queued.id, queued.turn_id], ['key-1', last.turn_id]);
    client.send(message);
    assert.deepEqual(await client.nextOf('response'), last, 'the same frame');
    client.send({ ...message, text: 'other' });
    const error = await client.nextOf('error');
    assert.deepEqual([error.code, error.id, error.session_id], ['message.id_reused', 'key-1', 's']);
    assert.equal(gateway.model.calls.length, 2);
  });

  test('queued: position from 1, with session_id and turn_id; the answers come in order', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway);
    await busy(gateway, client, 3);
    const positions = client.frames.filter(({ type }) => type === 'queued');
    assert.deepEqual(
      positions.map(({ position, session_id }) => [position, session_id]),
      [1, 2, 3].map((position) => [position, 's']),
    );
    for (let n = 0; n < 4; n++) {
      await until(() => gateway.model.calls.length > n, `call ${n}`);
      gateway.model.calls[n]?.answer(`to ${gateway.model.calls[n]?.text}`);
    }
    const texts = [];
    for (let n = 0; n < 4; n++) texts.push((await client.nextOf('response')).text);
    assert.deepEqual(texts, ['to running', 'to waiting 1', 'to waiting 2', 'to waiting 3']);
  });

  test('the 21st waiting message is refused with its session_id, and no turn_id', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway);
    await busy(gateway, client, 20);
    client.send({ type: 'message', text: 'too many', session_id: 's', id: 'x' });
    const { text, ...error } = await client.nextOf('error');
    assert.match(text, /Too many messages queued/);
    assert.deepEqual(error, { type: 'error', code: 'queue.session_full', session_id: 's', id: 'x' });
    client.send({ type: 'message', text: 'elsewhere', session_id: 'other' });
    await until(() => gateway.model.calls.length === 2, 'another session to run');
    assert.equal(gateway.rows().length, 22);
  });

  test('exactly one terminal frame for each accepted message: answered, failed, stopped, dropped', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway);
    const { model } = gateway;
    await busy(gateway, client, 0, 'answered');
    await busy(gateway, client, 0, 'failed');
    await busy(gateway, client, 2, 'stopped');
    model.calls[0]?.answer('fine');
    model.calls[1]?.fail(new AppError('model.failed', 'The model is down.'));
    client.send({ type: 'command', name: 'stop', session_id: 'stopped' });
    await until(() => client.frames.filter(isTerminal).length === 5, 'five ends');
    await client.settled();
    const ends = client.frames.filter(isTerminal);
    assert.deepEqual(ends.map(({ session_id, code }) => `${session_id}: ${code ?? 'response'}`).sort(), [
      ...['answered: response', 'failed: model.failed', 'stopped: turn.cancelled'],
      ...['stopped: turn.dropped', 'stopped: turn.dropped'],
    ]);
    assert.equal(new Set(ends.map(({ turn_id }) => turn_id)).size, 5);
  });

  test('response.attachments: markers become attachments and leave the text', async (t) => {
    const gateway = await startGateway(t, factory, { model: 'echo' });
    const client = await signIn(t, gateway);
    client.send({ type: 'message', text: 'a [IMAGE:/tmp/a b.png] b [FILE: /x/y.pdf ][VOICE:v][VIDEO:w]' });
    const { text, attachments } = await client.nextOf('response');
    assert.equal(text, 'echo: a  b');
    assert.deepEqual(attachments, [
      { type: 'image', path: '/tmp/a b.png', filename: 'a b.png' },
      { type: 'file', path: '/x/y.pdf', filename: 'y.pdf' },
      { type: 'voice', path: 'v', filename: 'v' },
      { type: 'video', path: 'w', filename: 'w' },
    ]);
    client.send({ type: 'message', text: '[FILE:] [image:/x]' });
    const plain = await client.nextOf('response');
    assert.deepEqual([plain.text, plain.attachments], ['echo: [FILE:] [image:/x]', null]);
  });

  test('delta and turn_complete only for a client that asked for them, between status and end', async (t) => {
    const gateway = await startGateway(t, factory, { model: 'echo' });
    const [asked, plain] = [await signIn(t, gateway, { capabilities: ['delta'] }), await signIn(t, gateway)];
    for (const client of [asked, plain]) {
      client.send({ type: 'message', text: 'x' });
      await client.nextOf('response');
      await client.settled();
    }
    assert.deepEqual(asked.types(), ['auth_ok', 'status', 'delta', 'response', 'turn_complete', 'pong']);
    assert.deepEqual(plain.types(), ['auth_ok', 'status', 'response', 'pong']);
    assert.deepEqual([asked.frames[2]?.seq, asked.frames[2]?.text], [1, 'echo: x']);
  });

  test('two sockets of one client: replies go to the socket that sent the message', async (t) => {
    const gateway = await startGateway(t, factory, { model: 'echo' });
    const [one, two] = [
      await signIn(t, gateway, { client_id: 'cli' }),
      await signIn(t, gateway, { client_id: 'cli' }),
    ];
    one.send({ type: 'message', text: '1', session_id: 'a' });
    two.send({ type: 'message', text: '2', session_id: 'b' });
    assert.equal((await one.nextOf('response')).text, 'echo: 1');
    assert.equal((await two.nextOf('response')).text, 'echo: 2');
    for (const client of [one, two]) {
      assert.equal((await client.settled()).filter(({ type }) => type === 'response').length, 1);
    }
  });

  const commands: readonly (readonly [string, RegExp, string?])[] = [
    ['new', /^New session: [0-9a-f]{8}$/],
    ['reset', /^New session: [0-9a-f]{8}$/],
    ['stop', /^Stopped\. Removed 2 messages from the queue\.$/],
    ['status', /^Busy \| Queue: 2 \| Sessions: 1$/],
    ['queue', /^Queue depth: 2$/],
    ['clear', /^Queue cleared \(2 messages removed\)\.$/],
    ['usage', /^Spent this month: \$0\.0000 \(0 models\)$/],
    ['update', /^Update failed: /, 'update.unavailable'],
    ['restart', /^Restarting/],
    ['help', /new.*\n.*stop.*\n.*status.*\n.*queue.*\n.*clear.*\n.*usage.*\n.*update.*\n.*restart.*\n.*help/],
    ['dance', /^Unknown command: dance$/],
    ['constructor', /^Unknown command: constructor$/],
  ];
  for (const [name, expected, code] of commands) {
    test(`command ${name}: answered while a turn runs, with name, id and session_id`, async (t) => {
      const gateway = await startGateway(t, factory);
      const client = await signIn(t, gateway);
      await busy(gateway, client, 2);
      client.send({ type: 'command', name, id: 'c1', session_id: 's' });
      const { text, ...rest } = await client.nextOf('command_result');
      assert.match(text, expected);
      const given = { type: 'command_result', name, session_id: 's', id: 'c1' };
      assert.deepEqual(rest, code === undefined ? given : { ...given, code });
      client.send({ type: 'command', name: 'queue' });
      const bare = await client.nextOf('command_result');
      assert.deepEqual(Object.keys(bare).sort(), ['name', 'text', 'type'], 'no id, no session_id');
    });
  }

  test('command stop: the result comes before the error frames of what was stopped', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway);
    await busy(gateway, client, 1);
    client.send({ type: 'command', name: 'stop' });
    await client.nextOf('command_result');
    const codes = [(await client.nextOf('error')).code, (await client.nextOf('error')).code].sort();
    assert.deepEqual(codes, ['turn.cancelled', 'turn.dropped']);
    client.send({ type: 'command', name: 'stop' });
    assert.equal((await client.nextOf('command_result')).text, 'Nothing running.');
  });

  test('command clear: the running turn goes on; an empty queue is said to be empty', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway);
    await busy(gateway, client, 1);
    client.send({ type: 'command', name: 'clear' }, { type: 'command', name: 'clear' });
    assert.match((await client.nextOf('command_result')).text, /1 message removed/);
    assert.equal((await client.nextOf('command_result')).text, 'Queue already empty.');
    gateway.model.calls[0]?.answer('done');
    assert.equal((await client.nextOf('response')).text, 'done');
  });

  test('commands with a session_id act on that session only', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway);
    await busy(gateway, client, 1, 'a');
    await busy(gateway, client, 1, 'b');
    client.send({ type: 'command', name: 'clear', session_id: 'a' });
    assert.match((await client.nextOf('command_result')).text, /1 message removed/);
    client.send({ type: 'command', name: 'stop', session_id: 'a' });
    assert.equal((await client.nextOf('command_result')).text, 'Stopped.');
    client.send({ type: 'command', name: 'status' });
    assert.match((await client.nextOf('command_result')).text, /^Busy \| Queue: 1/);
    assert.equal(gateway.model.calls[1]?.signal.aborted, false);
  });

  test('command restart: reaches the supervisor once; while stopping it says so with a code', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await signIn(t, gateway, { client_id: 'cli' });
    client.send({ type: 'command', name: 'restart' });
    await client.nextOf('command_result');
    assert.deepEqual(gateway.restarts, ['command cli']);
    const stopping = await startGateway(t, factory, { isStopping: true });
    const other = await signIn(t, stopping);
    other.send({ type: 'command', name: 'restart' });
    assert.equal((await other.nextOf('command_result')).code, 'agent.stopping');
  });
}
