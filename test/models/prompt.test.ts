import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Wire } from '../../src/contract/vendors.ts';
import type { CallTarget } from '../../src/models/call-target.ts';
import { type AnswerShape, fitId, toPrompt } from '../../src/models/prompt.ts';
import type { ModelMessage } from '../../src/models/provider.ts';
import { ask, providerAt } from '../fixtures/model-double.ts';

function target(provider: string, wire: Wire = 'anthropic'): CallTarget {
  const settings = providerAt('http://127.0.0.1:1/v1', wire);
  return { runtimeId: `${provider}:m`, provider, model: 'm', label: provider, settings };
}

const SIGNED = { anthropic: { signature: 'S1' } };
const SHAPE: AnswerShape = {
  from: 'anthropic:m',
  parts: [
    { type: 'reasoning', text: 'Hm.', options: SIGNED },
    { type: 'text', chars: 4 },
    { type: 'call', id: 'c1' },
    { type: 'text', chars: 3, options: { anthropic: { x: 1 } } },
  ],
};
const ANSWER = {
  role: 'assistant',
  text: 'Yes.No.',
  toolCalls: [{ id: 'c1', name: 'look', input: { at: 'x' } }],
  providerData: SHAPE,
} as const;

const CALL = { type: 'tool-call', toolCallId: 'c1', toolName: 'look', input: { at: 'x' } };
const IN_ORDER = [{ type: 'text', text: 'Yes.No.' }, CALL];

async function contentOf(message: ModelMessage, to = target('anthropic')): Promise<unknown> {
  const messages: ModelMessage[] = [message, { role: 'user', text: 'and?' }];
  const prompt = await toPrompt(ask(undefined, '', { system: '', messages }), to);
  return prompt[0]?.content;
}

describe('an answer goes back', () => {
  test('to the model that gave it with its reasoning and its marks, in its order', async () => {
    assert.deepEqual(await contentOf(structuredClone(ANSWER)), [
      { type: 'reasoning', text: 'Hm.', providerOptions: SIGNED },
      { type: 'text', text: 'Yes.' },
      CALL,
      { type: 'text', text: 'No.', providerOptions: { anthropic: { x: 1 } } },
    ]);
  });

  test('to another model, even of the same vendor, as its text and its calls', async () => {
    assert.deepEqual(await contentOf(ANSWER, target('openai', 'openai')), IN_ORDER);
    assert.deepEqual(
      await contentOf(ANSWER, { ...target('anthropic'), runtimeId: 'anthropic:other' }),
      IN_ORDER,
    );
  });

  for (const [what, message] of Object.entries<ModelMessage>({
    'a text that was changed': { ...ANSWER, text: 'Yes. And no.' },
    'a call that is gone': { ...ANSWER, toolCalls: [] },
    'a call that was added': {
      ...ANSWER,
      toolCalls: [...ANSWER.toolCalls, { id: 'c2', name: 'hear', input: {} }],
    },
    'data of another version': { ...ANSWER, providerData: { from: 'anthropic:m', parts: 'many' } },
    'data of no shape at all': { ...ANSWER, providerData: 7 },
  })) {
    test(`${what} is sent as it stands now`, async () => {
      const content = (await contentOf(message)) as readonly { readonly type: string }[];
      assert.ok(message.role === 'assistant');
      const calls = message.toolCalls?.length ?? 0;
      assert.deepEqual(content[0], { type: 'text', text: message.text });
      assert.deepEqual(
        content.map(({ type }) => type),
        ['text', ...Array(calls).fill('tool-call')],
      );
    });
  }

  test('a call whose input was no JSON stays a call', async () => {
    const message: ModelMessage = {
      role: 'assistant',
      text: '',
      toolCalls: [{ id: 'c1', name: 'look', input: '{br' }],
    };
    assert.deepEqual(await contentOf(message), [{ ...CALL, input: {} }]);
  });
});

test('what Anthropic is to remember is marked at both ends, and nobody else is told', async () => {
  const request = ask(undefined, '', {
    messages: ['a', 'b'].map((text) => ({ role: 'user', text })),
  });
  const marks = async (to: CallTarget) =>
    (await toPrompt(request, to)).map(({ providerOptions }) => providerOptions !== undefined);
  assert.deepEqual(await marks(target('anthropic')), [true, false, true]);
  assert.deepEqual(await marks(target('openai', 'openai')), [false, false, false]);
});

test('an id of a call fits its vendor, the same way for the call and its result', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (id) => {
      assert.match(fitId(id, 'mistral'), /^[a-zA-Z0-9]{9}$/);
      assert.match(fitId(id, 'anthropic'), /^[a-zA-Z0-9_-]{1,64}$/);
      assert.equal(fitId(id, 'anthropic'), fitId(id, 'anthropic'));
      assert.equal(fitId(fitId(id, 'mistral'), 'mistral'), fitId(id, 'mistral'));
    }),
  );
  assert.equal(fitId('toolu_01-x', 'anthropic'), 'toolu_01-x');
  assert.notEqual(fitId('a.b', 'openai'), fitId('a:b', 'openai'));
});

test('half of a character, wherever it comes from, is sent to nobody', async () => {
  const half = 'half \ud83d';
  const messages: ModelMessage[] = [
    { role: 'user', text: half },
    {
      role: 'assistant',
      text: `${half} Yes 😀.`,
      toolCalls: [{ id: 'c1', name: 'look', input: { deep: [{ [half]: half }], fine: '😀' } }],
    },
    { role: 'tool', results: [{ id: 'c1', name: 'look', text: half, isError: false }] },
  ];
  const prompt = await toPrompt(ask(undefined, '', { system: half, messages }), target('anthropic'));
  const sent = JSON.stringify(prompt);
  assert.doesNotMatch(sent, /\\ud/);
  assert.equal(sent.match(/half \ufffd/g)?.length, 6);
  assert.equal(sent.match(/😀/gu)?.length, 2);
});
