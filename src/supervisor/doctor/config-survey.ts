/**
 * Everything that is wrong with an `openagent.yaml`, not only what a start would stumble over first. A start stops at the
 * first kind of problem; here what is wrong is blanked out, place by place, and the rest is read again, until nothing is
 * left to say. Blanks keep every line and column where it was.
 */
import { isAlias, isMap, isPair, isScalar, isSeq, type Node, parseDocument, visit } from 'yaml';
import type { ErrorCode, WireError } from '../../contract/errors.ts';
import { AppError } from '../../contract/errors.ts';
import { type ConfigProblem, problemsOf } from '../config/config-problem.ts';
import { prepareAgent } from '../config/load-agent.ts';
import { type ParsedConfig, parseConfig } from '../config/parse-config.ts';
import type { PreparedAgent } from '../fleet.ts';

export interface SurveyedProblem {
  readonly code: ErrorCode;
  /** Without file and place. */
  readonly text: string;
  readonly key: string;
  readonly line: number | undefined;
  readonly column: number | undefined;
}

export interface ConfigSurvey {
  readonly problems: readonly SurveyedProblem[];
  readonly doubts: readonly SurveyedProblem[];
  /** As it would start without the values that are wrong; undefined where even that cannot be told. */
  readonly usable: { readonly prepared: PreparedAgent; readonly parsed: ParsedConfig } | undefined;
}

export interface SurveyOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
}

const ROUNDS_MAX = 50;
const OVERRIDES = {};
/** Further than that a mapping's keys are hardly ever apart. */
const MAPPING_LINES = 20;

export function surveyConfig(
  agent: { readonly id: string; readonly dir: string },
  file: string,
  source: string,
  { env, homeDir }: SurveyOptions,
): ConfigSurvey {
  const problems = new Map<string, SurveyedProblem>();
  let text = source;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    try {
      const { prepared, warnings } = prepareAgent(agent, file, text, { env, homeDir, overrides: OVERRIDES });
      const usable = { prepared, parsed: parseConfig(file, text, env) };
      return { problems: sorted(problems), doubts: warnings.flatMap((one) => toDoubt(file, one)), usable };
    } catch (error) {
      if (!AppError.is(error)) throw error;
      const found = problemsOf(error);
      // Only the first look sees the file as it was written; a syntax error in a later one is of our making.
      if (round > 0 && found.every(({ key }) => key === '')) break;
      const known = [...problems.values()];
      const isOurs = (problem: SurveyedProblem) => round > 0 && isMadeByBlank(problem, known);
      for (const problem of toProblems(file, error, found)) {
        if (!isOurs(problem)) problems.set(idOf(problem), problem);
      }
      const rest = blankedOut(text, found);
      if (rest === text) break;
      text = rest;
    }
  }
  return { problems: sorted(problems), doubts: [], usable: undefined };
}

/** A value that was blanked out may be missed afterwards; of a key that was never wrong, the lack is the file's own. */
function isMadeByBlank({ text, key, line }: SurveyedProblem, known: readonly SurveyedProblem[]): boolean {
  if (!text.endsWith('got nothing')) return false;
  const name = key.split('.').at(-1);
  return known.some(
    (one) => one.key.split('.').at(-1) === name && Math.abs((one.line ?? 0) - (line ?? 0)) <= MAPPING_LINES,
  );
}

function toProblems(
  file: string,
  error: AppError,
  found: readonly ConfigProblem[],
): readonly SurveyedProblem[] {
  if (found.length > 0) {
    return found.map(({ key, text, line, column }) => ({ code: error.code, text, key, line, column }));
  }
  const text = error.message.replace(`${file}:1:1 `, '');
  return [{ code: error.code, text, key: '', line: undefined, column: undefined }];
}

/** A warning of the configuration is `file:line:column key: text`. */
function toDoubt(file: string, { code, message }: WireError): readonly SurveyedProblem[] {
  const [, line, column, text = message] = /^:(\d+):(\d+) (.*)$/s.exec(message.slice(file.length)) ?? [];
  return [
    {
      ...{ code, text, key: '' },
      line: line === undefined ? undefined : Number(line),
      column: column === undefined ? undefined : Number(column),
    },
  ];
}

const idOf = ({ line, column, key, text }: SurveyedProblem): string => `${line}:${column}:${key}:${text}`;

function sorted(problems: ReadonlyMap<string, SurveyedProblem>): readonly SurveyedProblem[] {
  return [...problems.values()].sort(
    (a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0),
  );
}

interface Part {
  readonly from: number;
  readonly to: number;
  /** Of a pair: its key. */
  readonly name?: string;
}

function blankedOut(text: string, problems: readonly ConfigProblem[]): string {
  const lines = text.split('\n');
  const starts: number[] = [];
  let at = 0;
  for (const line of lines) {
    starts.push(at);
    at += line.length + 1;
  }
  const parts = partsOf(text);
  let blanked = text;
  for (const { line, column, key } of problems) {
    const offset = (starts[line - 1] ?? 0) + column - 1;
    const { from, to } = innermost(parts, offset, key.split('.').at(-1)) ?? { from: 0, to: 0 };
    blanked = `${blanked.slice(0, from)}${blanked.slice(from, to).replace(/[^\n]/g, ' ')}${blanked.slice(to)}`;
  }
  return blanked;
}

/** A key that is missing is told where its mapping begins, which is where another key stands: that one may stay. */
function innermost(parts: readonly Part[], offset: number, name: string | undefined): Part | undefined {
  return parts
    .filter((part) => part.from <= offset && offset < part.to)
    .filter((part) => part.name === undefined || part.name === name)
    .sort((a, b) => a.to - a.from - (b.to - b.from))[0];
}

/** What can be taken away as a whole: values, pairs, items with their dashes. */
function partsOf(text: string): readonly Part[] {
  const parts: Part[] = [];
  const document = parseDocument(text, { merge: true, uniqueKeys: false, logLevel: 'silent' });
  visit(document, (key, node, ancestors) => {
    if (isPair(node) && isScalar(node.key) && node.key.range) {
      const [from, keyEnd] = node.key.range;
      const to = Math.max((node.value as Node | null)?.range?.[1] ?? keyEnd, keyEnd);
      parts.push({ from, to, name: String(node.key.value) });
    }
    if (key === 'key' || !(isScalar(node) || isAlias(node) || isMap(node) || isSeq(node)) || !node.range) {
      return;
    }
    const [from, to] = node.range;
    const parent = ancestors.at(-1);
    const isItem = isSeq(parent) && parent.flow !== true;
    parts.push({ from: isItem ? dashBefore(text, from) : from, to });
  });
  return parts;
}

function dashBefore(text: string, offset: number): number {
  const dash = text.lastIndexOf('-', offset - 1);
  return dash < 0 || /[^\s-]/.test(text.slice(dash, offset)) ? offset : dash;
}
