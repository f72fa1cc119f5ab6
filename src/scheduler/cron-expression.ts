/**
 * When something is to happen: five cron fields (or @daily and its like) in a time zone, or `@once:<epoch seconds>` as
 * the reference writes it. The library knows zones and the days on which clocks change; what it takes beyond cron
 * (seconds, years, dates) is refused here, so that an expression means the same wherever it is read.
 */
import { Cron } from 'croner';

export interface Expression {
  readonly text: string;
  /** Milliseconds since the epoch; undefined for cron. */
  readonly onceMs: number | undefined;
  /** The first time after this one; undefined when there is none. */
  next(afterMs: number): number | undefined;
  /** The last time at or before this one. */
  last(atMs: number): number | undefined;
}

export type ReadExpression = { readonly expression: Expression } | { readonly problem: string };

const ONCE = /^@once:(.*)$/;
const EPOCH = /^\d{1,11}(\.\d{1,9})?$/;
const NICKNAME = /^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$/i;
const FIELDS = /^\S+(\s+\S+){4}$/;
const CHARS_MAX = 200;

/** `zone`: one that `isTimeZone` says yes to. */
export function readExpression(written: string, zone: string): ReadExpression {
  const text = written.trim();
  if (text.length > CHARS_MAX) return { problem: `an expression has at most ${CHARS_MAX} characters` };
  const once = ONCE.exec(text)?.[1];
  if (once !== undefined) return readOnce(text, once);
  if (!FIELDS.test(text) && !NICKNAME.test(text)) {
    return { problem: 'there are five fields (minute, hour, day, month, weekday), or @once:<epoch seconds>' };
  }
  let cron: Cron;
  try {
    cron = new Cron(text, {
      timezone: zone,
      paused: true,
      mode: '5-part',
      // What the reference's library takes as well: 5/15 is 5-59/15.
      sloppyRanges: true,
      fixedTimeRule: 'no-wildcard',
    });
    // Also where the zone is tried.
    if (cron.nextRun(new Date(0)) === null) return { problem: 'there is no such day' };
  } catch (error) {
    return { problem: reasonOf(error) };
  }
  return {
    expression: {
      text,
      onceMs: undefined,
      next: (afterMs) => cron.nextRun(new Date(afterMs))?.getTime(),
      // The library looks before a time, in whole seconds.
      last: (atMs) => cron.previousRuns(1, new Date(Math.floor(atMs / 1_000) * 1_000 + 1_000))[0]?.getTime(),
    },
  };
}

function readOnce(text: string, epoch: string): ReadExpression {
  if (!EPOCH.test(epoch)) return { problem: '@once: is followed by seconds since the epoch' };
  const onceMs = Math.round(Number(epoch) * 1_000);
  return {
    expression: {
      text,
      onceMs,
      next: (afterMs) => (onceMs > afterMs ? onceMs : undefined),
      last: (atMs) => (onceMs <= atMs ? onceMs : undefined),
    },
  };
}

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^Cron\w*: /, '').replace(/\.$/, '');
}

export function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    // An offset has no days on which clocks change, and not every version of Node takes it.
    return /^[A-Za-z]/.test(name);
  } catch {
    // RangeError: nobody knows it.
    return false;
  }
}

/** Of the machine; UTC where it does not say. */
export function localZone(): string {
  const zone = new Intl.DateTimeFormat('en').resolvedOptions().timeZone;
  return zone !== undefined && isTimeZone(zone) ? zone : 'UTC';
}
