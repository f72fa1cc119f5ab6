import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toPageText } from '../../src/tools/page-text.ts';

const read = (html: string, type = 'text/html') => toPageText(Buffer.from(html), type, false);
const filled = (piece: string) => piece.repeat(300_000 / piece.length);

test('blocks are lines, items begin with a dash, cells stand beside each other, preformatted text stays', async () => {
  const html = `<title>T</title><h1>Head</h1> <p>One\n  two</p><ul><li>a<li>b</ul>
    <table><tr><td>1</td><td>2</td></tr></table><pre>  x\n    y</pre><svg><text>no</text></svg><p>x &lt; y`;
  const page = await read(html);
  assert.equal(page?.text, 'T\n\nHead\n\nOne two\n\n- a\n\n- b\n\n1 | 2 |\n\n  x\n    y\n\nx < y');
});

test('a page that is made to take for ever ends early, and says that it was cut', async () => {
  for (const piece of ['<div>', '<table><tr><td>', '<a href="x">', '<ul><li>', '<blockquote>']) {
    assert.equal((await read(filled(piece)))?.isCut, true, piece);
  }
  for (const piece of ['<td>a</td>', '</i>', '<', '&', '<!--', 'a=b ', '\n ']) {
    assert.equal((await read(`<table><tr>${filled(piece)}`))?.isCut, false, piece);
  }
});

test('what is no text is told apart, also where nothing is said of it', async () => {
  assert.equal(await read('x', 'image/png'), undefined);
  assert.equal(await toPageText(Buffer.from([0, 1, 2]), undefined, false), undefined);
  assert.equal((await toPageText(Buffer.from('<html><p>x'), undefined, false))?.text, 'x');
  assert.equal((await read('{"a":1}', 'application/problem+json'))?.text, '{"a":1}');
});
