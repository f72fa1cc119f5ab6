import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parser } from '@lezer/markdown';
import fc from 'fast-check';
import { parseNote } from '../../src/vault/parse-note.ts';
import { rewriteLinks } from '../../src/vault/rewrite-links.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 20) * 50;
const SEED = Number(process.env.OPENAGENT_TEST_SEED ?? 1);
const CODE = new Set(['InlineCode', 'FencedCode', 'CodeBlock', 'Comment', 'CommentBlock']);

const line = fc.array(
  fc.constantFrom(
    ...['[[N]]', '[[N]]', '`', '``', ' ', ' ', 'word', '    ', '  ', '> ', '- ', '1. ', '1) '],
    ...['```', '~~~', '````', '# ', '---', '===', '***', '[[N]] `[[N]]`', '+ ', '>', '-', '`x`'],
  ),
  { maxLength: 6 },
);
/**
 * Where the library and CommonMark's own programs differ: whether an empty item ends the paragraph of another list, and
 * whether a quote goes on with a mark that is indented like code.
 */
const DISPUTED = /(?:^|[\s>])(?:[-+]|1[.)])\s*$|\s{4}>/;

/** Each link has a number of its own, so that the two readers can be compared one by one. */
const markdown = fc.array(line, { maxLength: 12 }).map((lines) => {
  let links = 0;
  const numbered = () => {
    links += 1;
    return `[[N${links}]]`;
  };
  return lines
    .map((parts) => parts.join(''))
    .filter((text) => !DISPUTED.test(text))
    .join('\n')
    .replaceAll('[[N]]', numbered);
});

/** Links that a Markdown library sees outside of code. */
function linksOutsideCode(text: string): readonly string[] {
  const hidden: [number, number][] = [];
  parser.parse(text).iterate({
    enter: ({ name, from, to }) => {
      if (CODE.has(name)) hidden.push([from, to]);
    },
  });
  return [...text.matchAll(/\[\[(N\d+)\]\]/g)]
    .filter(({ index }) => !hidden.some(([from, to]) => index >= from && index < to))
    .map(([, target]) => target as string);
}

test('text and code are told apart as a Markdown library does', () => {
  fc.assert(
    fc.property(markdown, (body) => {
      // A first line that is no rule: properties are not the library's business.
      const text = `text\n\n${body}`;
      const found = parseNote(text).links.map(({ target }) => target);
      assert.deepEqual(found, linksOutsideCode(text));
    }),
    { numRuns: RUNS, seed: SEED },
  );
});

const anyNote = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...[
          '---\n',
          '\n',
          '\n\n',
          '[[',
          ']]',
          '|',
          '#',
          '^',
          '![[',
          '](',
          ')',
          '<',
          '>',
          '%%',
          '$',
          '$$',
          '`',
        ],
        ...[
          '```\n',
          '<!--',
          '-->',
          '- ',
          '> ',
          '    ',
          '\t',
          'tags: [',
          'a: ',
          '"',
          "'",
          '*',
          '&a ',
          '*a',
          '\r\n',
        ],
      ),
      fc.string({ unit: 'binary', maxLength: 4 }),
    ),
    { maxLength: 60 },
  )
  .map((parts) => parts.join(''));

test('any text is read, as data that JSON can carry, and every link is where it says', () => {
  fc.assert(
    fc.property(anyNote, (content) => {
      const note = parseNote(content);
      assert.equal(JSON.stringify(JSON.parse(JSON.stringify(note))), JSON.stringify(note));
      for (const { text, start, end } of note.links) assert.equal(content.slice(start, end), text);
      assert.ok(note.tags.every((tag) => typeof tag === 'string' && tag !== '' && !/\s/.test(tag)));
      assert.equal(rewriteLinks(content, []), content);
    }),
    { numRuns: RUNS, seed: SEED },
  );
});

/** What is not linear in this many characters takes minutes in `npm run torture`, and the file's time is up. */
const HOSTILE_CHARS = RUNS > 1_000 ? 120_000 : 20_000;
const HOSTILE = [
  ...[
    '[',
    '[[',
    '![[',
    '[[a|',
    '[[a|[',
    ']',
    '](',
    '[a](',
    '[a](<',
    '[a](b ',
    '(',
    '`',
    '`a``b',
    '$',
    '$a',
    '$$',
  ],
  ...[
    '%%',
    '%%\n',
    '<!--',
    '<!--\n',
    '$$\n',
    '#',
    '#a',
    '# ',
    '\\',
    '> ',
    '>',
    '- ',
    '-',
    '* ',
    '1. ',
    '\t',
    ' ',
  ],
  ...[
    '\n',
    '\r\n',
    ' \n',
    '- \n',
    '>\n',
    '>- ',
    '```\n',
    '~',
    '=\n',
    'a\n=\n',
    '*a_',
    '---\n',
    '---\na\n',
    'é[[',
  ],
  ...['[[a]]', '"[[a', 'a@', 'http://', '<a ', '&', '|', '|-\n', '日本#', '\u200d#', '- a\n  ', '[x]: '],
];

test('no text takes longer than its length', () => {
  for (const part of HOSTILE) {
    const text = part.repeat(Math.ceil(HOSTILE_CHARS / part.length));
    parseNote(text);
    parseNote(`a\n${text}`);
    parseNote(`---\n${text}\n---\n`);
    parseNote(`---\na: ${text.slice(0, HOSTILE_CHARS / 8).replaceAll('\n', ' ')}\n---\n`);
    parseNote(`---\n${text.slice(0, HOSTILE_CHARS / 8)}\n---\n`);
  }
  parseNote(Array.from({ length: 600 }, (_, at) => '`'.repeat(at)).join('a'));
  parseNote(Array.from({ length: 600 }, (_, at) => `${'>'.repeat(at)} x`).join('\n'));
  parseNote(Array.from({ length: 600 }, (_, at) => `${' '.repeat(at * 2)}- x`).join('\n'));
  parseNote(`${'- '.repeat(5_000)}x${'\n'.repeat(100_000)}`);
  parseNote(`---\n${Array.from({ length: 5_000 }, (_, at) => `k${at}: [[a]]`).join('\n')}\n---\n`);
});
