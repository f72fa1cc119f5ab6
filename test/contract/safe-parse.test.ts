/** A value of the wrong type is refused, however its properties are made. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { createFrameParser } from '../../src/contract/frames.ts';
import { safeParse } from '../../src/contract/safe-parse.ts';

/** zod asks for its length, and comparing that throws. */
const ODD = { length: { toString: null, valueOf: null } };

test('an object whose length cannot be compared is no text, and nothing is thrown', () => {
  const result = safeParse<unknown, z.core.$ZodIssue>(z.object({ name: z.string().max(64) }), { name: ODD });
  assert.equal(result.success, false);
  assert.throws(() => z.object({ name: z.string().max(64) }).safeParse({ name: ODD }), TypeError);
});

test('in a frame it is answered as any wrong type', () => {
  const parse = createFrameParser({ idChars: 256 });
  const parsed = parse(JSON.stringify({ type: 'command', name: ODD }));
  assert.ok('invalid' in parsed, JSON.stringify(parsed));
});

test('a failure that is no matter of types is thrown on', () => {
  const broken = {
    safeParse: () => {
      throw new RangeError('broken');
    },
  };
  assert.throws(() => safeParse(broken, 1), RangeError);
});
