/**
 * Whether a change of one section makes a configuration worse. What is wrong elsewhere in the file was there before, the
 * agent runs all the same, and whoever changes a section must not be made to mend the rest of it first.
 */
import { AppError } from '../../contract/errors.ts';
import { problemsOf } from '../config/config-problem.ts';
import { missingVariables } from '../config/parse-config.ts';

/** `env`: variables beside those of the host. Throws what would refuse the agent. */
export type Prepare<T> = (text: string, env?: Readonly<Record<string, string>>) => T;

/** What is wrong with `after` and was not wrong with `before`: undefined where it is nothing. */
export function newProblem(prepare: Prepare<unknown>, before: string, after: string): AppError | undefined {
  const old = countOf(errorsOf(prepare, before));
  const errors = errorsOf(prepare, after);
  return errors.find((error) => [...countOf([error])].some(([id, times]) => times > (old.get(id) ?? 0)));
}

/** An unset variable is told alone: what else is wrong shows when there is something in its place. */
function errorsOf(prepare: Prepare<unknown>, text: string): readonly AppError[] {
  const strict = errorOf(() => prepare(text));
  if (strict === undefined) return [];
  const missing = missingVariables(strict);
  if (missing.length === 0) return [strict];
  const filled = Object.fromEntries(missing.map((name) => [name, FILLED]));
  const other = errorOf(() => prepare(text, filled));
  return other === undefined ? [strict] : [strict, other];
}

const FILLED = 'unset';

function errorOf(work: () => unknown): AppError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (AppError.is(error)) return error;
    throw error;
  }
}

/** By what they say, wherever they stand now: lines move, and entries of lists with them. */
function countOf(errors: readonly AppError[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const error of errors) {
    const problems = problemsOf(error);
    const ids = problems.map(({ key, expected }) => `${key.replaceAll(/\.\d+(?=\.|$)/g, '.#')} ${expected}`);
    for (const id of ids.length > 0 ? ids : [`${error.code} ${error.message}`]) {
      counts.set(id, (counts.get(id) ?? 0) + 1);
    }
  }
  return counts;
}
