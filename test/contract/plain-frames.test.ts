/** What is read without the schemas must be what they would have read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFrameParser } from '../../src/contract/frames.ts';
import { readPlainFrame } from '../../src/contract/plain-frames.ts';
import { type Random, seeded } from '../fixtures/seeded-random.ts';

const FRAMES = 20_000;
const ID_CHARS = 12;
const parse = createFrameParser({ idChars: ID_CHARS });

const ORDINARY = [
  '{"type":"auth"}',
  '{"type":"auth","token":""}',
  '{"type":"auth","token":"secret","client_id":"cli","capabilities":["delta","tools","resume"]}',
  '{"type":"auth","token":null,"client_id":null}',
  '{"type":"ping"}',
  '{"type":"ping","id":"p-1"}',
  '{"type":"message","text":"hello"}',
  '{"type":"message","text":"","session_id":5}',
  '{"type":"message","text":"ü 😀","session_id":"a/1","id":"a-1","attachments":null}',
  '{"type":"message","text":"hello","session_id":null,"unknown":{"length":{}}}',
  '{"type":"command","name":"stop"}',
  '{"type":"command","name":"clear","session_id":"s","id":"c-1"}',
  '{"type":"resume","after_seq":0}',
  '{"type":"resume","session_id":"s","after_seq":7,"turn_id":"1-1","id":"r"}',
];

for (const text of ORDINARY) {
  test(`${text} is read without zod, and as the table says`, () => {
    assert.deepEqual(readPlainFrame(text, ID_CHARS), parse(text));
  });
}

for (const text of ['', 'null', '[]', '"ping"', '7', '{}', '{"type":"toString"}', '{"type":"hello"}', '{']) {
  test(`${text || 'nothing'} is left to the table`, () => {
    assert.equal(readPlainFrame(text, ID_CHARS), undefined);
  });
}

test(`of ${FRAMES} drawn frames none is read otherwise than the table says, and what it refuses is not read`, () => {
  const random = seeded(8);
  let plain = 0;
  for (let frame = 0; frame < FRAMES; frame += 1) {
    const text = drawFrame(random);
    const read = readPlainFrame(text, ID_CHARS);
    if (read === undefined) continue;
    plain += 1;
    assert.deepEqual(read, parse(text), text);
  }
  // Neither all nor none: both sides of every rule were drawn.
  assert.ok(plain > FRAMES / 20 && plain < FRAMES / 2, `${plain} of them plain`);
});

const TYPES = ['auth', 'message', 'command', 'ping', 'resume', 'logs', 'approval', 'constructor'];
/** Keys of all frames, and one that no frame has. */
const KEYS = ['text', 'session_id', 'id', 'attachments', 'token', 'client_id', 'capabilities', 'name'];
const MORE_KEYS = ['after_seq', 'turn_id', 'follow', '__proto__'];
/** As JSON: on the edge of what some key may be, and beyond it. */
const VALUES = [
  ...[
    'null',
    'true',
    '{}',
    '[]',
    '0',
    '-0',
    '1',
    '-1',
    '1.5',
    '1e999',
    '9007199254740991',
    '9007199254740992',
  ],
  ...['""', '"a"', '"stop"', '"\\u0007"', '"\\ud800"', '"a\\udc00"', '"\\ud83d\\ude00"', '{"length":{}}'],
  ...[ID_CHARS, 64, 4_096].flatMap((chars) => [quoted(chars), quoted(chars + 1)]),
  ...['["delta"]', '["delta",5]', `[${quoted(64)}]`, `[${quoted(65)}]`],
  ...[32, 33].map((count) => `[${Array(count).fill('"tools"').join(',')}]`),
  '[{"type":"image","path":"a","filename":"b"}]',
];

function quoted(chars: number): string {
  return `"${'x'.repeat(chars)}"`;
}

function drawFrame(random: Random): string {
  const draw = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const type = draw(TYPES);
  const keys = [...KEYS, ...MORE_KEYS].filter(() => random() < 0.15);
  if (type === 'message' && random() < 0.7) keys.push('text');
  if (type === 'command' && random() < 0.7) keys.push('name');
  if (type === 'resume' && random() < 0.7) keys.push('after_seq');
  const fields = [...new Set(keys)].map((key) => `"${key}":${draw(VALUES)}`);
  return `{${[`"type":"${type}"`, ...fields].join(',')}}`;
}
