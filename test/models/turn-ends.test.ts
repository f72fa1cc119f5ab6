/** What a provider does, through a whole turn: one frame that ends it, and a usage row for each call that was made. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { LLMock } from '@copilotkit/aimock';
import type { ErrorCode } from '../../src/contract/errors.ts';
import { createModel, modelLabel } from '../../src/models/registry.ts';
import { createCallMeter } from '../../src/usage/call-meter.ts';
import { MODEL_OF, providerAt, settingsAt, startDouble, stopDouble } from '../fixtures/model-double.ts';
import { createTestClock } from '../fixtures/simulated-clock.ts';
import { createTool, toolParts } from '../fixtures/thinking.ts';
import { openTurns, tempDir, until } from '../fixtures/turns.ts';
import { ledgerOn, rowsOf } from '../usage/usage-fixture.ts';

const STALL_MS = 60_000;
const CALLS = ['north', 'south'].map((side, at) => ({
  ...{ id: `call_${at}`, name: 'look' },
  arguments: JSON.stringify({ side }),
}));

let double: LLMock;
/** What the next request to `/raw` is answered with. */
let handleRaw: (response: ServerResponse) => void = () => {};

before(async () => {
  double = await startDouble();
  double.mount('/raw', {
    handleRequest: async (request, response) => {
      await request.toArray();
      handleRaw(response);
      return true;
    },
  });
  const fixtures = {
    plain: { content: 'The sea.' },
    reasoned: { content: 'The sea.', reasoning: 'It is blue.' },
    'called-again': { content: 'The sea.' },
    unauthorized: { error: { message: 'bad key' }, status: 401 },
    limited: { error: { message: 'slow down' }, status: 429 },
    broken: { error: { message: 'broken' }, status: 500 },
    overloaded: { error: { message: 'Overloaded', type: 'overloaded_error' }, status: 529 },
    empty: { content: '' },
  };
  double.on({ userMessage: 'tools', hasToolResult: false }, { content: 'I look.', toolCalls: CALLS });
  double.on({ userMessage: 'tools', hasToolResult: true }, { content: 'The sea.' });
  for (const [said, response] of Object.entries(fixtures)) double.onMessage(said, response);
});
after(() => stopDouble(double));

const BEGUN = `data: ${JSON.stringify({ id: 'c', created: 1, model: 'm', choices: [{ index: 0, delta: { content: 'It began' } }] })}\n\n`;
const begin = (then: (response: ServerResponse) => void) => (response: ServerResponse) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(BEGUN, () => then(response));
};
const RAW: Readonly<Record<string, (response: ServerResponse) => void>> = {
  stalled: begin(() => {}),
  cut: begin((response) => response.destroy()),
  garbage: begin((response) => response.end('data: {"choices":[\n\n')),
};

/** What is said, by which model, and how the turn and its calls end; undefined: well. */
const CASES: readonly (readonly [string, string, ErrorCode | undefined, calls?: number])[] = [
  ...Object.values(MODEL_OF).flatMap((model) => [
    ['plain', model, undefined] as const,
    ['tools', model, undefined, 2] as const,
    ['unauthorized', model, 'model.auth'] as const,
    ['broken', model, 'model.overloaded'] as const,
    ['limited', model, 'model.rate_limited'] as const,
    ['empty', model, 'model.empty'] as const,
  ]),
  ['reasoned', MODEL_OF.anthropic, undefined],
  ['overloaded', MODEL_OF.anthropic, 'model.overloaded'],
  ['stalled', 'raw:m', 'model.timeout'],
  ['cut', 'raw:m', 'model.network'],
  ['garbage', 'raw:m', 'model.garbage'],
];

test('whatever a provider does ends in one frame, and in a usage row for each call', async (t) => {
  const settings = settingsAt(double.url, { stallMs: STALL_MS });
  const providers = { ...settings.providers, raw: providerAt(`${double.url}/raw`, 'openai-chat') };
  const tool = createTool('look', 'none');
  const clock = createTestClock();
  let wanted = '';
  const setup = await openTurns(join(await tempDir(t), 'openagent.db'), {
    model: createModel({ ...settings, providers }, clock, {}),
    mind: () => ({
      ...toolParts(tool),
      modelOfClient: () => wanted,
      meter: (plan) => meter(plan),
    }),
  });
  setup.outlet.wantsDeltas = true;
  const { ledger } = ledgerOn(setup.db, {});
  const meter = createCallMeter(ledger, modelLabel(settings));
  for (const [at, [said, model, code, calls = 1]] of CASES.entries()) {
    const what = `${said} of ${model}`;
    wanted = model;
    handleRaw = RAW[said] ?? (() => assert.fail());
    setup.submit(said, { sessionId: what });
    if (said === 'stalled') {
      await until(() => setup.outlet.frames.some(({ text }) => text === 'It began'), what, 15_000);
      clock.advance(STALL_MS);
    }
    const end = await until(() => setup.outlet.ends()[at], what, 15_000);
    assert.equal(end.session_id, what);
    assert.deepEqual([end.type, end.code], code ? ['error', code] : ['response', undefined], what);
    if (code === undefined) {
      assert.match(String(end.text), /The sea\.$/, what);
      assert.equal(end.model, model);
    }
    const rows = rowsOf(setup.db).filter(({ session_id }) => session_id === what);
    assert.deepEqual(
      rows.map(({ model: called, error_code, turn_id }) => [called, error_code, turn_id]),
      Array.from({ length: calls }, () => [model, code ?? null, end.turn_id]),
      what,
    );
  }
  assert.equal(tool.runs.length, 2 * Object.keys(MODEL_OF).length);
  assert.equal(setup.outlet.ends().length, CASES.length);
  assert.deepEqual(setup.defects, []);
  ledger.close();
  setup.db.close();
});
