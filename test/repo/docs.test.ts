import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { ROOT, readSource } from '../fixtures/source-tree.ts';

const { scripts } = JSON.parse(readSource('package.json')) as { scripts: Record<string, string> };

function documents(): readonly string[] {
  const docs = existsSync(join(ROOT, 'docs'))
    ? readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    : [];
  const own = docs.filter((file) => file.endsWith('.md')).map((file) => join('docs', file));
  return existsSync(join(ROOT, 'README.md')) ? ['README.md', ...own] : own;
}

test('the documents name only npm scripts that exist', () => {
  const wrong = documents().flatMap((file) =>
    [...readSource(file).matchAll(/\bnpm (?:run (?:--?[\w-]+ )*([\w:-]+)|(test|start)\b)/g)]
      .map(([, run, short]) => run ?? short ?? '')
      .filter((script) => scripts[script] === undefined)
      .map((script) => `${file}: npm run ${script}`),
  );
  assert.deepEqual(wrong, []);
});

test('the documents link only to files that exist', () => {
  const wrong = documents().flatMap((file) =>
    [...readSource(file).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)/g)]
      .map(([, target]) => target as string)
      .filter((target) => !existsSync(join(ROOT, dirname(file), target)))
      .map((target) => `${file}: ${target}`),
  );
  assert.deepEqual(wrong, []);
});

test('scripts run only files that exist', () => {
  const named = Object.values(scripts).flatMap(
    (script) => script.match(/\b(?:scripts|bench|bin)\/[\w./-]+/g) ?? [],
  );
  assert.ok(named.length > 0);
  assert.deepEqual(
    named.filter((file) => !existsSync(join(ROOT, file))),
    [],
  );
});
