import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { diskName, shownName } from '../../src/uploads/file-name.ts';

const RUNS = Math.max(300, 100 * Number(process.env.OPENAGENT_TEST_RUNS ?? 0));
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);

for (const [sent, shown, onDisk] of [
  ['plan.pdf', 'plan.pdf', 'plan.pdf'],
  ['two words.txt', 'two words.txt', 'two words.txt'],
  ['Übung ☃ 文件.md', 'Übung ☃ 文件.md', 'Übung ☃ 文件.md'],
  // Decomposed, as macOS sends it.
  ['U\u0308bung.md', 'U\u0308bung.md', 'Übung.md'],
  ['../../x', 'x', 'x'],
  ['..\\..\\x', 'x', 'x'],
  ['/etc/passwd', 'passwd', 'passwd'],
  ['C:\\fakepath\\photo.jpg', 'photo.jpg', 'photo.jpg'],
  ['..', 'upload', 'upload'],
  ['.', 'upload', 'upload'],
  ['', 'upload', 'upload'],
  ['a/', 'upload', 'upload'],
  ['a/..', 'upload', 'upload'],
  ['   ', 'upload', 'upload'],
  ['nul\0byte.txt', 'nulbyte.txt', 'nulbyte.txt'],
  ['line\r\nbreak.txt', 'linebreak.txt', 'linebreak.txt'],
  ['\u202egpj.exe', 'gpj.exe', 'gpj.exe'],
  ['half \ud800.txt', 'half .txt', 'half .txt'],
  ['.htaccess', '.htaccess', '_htaccess'],
  ['...hidden', '...hidden', '_hidden'],
  ['name.', 'name.', 'name'],
  ['name. . .', 'name. . .', 'name'],
  ['CON', 'CON', '_CON'],
  ['con.txt', 'con.txt', '_con.txt'],
  ['LPT1.log', 'LPT1.log', '_LPT1.log'],
  ['console.log', 'console.log', 'console.log'],
  ['what?<is>|this*.txt', 'what?<is>|this*.txt', 'what__is__this_.txt'],
  ['stream.txt:$DATA', 'stream.txt:$DATA', 'stream.txt_$DATA'],
  // It must be possible to name the path in [FILE:…].
  ['a]b[c].png', 'a]b[c].png', 'a)b(c).png'],
] as const) {
  test(`${JSON.stringify(sent)} is shown as ${JSON.stringify(shown)} and lies on disk as ${onDisk}`, () => {
    assert.equal(shownName(sent), shown);
    assert.equal(diskName(sent), onDisk);
  });
}

test('a long name keeps its extension, and no character is cut in two', () => {
  const name = diskName(`${'ä'.repeat(400)}.pdf`);
  assert.equal(Buffer.byteLength(name), 254);
  assert.match(name, /^ä+\.pdf$/);
  assert.equal(diskName(`a.${'x'.repeat(400)}`), `a.${'x'.repeat(253)}`);
});

test('whatever is sent, the name on disk is one part of a path that every file system takes', () => {
  const part = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.constantFrom('..', '.', '/', '\\', 'con', 'nul.', ' ', '\u202e', '\0', '.md', '%2e%2e%2f', '~'),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const name = diskName(parts.join(''));
      assert.ok(Buffer.byteLength(name) <= 255, 'short enough');
      assert.ok(name.length > 0 && name === name.trim() && !name.endsWith('.') && !name.startsWith('.'));
      assert.doesNotMatch(name, /[/\\<>:"|?*[\]\p{Cc}\p{Cs}\p{Bidi_Control}]/u);
      assert.doesNotMatch(name, /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i);
      assert.equal(name.normalize('NFC'), name);
      assert.equal(diskName(name), name, 'the same again');
    }),
    { numRuns: RUNS, seed: SEED },
  );
});
