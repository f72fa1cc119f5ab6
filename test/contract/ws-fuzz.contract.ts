/** Whatever a client sends, its socket lives on, nothing unforeseen happens, and a ping is answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { clientFrames } from '../../src/contract/frames.ts';
import type { TransportFactory } from '../../src/gateway/transport.ts';
import { COMMANDS } from '../../src/gateway/ws/commands.ts';
import { connectClient, type WsClient } from '../fixtures/ws-client.ts';
import { startGateway } from '../fixtures/ws-gateway.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 100);
const SEED = process.env.OPENAGENT_TEST_SEED;
const PARAMETERS = { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) };

/** No limit but those on malformed input shall end a socket here. */
const LIMITS = { framesPerSecond: 1e9, frameBytesPerSecond: 1e12 };
/** Used by one socket up to their number. */
const CLIENT_IDS = ['a', 'b', 'ws-1', '', '__proto__', 'n::a', 'a:b:c'];
const KEYS = [
  ...['type', 'text', 'session_id', 'id', 'name', 'token', 'client_id', 'capabilities', 'attachments'],
  ...['toString', 'valueOf', 'toJSON', '__proto__', 'constructor', 'then', 'length'],
];

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('\ud800', '\u0000', 'a\nb', 'x'.repeat(257), 'x'.repeat(256), '[IMAGE:/x]', '%00', '{}'),
);
const anyJson = fc.jsonValue({ maxDepth: 4 });
/** An object that breaks whoever takes it for a string, a promise or a thing with a length. */
const oddObject = fc.dictionary(fc.constantFrom(...KEYS.slice(-7)), anyJson, { minKeys: 1 });
const anyObject = fc
  .dictionary(fc.constantFrom(...KEYS), fc.oneof(anyJson, oddObject))
  .map((value) => JSON.stringify(value));
const anyValue = fc.oneof(anyJson, anyText, oddObject);
/** Objects with a known type, and whatever in their fields. */
const nearFrame = fc
  .record({
    type: fc.constantFrom(...Object.keys(clientFrames)),
    fields: fc.dictionary(fc.constantFrom(...KEYS.slice(1)), anyValue),
  })
  // An arbitrary client_id is one of too many sooner or later, which rightly ends the socket.
  .map(({ type, fields }) => JSON.stringify({ ...withoutClientId(fields), type }));
const validFrame = fc.oneof(
  fc.record(
    {
      type: fc.constant('auth'),
      token: anyText,
      client_id: fc.constantFrom(...CLIENT_IDS),
      capabilities: fc.array(fc.constantFrom('delta', 'tools')),
    },
    { requiredKeys: ['type'] },
  ),
  fc.record(
    {
      type: fc.constant('message'),
      text: anyText,
      session_id: fc.oneof(anyText, fc.double(), fc.integer(), fc.constant(null)),
      id: fc.oneof(fc.constantFrom('1', '2', '3'), anyText),
    },
    { requiredKeys: ['type', 'text'] },
  ),
  fc.record(
    {
      type: fc.constant('command'),
      name: fc.oneof(fc.constantFrom(...Object.keys(COMMANDS)), anyText),
      session_id: anyText,
      id: anyText,
    },
    { requiredKeys: ['type', 'name'] },
  ),
);
const anyFrame = fc.oneof(
  anyText,
  anyObject,
  nearFrame,
  anyJson.map((value) => JSON.stringify(value)),
  validFrame.map((value) => JSON.stringify(value)),
);

function withoutClientId({ client_id: _, ...rest }: Record<string, unknown>): Record<string, unknown> {
  return rest;
}

/** Sends them, and reads to the pong behind them. What ended meanwhile is of no interest here. */
async function survives(client: WsClient, frames: readonly string[]): Promise<void> {
  client.forget();
  client.send(...frames);
  const answers = await client.settled();
  const internal = answers.filter(({ code }) => code === 'internal');
  assert.deepEqual(internal, [], 'nothing unforeseen');
  assert.deepEqual(client.strange, [], 'every frame matches its schema');
}

export function fuzzCases(factory: TransportFactory): void {
  test('any text and any JSON: the socket lives on, nothing unforeseen happens, ping is answered', async (t) => {
    const gateway = await startGateway(t, factory, { model: 'echo', limits: LIMITS });
    const client = await connectClient(t, gateway);
    const frames = fc.array(anyFrame, { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(frames, (texts) => survives(client, texts)),
      PARAMETERS,
    );
    assert.deepEqual(gateway.defects, []);
  });

  test('before auth no text and no JSON is more than answered', async (t) => {
    const gateway = await startGateway(t, factory, { token: 'secret', limits: LIMITS });
    const client = await connectClient(t, gateway);
    const frames = fc.array(fc.oneof(anyText, anyObject, nearFrame.filter(isNoAuth)), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(frames, async (texts) => {
        client.forget();
        client.send(...texts.filter(isNoAuth), { type: 'ping' });
        const last = await client.nextWhere(({ code }) => code === 'auth.required', 'a refusal');
        assert.equal(last.type, 'auth_error');
        const codes = new Set(client.frames.map(({ code }) => code));
        codes.delete('auth.required');
        codes.delete('frame.invalid');
        assert.deepEqual([...codes], []);
      }),
      PARAMETERS,
    );
    assert.equal(client.isClosed, false);
    assert.deepEqual(gateway.rows(), []);
  });
}

const isNoAuth = (text: string) => !/"type"\s*:\s*"auth"/.test(text);
