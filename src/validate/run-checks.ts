/**
 * Runs all checks against one gateway, one after the other, and puts back at the end what they have made: also when a
 * check fails, throws or is interrupted. Nothing a gateway answers can end the run.
 */

import {
  type Area,
  type Check,
  type CheckGroup,
  type Result,
  Skipped,
  Unexpected,
  type Verdict,
} from './check.ts';
import { ACCESS_CHECKS } from './checks/access-checks.ts';
import { COMMAND_CHECKS, RESTART_CHECKS } from './checks/command-checks.ts';
import { CONFIG_CHECKS } from './checks/config-checks.ts';
import { DOCUMENT_CHECKS } from './checks/document-checks.ts';
import { FILE_CHECKS, LOG_CHECKS } from './checks/file-checks.ts';
import { FOLLOW_CHECKS } from './checks/follow-checks.ts';
import { HTTP_CHECKS } from './checks/http-checks.ts';
import { ROUTE_CHECKS } from './checks/route-checks.ts';
import { FRAME_CHECKS, SOCKET_CHECKS } from './checks/socket-checks.ts';
import { TURN_CHECKS } from './checks/turn-checks.ts';
import { MODEL_CHECKS, USAGE_CHECKS } from './checks/usage-checks.ts';
import { VAULT_BEYOND_CHECKS } from './checks/vault-beyond-checks.ts';
import { VAULT_CHECKS } from './checks/vault-checks.ts';
import type { Target } from './target.ts';

/** In this order: the restart comes last. */
const GROUPS: readonly CheckGroup[] = [
  ...[
    HTTP_CHECKS,
    ACCESS_CHECKS,
    ROUTE_CHECKS,
    DOCUMENT_CHECKS,
    CONFIG_CHECKS,
    VAULT_CHECKS,
    VAULT_BEYOND_CHECKS,
    USAGE_CHECKS,
  ],
  ...[
    MODEL_CHECKS,
    FILE_CHECKS,
    LOG_CHECKS,
    SOCKET_CHECKS,
    FRAME_CHECKS,
    FOLLOW_CHECKS,
    TURN_CHECKS,
    COMMAND_CHECKS,
  ],
  RESTART_CHECKS,
];

function chosen(areas: readonly Area[] | undefined): readonly CheckGroup[] {
  return areas === undefined ? GROUPS : GROUPS.filter(({ area }) => areas.includes(area));
}

export function countChecks(areas: readonly Area[] | undefined): number {
  return chosen(areas).reduce((count, { checks }) => count + checks.length, 0);
}

export interface RunOptions {
  /** Also what changes or interrupts the agent. */
  readonly all: boolean;
  /** Also what makes the model answer. */
  readonly messages: boolean;
  /** Only these parts; all when absent. */
  readonly areas: readonly Area[] | undefined;
  readonly signal: AbortSignal;
  readonly onStart: (area: Area, check: Check) => void;
  readonly onResult: (result: Result) => void;
}

export async function runChecks(target: Target, options: RunOptions): Promise<readonly Result[]> {
  const results: Result[] = [];
  const report = (result: Result): void => {
    results.push(result);
    options.onResult(result);
  };
  options.signal.addEventListener('abort', () => target.interrupt(), { once: true });
  for (const { area, checks } of chosen(options.areas)) {
    for (const check of checks) {
      if (options.signal.aborted) break;
      options.onStart(area, check);
      report(await runCheck(area, check, target, options));
    }
  }
  await putBack(target, report);
  return results;
}

async function runCheck(area: Area, check: Check, target: Target, options: RunOptions): Promise<Result> {
  const startMs = performance.now();
  const end = (verdict: Verdict, seen: string): Result => {
    const { name, expected } = check;
    return { area, name, expected, seen, verdict, ms: Math.round(performance.now() - startMs) };
  };
  const reason = reasonToSkip(check, target, options);
  if (reason !== undefined) return end('skip', reason);
  try {
    const seen = await check.run(target);
    const strange = target.settleSockets();
    return strange === undefined ? end('pass', seen) : end('fail', strange);
  } catch (error) {
    target.settleSockets();
    if (options.signal.aborted) return end('skip', 'interrupted');
    if (error instanceof Skipped) return end('skip', error.message);
    if (error instanceof Unexpected) return end('fail', error.message);
    // An answer of a shape that the check cannot read.
    return end('fail', `not understood: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function reasonToSkip(check: Check, target: Target, { all, messages }: RunOptions): string | undefined {
  if (check.isBeyond && target.isReference) return 'goes beyond the protocol of this gateway';
  if (check.isGuardedOnly && !target.facts.isGuarded) return 'this gateway asks for no token';
  if (check.isIntrusive && !all) return 'only with --all';
  if (check.asksModel && !messages) return 'left out by --no-messages';
  return undefined;
}

async function putBack(target: Target, report: (result: Result) => void): Promise<void> {
  const startMs = performance.now();
  const { count, left } = await target.putBack();
  if (count === 0) return;
  report({
    area: 'vault',
    name: 'what the checks made is removed',
    expected: `${count} removed`,
    seen: left.length === 0 ? `${count} removed` : `left behind: ${left.join(', ')}`,
    verdict: left.length === 0 ? 'pass' : 'fail',
    ms: Math.round(performance.now() - startMs),
  });
}
