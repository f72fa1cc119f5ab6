/**
 * The schema's verdict on one file, in the words of that file: line, column, key, what was expected, what is there.
 * Unknown keys only warn, because a file may be shared with a newer version or with the reference.
 */
import { z } from 'zod';
import { type Config, configSchema } from '../../contract/config.ts';
import type { WireError } from '../../contract/errors.ts';
import { closestWord } from './closest.ts';
import { type ConfigProblem, configError, configWarning, keyOf } from './config-problem.ts';
import type { ParsedConfig } from './parse-config.ts';
import { maskText, type Place, placeOfKey, ROOT, wholeSecret } from './secret-places.ts';

const SHOWN_CHARS = 40;
/** Nobody reads more of them, and each costs time on the main thread. */
const PROBLEMS_MAX = 200;
const SUGGESTIONS_MAX = 20;

type Path = readonly PropertyKey[];

export function validateConfig(
  file: string,
  parsed: ParsedConfig,
): { config: Config; warnings: readonly WireError[] } {
  const result = configSchema.safeParse(parsed.data);
  if (!result.success) {
    const problems = result.error.issues
      .slice(0, PROBLEMS_MAX)
      .map((issue) => toProblem(issue, parsed))
      .sort((a, b) => a.line - b.line || a.column - b.column);
    throw configError('config.invalid', file, problems);
  }
  const problems = [...unknownKeys(parsed), ...mistakenBridges(parsed)];
  return { config: result.data, warnings: problems.map((problem) => configWarning(file, problem)) };
}

function toProblem(issue: z.core.$ZodIssue, parsed: ParsedConfig): ConfigProblem {
  const value = valueAt(parsed.data, issue.path);
  const key = keyOf(issue.path);
  const fromVariable = parsed.substituted.find((one) => one.key === key)?.name;
  const got = fromVariable ? `the value of \${${fromVariable}}` : describe(value, issue.path);
  const meant =
    issue.code === 'invalid_value' && typeof value === 'string' && fromVariable === undefined
      ? closestWord(value, issue.values.map(String))
      : undefined;
  const suggestion = meant === undefined ? '' : `; did you mean "${meant}"?`;
  const text = `expected ${issue.message}, got ${got}${suggestion}`;
  return { ...parsed.placeOf(issue.path), key, expected: issue.message, text };
}

function valueAt(data: unknown, path: Path): unknown {
  let value = data;
  for (const step of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[step];
  return value;
}

function describe(value: unknown, path: Path): string {
  if (value === undefined || value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  const place = path.reduce<Place>(
    (parent, step) => (typeof step === 'number' ? parent : placeOfKey(parent, String(step))),
    ROOT,
  );
  if (wholeSecret(value, place) !== undefined) return 'a value that is not shown';
  if (typeof value !== 'string') return String(value);
  const shown = maskText(value, place);
  return JSON.stringify(shown.length > SHOWN_CHARS ? `${shown.slice(0, SHOWN_CHARS)}…` : shown);
}

function unknownKeys(parsed: ParsedConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const walk = (schema: unknown, value: unknown, path: Path): void => {
    const inner = unwrap(schema);
    if (inner instanceof z.ZodArray && Array.isArray(value)) {
      for (const [index, item] of value.entries()) walk(inner.element, item, [...path, index]);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
    for (const [key, child] of Object.entries(value)) {
      const childPath = [...path, key];
      if (inner instanceof z.ZodRecord) walk(inner.valueType, child, childPath);
      if (!(inner instanceof z.ZodObject)) continue;
      if (Object.hasOwn(inner.shape, key)) walk(inner.shape[key], child, childPath);
      else if (inner.def.catchall === undefined && problems.length < PROBLEMS_MAX) {
        problems.push(unknownKey(parsed, problems.length < SUGGESTIONS_MAX ? inner : undefined, childPath));
      }
    }
  };
  walk(configSchema, parsed.data, []);
  return problems;
}

/** Without section there is no looking for what was meant. */
function unknownKey(parsed: ParsedConfig, section: z.ZodObject | undefined, path: Path): ConfigProblem {
  const key = String(path.at(-1));
  const near = section && closestWord(key, Object.keys(section.shape));
  const prefix = path.slice(0, -1);
  const meant = near === undefined ? section && elsewhere(key) : keyOf([...prefix, near]);
  const suggestion = meant === undefined ? '' : `; did you mean "${meant}"?`;
  return {
    ...parsed.placeOfKey(path),
    key: keyOf(path),
    expected: meant ?? 'a known key',
    text: `unknown key, ignored${suggestion}`,
  };
}

/** The full path of a key that stands in the wrong section, when it can be only one. */
function elsewhere(key: string): string | undefined {
  const found: string[] = [];
  const walk = (schema: unknown, path: Path): void => {
    const inner = unwrap(schema);
    if (!(inner instanceof z.ZodObject)) return;
    for (const [name, child] of Object.entries(inner.shape)) {
      if (name === key) found.push(keyOf([...path, name]));
      walk(child, [...path, name]);
    }
  };
  walk(configSchema, []);
  return found.length === 1 ? found[0] : undefined;
}

/** Any name under `channels` may be a user's bridge, so a misspelt section would silently lose its settings. */
function mistakenBridges(parsed: ParsedConfig): ConfigProblem[] {
  const channels = valueAt(parsed.data, ['channels']);
  const schema = unwrap(configSchema.shape.channels);
  if (typeof channels !== 'object' || channels === null || !(schema instanceof z.ZodObject)) return [];
  const known = Object.keys(schema.shape);
  return Object.keys(channels).flatMap((name) => {
    const meant = closestWord(name, known);
    if (meant === undefined || known.includes(name) || name.startsWith(meant)) return [];
    const path = ['channels', name];
    const text = `taken for a bridge of your own; did you mean "channels.${meant}"?`;
    return [{ ...parsed.placeOfKey(path), key: keyOf(path), expected: `channels.${meant}`, text }];
  });
}

/** What a schema says about shape, under the wrappers that say when it may be absent or how it is read. */
function unwrap(schema: unknown): unknown {
  let inner = schema;
  for (;;) {
    if (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable) inner = inner.unwrap();
    else if (inner instanceof z.ZodPipe) inner = inner.def.out;
    else return inner;
  }
}
