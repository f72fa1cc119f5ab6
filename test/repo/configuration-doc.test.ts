import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { configSchema } from '../../src/contract/config.ts';
import { DEFAULT_LIMITS, limitKey } from '../../src/contract/limits.ts';
import { DEFAULT_SPEC, LADDER } from '../../src/supervisor/child-spec.ts';
import { readSource } from '../fixtures/source-tree.ts';

const TOP = 'Top level';

interface Row {
  /** With the heading's: `supervisor.drain_ms`. */
  readonly key: string;
  readonly cells: readonly string[];
}

const document = readSource('docs/configuration.md');

/** Rows whose first cell is a key, under headings that are a section's path. */
const documented: readonly Row[] = document.split(/^#+ /m).flatMap((section) => {
  const [heading = '', ...lines] = section.split('\n');
  const path = heading === TOP ? '' : /^`([^`]+)`$/.exec(heading)?.[1];
  if (path === undefined) return [];
  return lines
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const cells = line.split('|').map((cell) => cell.trim().replaceAll('`', ''));
      return { key: keyIn(path, cells[1] ?? ''), cells: cells.slice(2, -1) };
    });
});

function keyIn(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

/** Every key a file may have: `a.b` in a mapping, `a[].b` in a list of mappings, `a.<name>` for any name. */
function keysOf(schema: unknown, path = ''): readonly string[] {
  const inner = unwrap(schema);
  if (inner instanceof z.ZodObject) {
    const named = Object.entries(inner.shape).flatMap(([key, child]) => keysOf(child, keyIn(path, key)));
    const { catchall } = inner.def;
    // One that takes anything only says that further keys are no mistake.
    return catchall === undefined || catchall instanceof z.ZodUnknown
      ? named
      : [...named, ...keysOf(catchall, keyIn(path, '<name>'))];
  }
  if (inner instanceof z.ZodArray && unwrap(inner.element) instanceof z.ZodObject) {
    return keysOf(inner.element, `${path}[]`);
  }
  if (inner instanceof z.ZodRecord && unwrap(inner.valueType) instanceof z.ZodObject) {
    return keysOf(inner.valueType, keyIn(path, '<name>'));
  }
  return [path];
}

/** What is under the wrappers that say when it may be absent or how it is read. */
function unwrap(schema: unknown): unknown {
  let inner = schema;
  for (;;) {
    if (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable) inner = inner.unwrap();
    else if (inner instanceof z.ZodPipe) inner = inner.def.out;
    else return inner;
  }
}

/** The number of a cell under a section's path, by key; anything else is left out. */
function numbersUnder(path: string, cell: number): Readonly<Record<string, number>> {
  const rows = documented.filter(({ key }) => key.startsWith(`${path}.`));
  const numbers = rows.map(({ key, cells }) => [
    key.slice(path.length + 1),
    Number((cells[cell] ?? '').replaceAll(',', '')),
  ]);
  return Object.fromEntries(numbers.filter(([, value]) => Number.isFinite(value)));
}

test('docs/configuration.md has every key of the schema, once, and no other', () => {
  const keys = keysOf(configSchema);
  assert.ok(keys.length > 100, `${keys.length} keys`);
  assert.deepEqual(documented.map(({ key }) => key).sort(), [...keys].sort());
});

test('the defaults of supervisor: in the document are those of the code', () => {
  const actual = Object.entries(DEFAULT_SPEC).filter(([, value]) => typeof value === 'number');
  assert.deepEqual(
    numbersUnder('supervisor', 1),
    Object.fromEntries(actual.map(([name, value]) => [limitKey(name), value])),
  );
});

test('the defaults of limits: in the document are those of the code', () => {
  const actual = Object.entries(DEFAULT_LIMITS).map(([name, value]) => [limitKey(name), value]);
  assert.deepEqual(numbersUnder('limits', 0), Object.fromEntries(actual));
});

test('the steps of a stop in the document last as long as those of the code', () => {
  const { graceMs, interruptMs, killMs } = LADDER;
  for (const [step, ms] of Object.entries({ grace: graceMs, interrupt: interruptMs, kill: killMs })) {
    assert.ok(document.includes(`| ${step} | ${ms / 1000} s |`), step);
  }
  const { drainMs, closeMs } = DEFAULT_SPEC;
  const allMs = drainMs + closeMs + graceMs + interruptMs + killMs;
  assert.ok(document.includes(`that is ${allMs / 1000} s at the worst`), `${allMs} ms`);
});

test('docs/configuration.md says of each key what it takes', () => {
  for (const { key, cells } of documented) assert.ok(cells.length >= 1 && cells[0] !== '', key);
});
