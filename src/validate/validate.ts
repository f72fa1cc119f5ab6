/**
 * `openagent-supervisor validate`: a black-box check of a running gateway. It knows the wire and nothing of the inside,
 * so it holds for any gateway that speaks it, this project's or the reference's.
 */
import { type Area, Unexpected } from './check.ts';
import { createJsonReport, createTableReport, type OutputStream } from './report.ts';
import { countChecks, runChecks } from './run-checks.ts';
import { openTarget, type Target } from './target.ts';

export interface ValidateOptions {
  readonly url: URL;
  readonly token: string | undefined;
  readonly json: boolean;
  readonly all: boolean;
  readonly messages: boolean;
  readonly timeoutMs: number;
  /** Only these parts; all when absent. */
  readonly areas?: readonly Area[] | undefined;
  /** Of this program. */
  readonly ownVersion: string;
  readonly out: OutputStream;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends the run early; what was made is removed all the same. */
  readonly signal: AbortSignal;
}

/** All passed, some failed, or nothing could be checked. */
export type ValidateExitCode = 0 | 1 | 2;

/** A model may take longer than a route. */
const TURN_FACTOR = 6;

export async function validate(options: ValidateOptions): Promise<ValidateExitCode> {
  const report = options.json ? createJsonReport(options.out) : createTableReport(options.out, options.env);
  const startMs = performance.now();
  const { url: base, token, timeoutMs, ownVersion, all, messages, areas, signal } = options;
  let opened: { readonly target: Target; readonly close: () => void };
  try {
    opened = await openTarget({ base, token, timeoutMs, turnMs: timeoutMs * TURN_FACTOR, ownVersion });
  } catch (error) {
    if (!(error instanceof Unexpected)) throw error;
    report.failed(`${base.origin} cannot be checked: ${error.message}`, 2);
    return 2;
  }
  const { target, close } = opened;
  try {
    report.opened(base.origin, target.facts, countChecks(areas));
    const hooks = { onStart: report.started, onResult: report.ended };
    const results = await runChecks(target, { all, messages, areas, signal, ...hooks });
    const count = (verdict: string): number => results.filter((each) => each.verdict === verdict).length;
    const failed = count('fail');
    const exitCode = failed === 0 ? 0 : 1;
    report.done({
      ...{ url: base.origin, facts: target.facts, passed: count('pass'), failed, skipped: count('skip') },
      ...{ ms: Math.round(performance.now() - startMs), exitCode },
    });
    return exitCode;
  } finally {
    close();
  }
}
