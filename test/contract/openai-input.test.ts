import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toChatTurn } from '../../src/gateway/rest/openai-input.ts';

test('what says nothing is no part of an earlier conversation', () => {
  const { history, text } = toChatTurn(
    {
      messages: [
        { role: 'user', content: 'one' },
        { role: 'assistant', content: null },
        { role: 'user', content: ' ' },
        { role: 'assistant', content: 'two' },
        { role: 'user', content: 'three' },
      ],
    },
    '',
  );
  assert.deepEqual(history, [
    { role: 'user', text: 'one' },
    { role: 'assistant', text: 'two' },
  ]);
  assert.equal(text, 'three');
});
