/**
 * What an agent was in the middle of, as it stands in `<agent>/.crumb`: one line of JSON, overwritten in place, padded
 * to a fixed size. When a thread takes the whole process with it nobody is left to say who did it; the file is. It is
 * also how an agent that is a process of its own is seen while it is stuck.
 */
import { ACTIVITIES_MAX, ACTIVITY_KINDS, type Activity } from './vitals.ts';

export const CRUMB_FILE = '.crumb';
/** Written whole each time: what is shorter is padded with spaces, what does not fit is left out. */
export const CRUMB_BYTES = 1_024;
const DETAIL_CHARS_MAX = 80;

export interface Breadcrumb {
  readonly pid: number;
  /** The life of the host it belongs to. */
  readonly boot: string;
  readonly incarnation: number;
  /** Oldest first; empty when the agent was idle or in our own code. */
  readonly activities: readonly Activity[];
}

/** Gives back the text of a crumb; what does not change is made once, because this runs around every commit. */
export function createCrumbWriter(
  head: Pick<Breadcrumb, 'pid' | 'boot' | 'incarnation'>,
): (activities: readonly Activity[]) => string {
  const start = `${JSON.stringify(head).slice(0, -1)},"activities":[`;
  return (activities) => {
    let text = '';
    // The newest are what matters; they come last.
    for (const activity of activities.slice(-ACTIVITIES_MAX).reverse()) {
      const one = toText(activity);
      if (start.length + text.length + one.length > CRUMB_BYTES - 64) break;
      text = text === '' ? one : `${one},${text}`;
    }
    return `${start}${text}]}`;
  };
}

/** ASCII only, so that a character is a byte. */
function toText({ kind, detail, sinceMs }: Activity): string {
  const safe = PLAIN.test(detail) ? detail : detail.replace(/[^\x20-\x7e]|["\\]/g, '?');
  return `{"kind":"${kind}","detail":"${safe.slice(0, DETAIL_CHARS_MAX)}","sinceMs":${sinceMs}}`;
}

const PLAIN = /^[\x20-\x21\x23-\x5b\x5d-\x7e]*$/;

/** Undefined for anything else: an agent's own code can write into its directory. */
export function parseBreadcrumb(text: string): Breadcrumb | undefined {
  try {
    const crumb = JSON.parse(text) as Partial<Record<keyof Breadcrumb, unknown>> | null;
    if (typeof crumb !== 'object' || crumb === null) return undefined;
    const { pid, boot, incarnation, activities } = crumb;
    if (!isNumber(pid) || !isNumber(incarnation)) return undefined;
    if (typeof boot !== 'string' || !Array.isArray(activities)) return undefined;
    return { pid, boot, incarnation, activities: activities.flatMap(toActivity) };
  } catch {
    return undefined; // torn, or never ours
  }
}

function toActivity(value: unknown): readonly Activity[] {
  if (typeof value !== 'object' || value === null) return [];
  const { kind, detail, sinceMs } = value as Record<string, unknown>;
  const known = ACTIVITY_KINDS.find((name) => name === kind);
  if (!known || typeof detail !== 'string' || !isNumber(sinceMs)) return [];
  return [{ kind: known, detail: detail.slice(0, DETAIL_CHARS_MAX), sinceMs }];
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
