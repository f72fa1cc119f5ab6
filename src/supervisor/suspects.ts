/**
 * Who killed the host? A native crash takes every thread with it and says nothing; the crumbs on disk tell what each
 * agent was in the middle of. Agents in processes of their own cannot have done it.
 *
 * Evidence is strong where somebody's code or its start was on the stack (`bridge`, `tool`, `start`), weak where a busy
 * fleet is at any moment anyway (`storage`, `model`): weak evidence counts against one agent, and against several only
 * when the host has died again and again.
 */

import type { Breadcrumb } from '../contract/breadcrumb.ts';
import type { WireError } from '../contract/errors.ts';
import { type Activity, type ActivityKind, activityLabel } from '../contract/vitals.ts';
import type { AgentMemory, HostMemory } from './watchdog-memory.ts';

/** What the launcher says of it. */
export interface HostDeath {
  readonly pid: number;
  /** `SIGSEGV`, `exit code 134`, `it did not answer for 10 s`. */
  readonly how: string;
  /** Deaths of hosts within the last minute that nobody was charged with, this one included. */
  readonly recent: number;
  /** Since the launcher began. */
  readonly total: number;
}

export interface Verdict {
  /** The one that did it. */
  readonly charged: { readonly id: string; readonly reason: WireError } | undefined;
  /** Strong evidence: the agent pays, not the host's budget. */
  readonly isForgiven: boolean;
  /** To be started last, one after the other, each alone; one charged on strong evidence is the last of them. */
  readonly alone: readonly string[];
  /** For the operator, one line. */
  readonly says: string;
}

/** Agents whose charges reach this many within `KILLS_WITHIN_MS` are given up: each one has cost all the others. */
export const KILLS_MAX = 3;
export const KILLS_WITHIN_MS = 600_000;
/** Deaths in a row after which weak evidence against several is followed up as well. */
const WEAK_FROM_DEATHS = 3;

const STRONG: ReadonlySet<ActivityKind> = new Set<ActivityKind>(['bridge', 'tool', 'start']);

interface Suspect {
  readonly id: string;
  readonly activity: Activity | undefined;
  readonly isStrong: boolean;
}

export function judgeDeath(
  death: HostDeath,
  memory: HostMemory,
  crumbs: ReadonlyMap<string, Breadcrumb>,
): Verdict {
  const { onTrial, culprit } = memory;
  const known = culprit ?? onTrial;
  const suspects = toSuspects(memory, crumbs);
  // Those not yet tried stay under suspicion whoever it was this time.
  const untried = memory.suspects.filter((id) => id !== known);
  if (known !== undefined) {
    const activity = suspects.find(({ id }) => id === known)?.activity;
    return charge(death, { id: known, activity, isStrong: true }, untried);
  }
  const strong = suspects.filter(({ isStrong }) => isStrong);
  const counted = strong.length > 0 ? strong : suspects;
  const [only] = counted;
  if (only && counted.length === 1) return charge(death, only, untried);
  const isFollowed = strong.length > 0 || death.recent >= WEAK_FROM_DEATHS;
  const alone = isFollowed ? [...new Set([...untried, ...counted.map(({ id }) => id)])] : untried;
  return { charged: undefined, isForgiven: false, alone, says: tell(death, alone) };
}

function toSuspects(memory: HostMemory, crumbs: ReadonlyMap<string, Breadcrumb>): readonly Suspect[] {
  return [...crumbs].flatMap(([id, { boot, activities }]) => {
    if (boot !== memory.boot) return [];
    const newest = activities.findLast(({ kind }) => STRONG.has(kind));
    const activity = newest ?? activities.at(-1);
    return activity ? [{ id, activity, isStrong: newest !== undefined }] : [];
  });
}

/**
 * The next host tries whoever is charged on strong evidence alone, last of all: should it kill again while others are
 * starting, their own crumbs would hide it.
 */
function charge(death: HostDeath, { id, activity, isStrong }: Suspect, untried: readonly string[]): Verdict {
  const alone = isStrong ? [...untried, id] : untried;
  const during = activity === undefined ? 'was being tried alone' : `was in ${activityLabel(activity)}`;
  const message = `the host died (${death.how}) while this agent ${during}`;
  return {
    charged: { id, reason: { code: 'agent.crashed', message } },
    isForgiven: isStrong,
    alone,
    says: `the host process died (${death.how}) and was started again; ${id} ${during}, and is charged with it`,
  };
}

function tell({ how }: HostDeath, alone: readonly string[]): string {
  const what = `the host process died (${how}) and was started again`;
  if (alone.length === 0) return `${what}; nothing says which agent did it`;
  return `${what}; any of ${alone.join(', ')} may have done it: they start last, one at a time`;
}

/**
 * What the agent's record becomes with the charge. Its crash is counted when it arrives (`ChildPast`); here only what
 * needs a longer memory: with strong evidence, how often it took everybody along.
 */
export function withCharge(past: AgentMemory, verdict: Verdict, nowMs: number): AgentMemory {
  const { charged, isForgiven } = verdict;
  if (!charged || !isForgiven) return past;
  const killsMs = [...past.killsMs.filter((at) => at > nowMs - KILLS_WITHIN_MS), nowMs];
  if (past.state !== 'none' || killsMs.length < KILLS_MAX) return { ...past, killsMs };
  const { code, message } = charged.reason;
  const often = `${message}, and had done so ${killsMs.length - 1} times within ${KILLS_WITHIN_MS / 60_000} minutes`;
  return { ...past, killsMs, state: 'quarantined', reason: { code, message: often } };
}
