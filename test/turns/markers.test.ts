import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { parseMarkers } from '../../src/actors/turns/markers.ts';

describe('attachment markers', () => {
  test('are taken out in order, and what is none stays', () => {
    assert.deepEqual(parseMarkers('a [FILE:/x/[1].txt] b [VOICE:v.ogg][IMAGE:][VIDEO:no end'), {
      text: 'a .txt] b [IMAGE:][VIDEO:no end',
      attachments: [
        { type: 'file', path: '/x/[1', filename: '[1' },
        { type: 'voice', path: 'v.ogg', filename: 'v.ogg' },
      ],
    });
    assert.deepEqual(parseMarkers('[IMAGE:[FILE:a]'), {
      text: '',
      attachments: [{ type: 'image', path: '[FILE:a', filename: '[FILE:a' }],
    });
    assert.deepEqual(parseMarkers(' plain [text] '), { text: 'plain [text]', attachments: null });
  });

  test('without end do not hold up the agent, however many', () => {
    const text = '[IMAGE:'.repeat(500_000);
    // Ends what runs for minutes; the work itself is a matter of milliseconds.
    const result = runInNewContext('parse(text)', { parse: parseMarkers, text }, { timeout: 20_000 });
    assert.equal(result.attachments, null);
    assert.equal(result.text, text);
  });
});
