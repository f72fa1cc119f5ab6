import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { LLMock } from '@copilotkit/aimock';
import { systemClock } from '../../src/contract/clock.ts';
import type { RoutingSettings } from '../../src/contract/model-settings.ts';
import { createModel } from '../../src/models/registry.ts';
import { ask, collect, settingsAt, startDouble, stopDouble, usagesOf } from '../fixtures/model-double.ts';

const ROUTING: RoutingSettings = {
  simple: 'openai:small',
  medium: 'openai:middle',
  hard: 'anthropic:large',
  fallback: 'google:cheap',
  classifier: 'groq:judge',
  others: ['openai:other'],
};

let double: LLMock;
const notes: string[] = [];

before(async () => {
  double = await startDouble();
});
beforeEach(() => {
  notes.length = 0;
  double.reset();
  for (const name of ['small', 'middle', 'large', 'cheap', 'other'])
    double.on({ model: name }, { content: name });
});
after(() => stopDouble(double));

function smart(ratio?: number, routing = ROUTING) {
  const settings = settingsAt(double.url, { provider: 'smart', modelId: undefined, routing });
  return createModel(settings, systemClock, {
    note: (event) => notes.push(event),
    ...(ratio === undefined ? {} : { budgetRatio: () => ratio }),
  });
}

const judged = (word: string) => double.on({ model: 'judge' }, { content: word });
/** Who was called, and for what. */
async function calls(text: string, model = smart(), over = {}) {
  const { parts, error } = await collect(model.stream(ask(undefined, text, over)));
  assert.equal(error, undefined);
  return usagesOf(parts).map(({ model: called, purpose, failed }) =>
    [called, purpose ?? 'answer', failed].join(' ').trim(),
  );
}

describe('smart', () => {
  for (const [said, tier] of [
    ['simple', 'openai:small'],
    ['Medium.', 'openai:middle'],
    ['It is HARD, because', 'anthropic:large'],
    ['I cannot tell', 'openai:middle'],
  ] as const) {
    test(`a judge who says "${said}" sends the turn to ${tier}, and is counted`, async () => {
      judged(said);
      assert.deepEqual(await calls('write a poem'), ['groq:judge classifier', `${tier} answer`]);
    });
  }

  test('a judge who fails costs nothing but the choice: the turn goes to the middle', async () => {
    double.on({ model: 'judge' }, { error: { message: 'broken' }, status: 500 });
    assert.deepEqual(await calls('write a poem'), [
      'groq:judge classifier model.overloaded',
      'openai:middle answer',
    ]);
    assert.ok(notes.includes('model.classifier_failed'));
  });

  test('reads no more than the beginning, and none of what was said before', async () => {
    judged('simple');
    await calls(`${'x'.repeat(500)}unread`, smart(), {
      messages: [
        { role: 'user', text: 'long ago' },
        { role: 'assistant', text: 'yes' },
        { role: 'user', text: `${'x'.repeat(500)}unread` },
      ],
    });
    const asked = JSON.stringify(
      double.getRequests().find(({ body }) => JSON.stringify(body).includes('judge'))?.body,
    );
    assert.ok(
      asked.includes('x'.repeat(500)) && !asked.includes('unread') && !asked.includes('long ago'),
      asked,
    );
  });

  test('who asks for the best model gets it unjudged, in English and Italian', async () => {
    for (const text of [
      'Please use the most powerful model: why?',
      'usa il modello più potente per questo',
    ]) {
      assert.deepEqual(await calls(text), ['anthropic:large answer']);
    }
  });

  test('the steps of one turn stay with its tier', async () => {
    judged('hard');
    const model = smart();
    assert.equal((await calls('think', model, { turnId: 't1' })).length, 2);
    assert.deepEqual(await calls('think', model, { turnId: 't1' }), ['anthropic:large answer']);
    assert.equal((await calls('think', model, { turnId: 't2' })).length, 2);
  });

  test('with little money left the small model answers unjudged, with next to none the fallback', async () => {
    assert.deepEqual(await calls('think', smart(0.19)), ['openai:small answer']);
    assert.deepEqual(await calls('think', smart(0.04)), ['google:cheap answer']);
    judged('hard');
    assert.equal((await calls('think', smart(0.2))).at(-1), 'anthropic:large answer');
  });

  test('with little money left a failure leads to nothing dearer', async () => {
    double.clearFixtures();
    double.on({}, { error: { message: 'broken' }, status: 500 });
    const { parts, error } = await collect(smart(0.1).stream(ask(undefined, 'think')));
    assert.match(String(error), /broken/);
    assert.deepEqual(
      usagesOf(parts).map(({ model }) => model),
      ['openai:small', 'google:cheap'],
    );
  });

  test('a tier that fails is followed by the others, then by every model there is', async () => {
    double.clearFixtures();
    judged('hard');
    double.on({ model: 'other' }, { content: 'at last' });
    double.on({}, { error: { message: 'broken' }, status: 500 });
    assert.deepEqual(
      (await calls('think')).map((call) => call.split(' ')[0]),
      ['groq:judge', 'anthropic:large', 'google:cheap', 'openai:middle', 'openai:small', 'openai:other'],
    );
  });

  test('a model that somebody pinned is not judged', async () => {
    const { parts } = await collect(smart().stream(ask('openai:small', 'think')));
    assert.deepEqual(
      usagesOf(parts).map(({ model }) => model),
      ['openai:small'],
    );
  });
});
