/** A refusal of `openagent.yaml` as it is told: with its line, so that nobody has to take the message apart. */
import { AppError } from '../../contract/errors.ts';
import type { ConfigOutcome } from '../fleet.ts';

export function invalidConfig(error: AppError): Extract<ConfigOutcome, { type: 'config.invalid' }> {
  const problem = AppError.toWire(error);
  return { type: 'config.invalid', problem, line: lineOf(problem.details) };
}

/** Whether an agent cannot start because of what its file says, or because it cannot be read. */
export function isConfigProblem(error: unknown): error is AppError {
  return AppError.is(error) && /^(config|bind)\./.test(error.code);
}

/** See `configError`: one entry for each problem, the first one first. */
function lineOf(details: unknown): number | undefined {
  const first: unknown = Array.isArray(details) ? details[0] : undefined;
  const line = (first as { line?: unknown } | undefined)?.line;
  return typeof line === 'number' ? line : undefined;
}
