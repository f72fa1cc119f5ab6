/** What one check is, and the three ways it can end. A check that returns has passed; what it returns is what was seen. */
import type { Area } from './areas.ts';
import type { Target } from './target.ts';

export type { Area } from './areas.ts';

export interface Check {
  readonly name: string;
  readonly expected: string;
  /** Goes beyond the reference: a gateway of that protocol is not asked. */
  readonly isBeyond?: true;
  /** Changes or interrupts what the agent does: only with `--all`. */
  readonly isIntrusive?: true;
  /** Makes the model answer, which may cost money. */
  readonly asksModel?: true;
  /** Only where the agent asks for a token. */
  readonly isGuardedOnly?: true;
  run(target: Target): Promise<string>;
}

export type Verdict = 'pass' | 'fail' | 'skip';

export interface Result {
  readonly area: Area;
  readonly name: string;
  readonly expected: string;
  readonly seen: string;
  readonly verdict: Verdict;
  readonly ms: number;
}

/** The gateway does otherwise than expected; the message is what was seen. */
export class Unexpected extends Error {
  override readonly name = 'Unexpected';
}

/** There is nothing to check; the message says why. */
export class Skipped extends Error {
  override readonly name = 'Skipped';
}

/** Keeps the checks of an area together with its name. */
export interface CheckGroup {
  readonly area: Area;
  readonly checks: readonly Check[];
}

const SHOWN_CHARS = 160;

/** A value as it is shown in a report: short, on one line. */
export function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}…` : text;
}

/** Fails the check unless the condition holds. */
export function expectThat(condition: unknown, seen: string): asserts condition {
  if (!condition) throw new Unexpected(seen);
}
