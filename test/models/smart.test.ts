import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { LLMock } from '@copilotkit/aimock';
import { systemClock } from '../../src/contract/clock.ts';
import type { ModelSettings, RoutingSettings } from '../../src/contract/model-settings.ts';
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

function smart(ratio?: number, over: Partial<ModelSettings> = {}) {
  const settings = settingsAt(double.url, {
    ...{ provider: 'smart', modelId: undefined, routing: ROUTING },
    ...over,
  });
  return createModel(settings, systemClock, {
    note: (event) => notes.push(event),
    ...(ratio === undefined ? {} : { budgetRatio: () => ratio }),
  });
}

/** All of these are marked `vision: false`. On the one wire of which the double keeps images. */
function blind(...runtimeIds: readonly string[]): ModelSettings['providers'] {
  const { providers } = settingsAt(double.url);
  const modelsOf = (name: string) =>
    runtimeIds
      .filter((id) => id.startsWith(`${name}:`))
      .map((id) => ({ id: id.slice(name.length + 1), vision: false }))
      .map((entry) => ({ ...entry, inputCostPerMillion: undefined, outputCostPerMillion: undefined }));
  return Object.fromEntries(
    Object.entries(providers).map(([name, entry]) => [
      name,
      { ...entry, baseUrl: `${double.url}/v1`, wire: 'openai-chat', models: modelsOf(name) },
    ]),
  );
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

const { simple, medium, hard, fallback } = ROUTING;
const PIXELS = Buffer.from('not really a picture');

describe('smart, with an image', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'smart-'));
    await writeFile(join(dir, 'there.png'), PIXELS);
  });
  after(() => rm(dir, { recursive: true, force: true }));

  /** Who was called for the answer, and whether it was shown the image or told of it. */
  async function shownTo(model: ReturnType<typeof smart>, said = 'think'): Promise<readonly string[]> {
    const images = [{ mediaType: 'image/png', path: join(dir, 'there.png') }];
    const over = { messages: [{ role: 'user', text: said, images } as const], turnId: 't' };
    const called = (await calls(said, model, over)).map((call) => call.split(' '));
    const asked = called.filter(([, purpose]) => purpose !== 'classifier').map(([id]) => id ?? '');
    const sent = double.getRequests().map((request) => JSON.stringify(request));
    return asked.map((id) => {
      const body = sent.findLast((text) => text.includes(id.split(':')[1] ?? '')) ?? '';
      const isShown = body.includes(PIXELS.toString('base64'));
      assert.equal(body.includes('cannot be shown images'), !isShown, body);
      return `${id} ${isShown ? 'sees' : 'is told'}`;
    });
  }

  for (const [tier, blinded, seer] of [
    ['simple', [], simple],
    ['simple', [simple], medium],
    ['simple', [simple, medium], hard],
    ['medium', [medium], hard],
    ['medium', [medium, hard], simple],
    ['hard', [hard], medium],
    ['hard', [hard, medium], simple],
    ['medium', [simple, medium, hard], fallback],
  ] as const) {
    test(`judged ${tier}, where ${blinded.join(', ') || 'nobody'} is blind: ${seer} sees it`, async () => {
      judged(tier);
      const model = smart(undefined, { providers: blind(...blinded) });
      assert.deepEqual(await shownTo(model), [`${seer} sees`]);
      assert.deepEqual(await shownTo(model), [`${seer} sees`], 'in the next step of the turn too');
    });
  }

  test('without an image a blind tier is chosen as ever', async () => {
    judged('medium');
    assert.deepEqual(
      (await calls('think', smart(undefined, { providers: blind(medium) }))).at(-1),
      `${medium} answer`,
    );
  });

  test('where none can see the chosen one is told', async () => {
    judged('hard');
    const providers = blind(simple, medium, hard, fallback);
    assert.deepEqual(await shownTo(smart(undefined, { providers })), [`${hard} is told`]);
  });

  test('who sees and fails is followed by who sees, and only then by who is told', async () => {
    double.clearFixtures();
    judged('medium');
    double.on({ model: 'middle' }, { content: 'I was told' });
    double.on({}, { error: { message: 'broken' }, status: 500 });
    const model = smart(undefined, { providers: blind(medium, fallback) });
    const called = await calls('think', model, {
      messages: [
        { role: 'user', text: 'think', images: [{ mediaType: 'image/png', path: join(dir, 'there.png') }] },
      ],
    });
    assert.deepEqual(
      called.map((call) => call.split(' ')[0]),
      ['groq:judge', hard, simple, 'openai:other', medium],
    );
    assert.match(JSON.stringify(double.getLastRequest()?.body), /cannot be shown images/);
  });

  test('little money does not make it blind: a cheap one that sees, or else the nearest dearer one', async () => {
    const seen = (ratio: number, ...blinded: readonly string[]) =>
      shownTo(smart(ratio, { providers: blind(...blinded) }));
    assert.deepEqual(await seen(0.1, fallback), [`${simple} sees`]);
    assert.deepEqual(await seen(0.1, simple), [`${fallback} sees`]);
    assert.deepEqual(await seen(0.01, fallback), [`${simple} sees`]);
    assert.deepEqual(await seen(0.01, fallback, simple), [`${medium} sees`]);
    assert.deepEqual(await seen(0.01, fallback, simple, medium), [`${hard} sees`]);
    assert.deepEqual(await seen(0.1, fallback, simple, medium, hard), [`${simple} is told`]);
    assert.deepEqual(await seen(0.01, fallback, simple, medium, hard), [`${fallback} is told`]);
  });

  test('a blind fallback of a model that sees is told', async () => {
    double.clearFixtures();
    double.on({ model: 'cheap' }, { content: 'I was told' });
    double.on({}, { error: { message: 'broken' }, status: 500 });
    const own = { provider: 'openai', modelId: 'small', routing: undefined, fallbacks: [fallback] };
    assert.deepEqual(await shownTo(smart(undefined, { ...own, providers: blind(fallback) })), [
      `${simple} sees`,
      `${fallback} is told`,
    ]);
  });
});
