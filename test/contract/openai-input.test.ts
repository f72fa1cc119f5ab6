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

test('images of what is asked are files of the turn; of earlier ones only the place is told', () => {
  const image = { type: 'image_url', image_url: { url: 'DATA:image/jpeg;name=x;base64,aGVsbG8=' } };
  const { history, text, images } = toChatTurn(
    {
      messages: [
        { role: 'user', content: [image, { type: 'text', text: 'look' }] },
        { role: 'assistant', content: 'seen' },
        { role: 'user', content: [{ type: 'text', text: 'and this?' }, image] },
      ],
    },
    '',
  );
  assert.deepEqual(history, [
    { role: 'user', text: '[An image was sent here.]\nlook' },
    { role: 'assistant', text: 'seen' },
  ]);
  assert.equal(text, 'and this?');
  assert.deepEqual(images, [{ filename: 'image-1.jpg', bytes: Buffer.from('hello') }]);
});
