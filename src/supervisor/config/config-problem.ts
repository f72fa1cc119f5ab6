/**
 * How a problem in `openagent.yaml` is told: one line that an editor can jump to, and the same as data. A value that
 * may be a secret never gets into either.
 */
import type { ErrorCode, WireError } from '../../contract/errors.ts';
import { AppError } from '../../contract/errors.ts';

export interface Place {
  /** Both from 1. */
  readonly line: number;
  readonly column: number;
}

export interface ConfigProblem extends Place {
  /** Dotted path, e.g. `channels.websocket.port`; '' for the file itself. */
  readonly key: string;
  /** Completes "expected …". */
  readonly expected: string;
  /** What stands after the key in the message. */
  readonly text: string;
}

const SHOWN_MAX = 5;

const problemsByError = new WeakMap<Error, readonly ConfigProblem[]>();

/** All problems that an error of `configError` tells of, also those its message has no room for. */
export function problemsOf(error: Error): readonly ConfigProblem[] {
  return problemsByError.get(error) ?? [];
}

/** One error for all problems of a file, so that one round of mending is enough. */
export function configError(code: ErrorCode, file: string, problems: readonly ConfigProblem[]): AppError {
  const [first, ...rest] = problems;
  if (first === undefined) throw new Error('An error of the configuration needs a problem');
  const shown = rest.slice(0, SHOWN_MAX - 1).map((problem) => `; line ${where(problem)}`);
  const hidden = rest.length - shown.length;
  const message = `${file}:${where(first)}${shown.join('')}${hidden > 0 ? `; and ${hidden} more` : ''}`;
  const error = new AppError(code, message, { details: problems.map((problem) => toDetail(file, problem)) });
  problemsByError.set(error, problems);
  return error;
}

export function configWarning(file: string, problem: ConfigProblem): WireError {
  return {
    code: 'config.doubtful',
    message: `${file}:${where(problem)}`,
    details: [toDetail(file, problem)],
  };
}

export function keyOf(path: readonly PropertyKey[]): string {
  return path.map(String).join('.');
}

function where({ line, column, key, text }: ConfigProblem): string {
  return `${line}:${column} ${key === '' ? '' : `${key}: `}${text}`;
}

function toDetail(file: string, { line, column, key, expected }: ConfigProblem) {
  return { file, line, column, key, expected };
}
