/** What a frame is, and what becomes of one that is none: reference §2.1 and §2.3. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { until } from '../fixtures/turns.ts';
import { connectClient, signIn } from '../fixtures/ws-client.ts';
import { startGateway, TOKEN } from '../fixtures/ws-gateway.ts';

const LONG = 'x'.repeat(257);

/** What is wrong, and what the error says of it. */
const MALFORMED: readonly (readonly [string, string | object, RegExp])[] = [
  ['bad JSON', '{"type":', /^Invalid JSON$/],
  ['empty text', '', /^Invalid JSON$/],
  ['JSON that is an array', '[1]', /one JSON object/],
  ['JSON that is a string', '"auth"', /one JSON object/],
  ['JSON that is a number', '1', /one JSON object/],
  ['JSON null', 'null', /one JSON object/],
  ['text that is a number', { type: 'message', text: 1 }, /message frame: text/],
  ['text that is null', { type: 'message', text: null }, /message frame: text/],
  ['no text', { type: 'message' }, /message frame: text/],
  ['a session_id that is a list', { type: 'message', text: 'x', session_id: [] }, /session_id/],
  ['a session_id that is an object', { type: 'message', text: 'x', session_id: {} }, /session_id/],
  ['a session_id that is a boolean', { type: 'message', text: 'x', session_id: true }, /session_id/],
  ['a session_id that is too long', { type: 'message', text: 'x', session_id: LONG }, /session_id/],
  ['half a character in a session_id', '{"type":"message","text":"x","session_id":"\\ud800"}', /session_id/],
  ['an id that is too long', { type: 'message', text: 'x', id: LONG }, /message frame: id/],
  ['an empty id', { type: 'message', text: 'x', id: '' }, /message frame: id/],
  ['an id that is a number', { type: 'message', text: 'x', id: 1 }, /message frame: id/],
  ['a control character in an id', { type: 'message', text: 'x', id: 'a\nb' }, /message frame: id/],
  ['a client_id that is too long', { type: 'auth', client_id: LONG }, /auth frame: client_id/],
  ['a client_id that is a number', { type: 'auth', client_id: 1 }, /auth frame: client_id/],
  ['a token that is a number', { type: 'auth', token: 1 }, /auth frame: token/],
  ['capabilities that are a string', { type: 'auth', capabilities: 'delta' }, /capabilities/],
  ['a command without name', { type: 'command' }, /command frame: name/],
  ['a command name that is a number', { type: 'command', name: 1 }, /command frame: name/],
  ['a command id that is too long', { type: 'command', name: 'help', id: LONG }, /command frame: id/],
  ['a ping id that is too long', { type: 'ping', id: LONG }, /ping frame: id/],
  ['attachments that are an object', { type: 'message', text: 'x', attachments: {} }, /attachments/],
  [
    'an attachment of an unknown kind',
    { type: 'message', text: 'x', attachments: [{ type: 'program', path: '/x', filename: 'x' }] },
    /attachments\.0\.type/,
  ],
];

const IGNORED: readonly (readonly [string, string])[] = [
  ['unknown type', '{"type":"hello"}'],
  ['missing type', '{"text":"x"}'],
  ['an empty object', '{}'],
  ['a type that is null', '{"type":null}'],
  ['a type that is a number', '{"type":1}'],
  ['a type that is an object', '{"type":{"a":1}}'],
  ['a type that cannot become a string', '{"type":{"toString":1,"valueOf":null}}'],
  ['the name of an inherited property as type', '{"type":"constructor"}'],
  ['__proto__ as type', '{"type":"__proto__"}'],
  ['a frame of the server', '{"type":"response","text":"x"}'],
];

export function frameCases(factory: TransportFactory): void {
  for (const [what, frame, expected] of MALFORMED) {
    test(`${what}: error frame with code frame.invalid, and the socket stays open`, async (t) => {
      const gateway = await startGateway(t, factory);
      const client = await connectClient(t, gateway);
      client.send(frame);
      const error = await client.nextOf('error');
      assert.equal(error.code, 'frame.invalid');
      assert.match(error.text, expected);
      assert.deepEqual((await client.settled()).length, 2);
      assert.deepEqual(gateway.rows(), []);
    });
  }

  test('malformed frames are answered as such before auth too', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN });
    const client = await connectClient(t, gateway);
    client.send('{', '[]', { type: 'message', text: 1 }, { type: 'auth', token: TOKEN });
    const codes = (await client.take(4)).map(({ type, code }) => code ?? type);
    assert.deepEqual(codes, ['frame.invalid', 'frame.invalid', 'frame.invalid', 'auth_ok']);
  });

  test('the details of a malformed frame name each wrong field, and repeat no value', async (t) => {
    const gateway = await startGateway(t, factory, { token: TOKEN });
    const client = await connectClient(t, gateway);
    client.send({ type: 'auth', token: ['s3cret'], client_id: { s3cret: 1 } });
    const error = await client.nextOf('error');
    const details = error.details as { path: string; message: string }[];
    assert.deepEqual(
      details.map(({ path }) => path),
      ['token', 'client_id'],
    );
    assert.doesNotMatch(JSON.stringify(error), /s3cret/);
  });

  for (const [what, frame] of IGNORED) {
    test(`${what}: ignored`, async (t) => {
      const gateway = await startGateway(t, factory);
      const client = await connectClient(t, gateway);
      client.send(frame);
      assert.deepEqual((await client.settled()).length, 1, 'the pong alone');
    });
  }

  test('ids of 256 characters are accepted', async (t) => {
    const gateway = await startGateway(t, factory, { model: 'echo' });
    const id = 'é'.repeat(256);
    const client = await signIn(t, gateway, { client_id: id });
    client.send({ type: 'message', text: 'x', session_id: id, id });
    const response = await client.nextOf('response');
    assert.deepEqual([response.session_id, response.id], [id, id]);
  });

  test('the length of ids follows the limit in the configuration', async (t) => {
    const gateway = await startGateway(t, factory, { limits: { idChars: 3 } });
    const client = await connectClient(t, gateway);
    client.send({ type: 'ping', id: 'abcd' }, { type: 'ping', id: 'abc' });
    assert.deepEqual(
      (await client.take(2)).map(({ type }) => type),
      ['error', 'pong'],
    );
  });

  test('fields nobody knows are ignored', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await connectClient(t, gateway);
    client.send({ type: 'ping', id: 'a', more: true, ['__proto__']: 1 });
    assert.deepEqual(await client.next(), { type: 'pong', id: 'a' });
  });

  test('ping: pong, with the id when there is one', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await connectClient(t, gateway);
    client.send({ type: 'ping' }, { type: 'ping', id: 'a' });
    assert.deepEqual(await client.take(2), [{ type: 'pong' }, { type: 'pong', id: 'a' }]);
  });

  test('a binary frame: error frame in its turn, and the socket stays open', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await connectClient(t, gateway);
    client.send({ type: 'ping', id: '1' });
    client.ws.send(Buffer.from('{"type":"ping"}'));
    client.send({ type: 'ping', id: '2' });
    const [first, error, last] = await client.take(3);
    assert.deepEqual([first?.id, error?.code, last?.id], ['1', 'frame.invalid', '2']);
  });

  test('blank text: ignored', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await connectClient(t, gateway);
    for (const text of ['', ' ', '\n\t ']) client.send({ type: 'message', text });
    assert.equal((await client.settled()).length, 1, 'the pong alone');
    assert.deepEqual(gateway.rows(), []);
  });

  test('text is trimmed, and kept as it is inside', async (t) => {
    const gateway = await startGateway(t, factory, { model: 'echo' });
    const client = await connectClient(t, gateway);
    client.send({ type: 'message', text: ' \n grüße \u0000 \n ☕ \t' });
    assert.equal((await client.nextOf('response')).text, 'echo: grüße \u0000 \n ☕');
    assert.equal(gateway.rows()[0]?.text, 'grüße \u0000 \n ☕');
  });

  test('half a character in a text becomes U+FFFD, so that the journal can give it back', async (t) => {
    const gateway = await startGateway(t, factory, { model: 'echo' });
    const client = await connectClient(t, gateway);
    client.send('{"type":"message","text":"a\\ud800b","id":"1"}');
    assert.equal((await client.nextOf('response')).text, 'echo: a\ufffdb');
    assert.equal(gateway.rows()[0]?.text, 'a\ufffdb');
  });

  test('attachments of a message are accepted and kept, also beside blank text', async (t) => {
    const gateway = await startGateway(t, factory, { model: 'echo' });
    const client = await connectClient(t, gateway);
    const attachments = [{ type: 'image', path: '/tmp/a b.png', filename: 'a b.png' }];
    client.send({ type: 'message', text: 'look', attachments });
    await client.nextOf('response');
    client.send({ type: 'message', text: ' ', attachments });
    await client.nextOf('response');
    client.send({ type: 'message', text: 'none', attachments: null });
    await client.nextOf('response');
    const kept = gateway.rows().map((row) => row.attachments);
    assert.deepEqual(kept, [JSON.stringify(attachments), JSON.stringify(attachments), null]);
  });

  test('session_id: default when absent; null, numbers and empty text are echoed as sent', async (t) => {
    const gateway = await startGateway(t, factory, { model: 'echo' });
    const client = await connectClient(t, gateway);
    for (const sent of [undefined, null, 0, 17, -1.5, 1e300, '', '17', 'S2']) {
      client.send({ type: 'message', text: 'x', session_id: sent });
      const expected = sent === undefined ? 'default' : sent;
      assert.equal((await client.nextOf('status')).session_id, expected);
      assert.equal((await client.nextOf('response')).session_id, expected);
    }
  });

  test('17 and "17" are two sessions', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await connectClient(t, gateway);
    for (const session of [17, '17', null, 'null']) {
      client.send({ type: 'message', text: 'x', session_id: session });
    }
    await until(() => gateway.model.calls.length === 4, 'all to run at once');
    assert.ok(!(await client.settled()).some(({ type }) => type === 'queued'));
  });

  test('frames that arrive with the very first one are handled in order', async (t) => {
    const gateway = await startGateway(t, factory);
    const client = await connectClient(t, gateway);
    client.sendAtOnce(
      { type: 'auth', client_id: 'a' },
      '{',
      { type: 'ping' },
      { type: 'command', name: 'x' },
    );
    await client.nextOf('command_result');
    assert.deepEqual(client.types(), ['auth_ok', 'error', 'pong', 'command_result']);
  });

  test('who says something with the very first frames and leaves at once has still said it', async (t) => {
    const gateway = await startGateway(t, factory, { model: 'echo' });
    const client = await connectClient(t, gateway);
    client.sendAtOnce({ type: 'auth', client_id: 'cli' }, { type: 'message', text: 'and gone' });
    await client.close();
    await until(() => gateway.rows()[0]?.state === 'done', 'it to be answered');
    const back = await signIn(t, gateway, { client_id: 'cli' });
    assert.equal((await back.nextOf('response')).text, 'echo: and gone');
    await until(() => gateway.hub.count() === 1, 'the first socket to be gone');
  });
}
