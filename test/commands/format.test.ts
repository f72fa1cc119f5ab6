import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatMs,
  formatPercent,
} from '../../src/commands/format.ts';
import { cutText, fitText, lineText, textWidth, wrapText } from '../../src/commands/terminal-text.ts';

test('figures are short and have their unit', () => {
  assert.deepEqual([null, 0, 12_345_678, 1_234_567_890].map(formatBytes), ['-', '0 B', '12.3 MB', '1.23 GB']);
  assert.deepEqual([null, 0, 3.1419, 99.96, 187.4].map(formatPercent), ['-', '0.0', '3.1', '100', '187']);
  assert.deepEqual([null, 0.4, 12.6, 999.6, 59_940, 7_260_000].map(formatMs), [
    '-',
    '0 ms',
    '13 ms',
    '1.0 s',
    '59.9 s',
    '2h 1m',
  ]);
  assert.deepEqual([null, 0.9, 59, 61, 3_599, 3_600, 90_000, 86_400 * 365].map(formatDuration), [
    '-',
    '0s',
    '59s',
    '1m 1s',
    '59m 59s',
    '1h 0m',
    '1d 1h',
    '365d',
  ]);
  assert.deepEqual([null, 0, 99_999, 123_456, 999_900, 1_234_567, 123_456_789].map(formatCount), [
    '-',
    '0',
    '99999',
    '123k',
    '1.0M',
    '1.2M',
    '123M',
  ]);
});

test('text from outside is one line without anything that paints, moves or turns it', () => {
  assert.equal(lineText('a\x1b[31mred\x1b[0m\x1b]0;title\x07b'), 'aredb');
  assert.equal(lineText('two\r\nlines\tand more'), 'two lines and more');
  assert.equal(lineText('bell\x07 c1\x85 turned\u{202e}'), 'bell\u{fffd} c1\u{fffd} turned');
  assert.equal(lineText('lone \u{d800} surrogate'), 'lone \u{fffd} surrogate');
  assert.equal(lineText('👩‍🚀 ❤️ 👍🏽'), '👩🚀 ❤ 👍');
});

test('columns are counted as terminals count them', () => {
  assert.deepEqual(
    ['', 'abc', '日本', 'é', 'e\u{301}x', '🚀', '…', '─'].map(textWidth),
    [0, 3, 4, 1, 2, 2, 1, 1],
  );
  assert.deepEqual(['กำ', 'Ω', '｡', 'Ａ', '한'].map(lineText).map(textWidth), [2, 1, 1, 2, 2]);
});

test('a text is cut or filled to exactly its columns, also in the middle of a wide character', () => {
  assert.equal(cutText('research-assistant', 8), 'researc…');
  assert.equal(cutText('日本語', 4), '日…');
  assert.equal(fitText('日本語', 5), '日本…');
  assert.equal(fitText('日本語', 4), '日… ');
  assert.equal(fitText('7', 4, 'right'), '   7');
  assert.equal(fitText('abc', 0), '');
});

test('long text is wrapped between words, and within one that is too long', () => {
  assert.deepEqual(wrapText('the file is missing', 8), ['the file', 'is', 'missing']);
  assert.deepEqual(wrapText('/srv/agents/x is', 6), ['/srv/a', 'gents/', 'x is']);
  assert.deepEqual(wrapText('日本語', 3), ['日', '本', '語']);
  assert.deepEqual(wrapText('', 8), ['']);
});
