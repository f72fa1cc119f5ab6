import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { matchesPattern } from '../../src/tools/name-pattern.ts';
import { createToolPolicy } from '../../src/tools/tool-policy.ts';

const RUNS = Number(process.env.OPENAGENT_TEST_RUNS ?? 300);

test('what is said of a tool by its name wins over patterns, a longer pattern over a shorter one', () => {
  const { decide } = createToolPolicy({
    '*': 'ask',
    'github_*': 'deny',
    'github_get_*': 'allow',
    github_get_secret: 'deny',
  });
  assert.equal(decide({ name: 'vault_read' }), 'ask');
  assert.equal(decide({ name: 'github_push' }), 'deny');
  assert.equal(decide({ name: 'github_get_issue' }), 'allow');
  assert.equal(decide({ name: 'github_get_secret' }), 'deny');
});

test('of two patterns that say as much the stricter one counts, in whatever order they stand', () => {
  for (const rules of [
    { 'a*': 'allow', '*b': 'deny' },
    { '*b': 'deny', 'a*': 'allow' },
  ] as const) {
    assert.equal(createToolPolicy(rules).decide({ name: 'ab' }), 'deny');
  }
});

test('without a rule a tool has its own default, and otherwise may be called', () => {
  const { decide } = createToolPolicy({});
  assert.equal(decide({ name: 'files_write', defaultDecision: 'ask' }), 'ask');
  assert.equal(decide({ name: 'github_push' }), 'allow');
  assert.equal(createToolPolicy({ '*': 'allow' }).decide({ name: 'x', defaultDecision: 'ask' }), 'allow');
});

test('names of things every object has are no rules', () => {
  assert.equal(createToolPolicy({}).decide({ name: 'constructor', defaultDecision: 'deny' }), 'deny');
});

test('property: a pattern fits what a regular expression of it fits', () => {
  const text = fc.array(fc.constantFrom('a', 'b', '.', '*'), { maxLength: 8 }).map((each) => each.join(''));
  fc.assert(
    fc.property(text, text, (pattern, name) => {
      const source = pattern
        .split('*')
        .map((piece) => piece.replaceAll('.', '\\.'))
        .join('.*');
      assert.equal(matchesPattern(pattern, name), new RegExp(`^${source}$`, 's').test(name));
    }),
    { numRuns: RUNS },
  );
});
