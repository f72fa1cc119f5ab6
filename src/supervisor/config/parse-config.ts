/**
 * From the text of `openagent.yaml` to plain data, with every place remembered. The result is a tree without cycles or
 * shared nodes and of bounded size, whatever the aliases in the file do, so whoever walks it needs no guard.
 */
import type { Document, Node, Pair, Scalar } from 'yaml';
import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { WireError } from '../../contract/errors.ts';
import { AppError } from '../../contract/errors.ts';
import {
  type ConfigProblem,
  configError,
  configWarning,
  keyOf,
  type Place,
  problemsOf,
} from './config-problem.ts';
import { substitute } from './substitute.ts';

const ALIASES_MAX = 100;
const NODES_MAX = 100_000;
const DEPTH_MAX = 64;

export interface ParsedConfig {
  readonly data: unknown;
  readonly warnings: readonly WireError[];
  /** Variables that were put in, with the key whose value they are part of. */
  readonly substituted: readonly Substituted[];
  /** Where the value of this path stands, or what is nearest to it. */
  placeOf(path: readonly PropertyKey[]): Place;
  /** Where the key itself stands. */
  placeOfKey(path: readonly PropertyKey[]): Place;
}

export interface Substituted {
  readonly key: string;
  readonly name: string;
  readonly value: string;
}

export function parseConfig(
  file: string,
  source: string,
  env: Readonly<Record<string, string | undefined>>,
): ParsedConfig {
  const places = new LineCounter();
  const at = (offset: number): Place => {
    const { line, col } = places.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const document = readDocument(file, source, places);
  if (document.errors.length > 0) throw syntaxError(file, source, document, at);
  const warnings: WireError[] = document.warnings.map((warning) =>
    configWarning(file, { ...at(warning.pos[0]), key: '', expected: 'plain YAML', text: warning.message }),
  );
  const doubtful = (problem: ConfigProblem) => warnings.push(configWarning(file, problem));
  const substituted = prepareNodes(file, source, document, env, at, doubtful);
  return {
    data: toData(file, document),
    warnings,
    substituted,
    placeOf: (path) => at(offsetOf(document, path, 'value')),
    placeOfKey: (path) => at(offsetOf(document, path, 'key')),
  };
}

/** The document as it stands, variables not put in, its syntax checked. */
export function parseRawConfig(file: string, source: string): { document: Document; data: unknown } {
  const places = new LineCounter();
  const document = readDocument(file, source, places, true);
  if (document.errors.length > 0) {
    throw syntaxError(file, source, document, (offset) => {
      const { line, col } = places.linePos(offset);
      return { line: Math.max(1, line), column: Math.max(1, col) };
    });
  }
  return { document, data: toRawData(file, document) };
}

/** Numbers that a client's JSON could not hold are texts in it. The document itself is left as it is. */
function toRawData(file: string, document: Document): unknown {
  const changed: { readonly scalar: Scalar; readonly value: unknown }[] = [];
  visit(document, {
    Scalar: (key, scalar) => {
      const { value, source } = scalar;
      if (key === 'key' || (typeof value !== 'bigint' && typeof value !== 'number')) return;
      // JSON has no -0.
      scalar.value = Number(value) + 0;
      keepDigits(scalar);
      if (!isExact(scalar.value)) scalar.value = source ?? String(value);
      changed.push({ scalar, value });
    },
  });
  const data = toData(file, document);
  for (const { scalar, value } of changed) scalar.value = value;
  return data;
}

function isExact(value: unknown): boolean {
  if (typeof value !== 'number') return true;
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
}

/** YAML 1.2 with merge keys; a key given twice is a warning later, because the reference takes the last one. */
function readDocument(file: string, source: string, lineCounter: LineCounter, intAsBigInt = false): Document {
  try {
    return parseDocument(source, {
      lineCounter,
      merge: true,
      uniqueKeys: false,
      // To be written again as they stand, digit by digit.
      intAsBigInt,
      prettyErrors: false,
      logLevel: 'error',
    });
  } catch (error) {
    // The parser is recursive: text that nests thousands of levels deep ends in a RangeError.
    throw wholeFileError(file, `a configuration that can be parsed (${(error as Error).message})`, error);
  }
}

/** Only the first: what the parser says after it has lost its way is noise. */
function syntaxError(
  file: string,
  source: string,
  document: Document,
  at: (offset: number) => Place,
): AppError {
  const first = document.errors[0];
  if (first === undefined) throw new Error('A syntax error needs an error');
  const place = at(Math.min(first.pos[0], source.length));
  const line = source.split('\n', place.line)[place.line - 1] ?? '';
  const hint = line.includes('${') && /[[{]/.test(line.replaceAll('${', '')) ? VARIABLE_IN_FLOW : '';
  const text = `not valid YAML: ${first.message}${hint}`;
  return configError('config.invalid', file, [{ ...place, key: '', expected: 'valid YAML', text }]);
}

const VARIABLE_IN_FLOW = ` (inside [ ] or { } a variable needs quotes: "\${NAME}")`;

/** Works on the nodes, before they become data: only there the places are known. */
function prepareNodes(
  file: string,
  source: string,
  document: Document,
  env: Readonly<Record<string, string | undefined>>,
  at: (offset: number) => Place,
  doubtful: (problem: ConfigProblem) => void,
): Substituted[] {
  const substituted: Substituted[] = [];
  const missing: ConfigProblem[] = [];
  visit(document, {
    Map: (key, map, ancestors) => warnOfRepeatedKeys(map.items, pathOf(key, map, ancestors), at, doubtful),
    Scalar: (key, scalar, ancestors) => {
      if (key === 'key') return;
      if (typeof scalar.value === 'number') keepDigits(scalar);
      if (typeof scalar.value !== 'string') return;
      const result = substitute(scalar.value, env);
      if (result === undefined) return;
      scalar.value = result.text;
      const path = keyOf(pathOf(key, scalar, ancestors));
      const placeIn = (needle: string) => at(offsetInside(source, scalar, needle));
      for (const { name, value } of result.used) substituted.push({ key: path, name, value });
      for (const name of result.missing) {
        missing.push({ ...placeIn(`\${${name}}`), key: path, ...missingVariable(name) });
      }
      if (result.odd !== undefined) {
        doubtful({ ...placeIn(result.odd), key: path, ...oddVariable(result.odd) });
      }
    },
  });
  if (missing.length > 0) throw configError('config.variable_missing', file, missing);
  return substituted;
}

const VARIABLE_EXPECTED = 'the environment variable ';

/** Names of the variables that an error of `parseConfig` misses; none where it is about something else. */
export function missingVariables(error: AppError): readonly string[] {
  if (error.code !== 'config.variable_missing') return [];
  return problemsOf(error).map(({ expected }) => expected.slice(VARIABLE_EXPECTED.length));
}

function missingVariable(name: string) {
  const expected = VARIABLE_EXPECTED + name;
  return { expected, text: `${expected} is not set; set it, or give a default: \${${name}:-…}` };
}

function oddVariable(written: string) {
  const expected = `\${NAME} or \${NAME:-default}`;
  return { expected, text: `"${written}…" is not a variable and stays as it is; variables are ${expected}` };
}

/** Ids of chat platforms exceed 2^53, and phone numbers begin with + or 0: such digits stay text. */
function keepDigits(scalar: Scalar): void {
  const { source, value } = scalar;
  if (source !== undefined && /^[+-]?\d+$/.test(source) && String(value) !== source) scalar.value = source;
}

function warnOfRepeatedKeys(
  items: readonly Pair[],
  path: readonly PropertyKey[],
  at: (offset: number) => Place,
  doubtful: (problem: ConfigProblem) => void,
): void {
  const seen = new Set<string>();
  for (const { key } of items) {
    if (!isScalar(key)) continue;
    const name = String(key.value);
    if (seen.has(name) && name !== '<<') {
      const place = at(key.range?.[0] ?? 0);
      const text = 'this key is given twice; the last one counts';
      doubtful({ ...place, key: keyOf([...path, name]), expected: 'each key once', text });
    }
    seen.add(name);
  }
}

type Visited = number | 'key' | 'value' | null;

function pathOf(key: Visited, node: Node, ancestors: readonly unknown[]): PropertyKey[] {
  const path: PropertyKey[] = [];
  const chain = [...ancestors, node];
  chain.forEach((ancestor, index) => {
    if (isPair(ancestor) && isScalar(ancestor.key)) path.push(String(ancestor.key.value));
    if (!isSeq(ancestor)) return;
    const child = chain[index + 1];
    const position = child === node && typeof key === 'number' ? key : ancestor.items.indexOf(child);
    if (position >= 0) path.push(position);
  });
  return path;
}

function offsetInside(source: string, scalar: Scalar, needle: string): number {
  const [start, end] = scalar.range ?? [0, 0];
  const found = source.slice(start, end).indexOf(needle);
  return start + Math.max(0, found);
}

/** As far down the path as the file goes: a key that is missing is reported at the mapping that lacks it. */
function offsetOf(document: Document, path: readonly PropertyKey[], what: 'key' | 'value'): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [index, step] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.findLast(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) return offset;
      const isLast = index === path.length - 1;
      const keyOffset = startOf(pair.key) ?? offset;
      const hasValue = !(isScalar(pair.value) && pair.value.source === '');
      offset = isLast && what === 'key' ? keyOffset : (hasValue && startOf(pair.value)) || keyOffset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      offset = startOf(node) ?? offset;
    } else {
      return offset;
    }
  }
  return offset;
}

function startOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}

function toData(file: string, document: Document): unknown {
  let shared: unknown;
  try {
    shared = document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (error) {
    throw wholeFileError(file, `fewer or other aliases (${(error as Error).message})`, error);
  }
  let nodes = 0;
  const copy = (value: unknown, depth: number): unknown => {
    nodes += 1;
    if (nodes > NODES_MAX) throw wholeFileError(file, `at most ${NODES_MAX} values`);
    if (depth > DEPTH_MAX) throw wholeFileError(file, `at most ${DEPTH_MAX} levels, and no alias of itself`);
    if (Array.isArray(value)) return value.map((item) => copy(item, depth + 1));
    if (value instanceof Date) return value.toISOString();
    if (typeof value === 'bigint') return String(value);
    if (typeof value !== 'object' || value === null) return value;
    if (value instanceof Set) return [...value].map((item) => copy(item, depth + 1));
    const entries = value instanceof Map ? [...value] : Object.entries(value);
    return Object.fromEntries(entries.map(([key, item]) => [String(key), copy(item, depth + 1)]));
  };
  return copy(shared, 0) ?? {};
}

function wholeFileError(file: string, expected: string, cause?: unknown): AppError {
  const details = [{ file, line: 1, column: 1, key: '', expected }];
  return new AppError('config.invalid', `${file}:1:1 expected ${expected}`, { details, cause });
}
