/**
 * Keeps `<agent>/.crumb` at what the agent is in the middle of. Written synchronously, before the work begins: a native
 * crash leaves no time afterwards. No fsync: the page cache outlives the process, and after a power cut nobody asks.
 * Crumbs only serve to find a culprit, so a disk that refuses them is no reason to fail.
 */
import { closeSync, constants, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { CRUMB_BYTES, CRUMB_FILE, createCrumbWriter } from '../contract/breadcrumb.ts';
import type { Clock } from '../contract/clock.ts';
import type { Activity } from '../contract/vitals.ts';

export interface Breadcrumbs {
  write(activities: readonly Activity[]): void;
  /** What is written now stays for a moment, whatever comes. */
  hold(): void;
  /** Nothing is under way any more: the crumb goes. */
  close(): void;
}

export interface BreadcrumbOptions {
  readonly dir: string;
  readonly boot: string;
  readonly incarnation: number;
  readonly clock: Pick<Clock, 'wallMs'>;
}

/** Longer than a process that was sent a signal goes on. */
const HOLD_MS = 1_000;
const NEWLINE = 0x0a;
const SPACE = 0x20;

export function openBreadcrumbs({ dir, boot, incarnation, clock }: BreadcrumbOptions): Breadcrumbs {
  const toText = createCrumbWriter({ pid: process.pid, boot, incarnation });
  const buffer = Buffer.alloc(CRUMB_BYTES, SPACE);
  buffer[CRUMB_BYTES - 1] = NEWLINE;
  const idle = Buffer.from(buffer);
  idle.write(toText([]), 'latin1');
  let current: readonly Activity[] = [];
  let written = 0;
  let held: ReturnType<typeof setTimeout> | undefined;
  const commits = createCommitCrumb(() => put([]));
  const path = join(dir, CRUMB_FILE);
  let file = open(path);

  function fill(activities: readonly Activity[]): Buffer {
    const length = buffer.write(toText(activities), 0, CRUMB_BYTES - 1, 'latin1');
    if (length < written) buffer.fill(SPACE, length, written);
    written = length;
    return buffer;
  }

  function write(activities: readonly Activity[]): void {
    current = activities;
    if (file === undefined || held !== undefined || commits.covers(activities)) return;
    put(activities);
  }

  function put(activities: readonly Activity[]): void {
    if (file === undefined || held !== undefined) return;
    try {
      writeSync(file, activities.length === 0 ? idle : fill(activities), 0, CRUMB_BYTES, 0);
    } catch {
      // The next one may succeed; see above.
    }
  }

  write([]);
  return {
    write,
    hold: () => {
      const underWay = current;
      if (underWay.length === 0) write([{ kind: 'tool', detail: 'process.kill', sinceMs: clock.wallMs() }]);
      current = underWay;
      held ??= setTimeout(() => {
        held = undefined;
        write(current);
      }, HOLD_MS).unref();
    },
    close: () => {
      if (file === undefined || held !== undefined) return;
      closeSync(file);
      file = undefined;
      // An agent that ended well leaves its directory as it found it.
      rmSync(path, { force: true });
    },
  };
}

/**
 * An agent under load commits in every turn of its loop, and two writes around each cost more than the commit's own
 * statements. So the crumb of a commit stands until the loop has gone round without another: what it says is weak
 * evidence anyway, and a busy agent is in one at most moments. `clear` writes that nothing is under way.
 */
function createCommitCrumb(clear: () => void): { covers(activities: readonly Activity[]): boolean } {
  let isShown = false;
  let isOver = false;
  let wasSeen = false;
  let isLooking = false;

  function look(): void {
    isLooking = false;
    if (!isShown) return;
    if (isOver && !wasSeen) {
      isShown = false;
      return clear();
    }
    wasSeen = false;
    isLooking = true;
    setImmediate(look);
  }

  return {
    /** True when the file may stay as it is. */
    covers(activities) {
      const isCommit = activities.length === 1 && activities[0]?.kind === 'storage';
      const isCovered = isShown && (isCommit || activities.length === 0);
      isShown = isCommit || isCovered;
      isOver = !isCommit;
      if (isCommit) wasSeen = true;
      if (isShown && !isLooking) {
        isLooking = true;
        setImmediate(look);
      }
      return isCovered;
    },
  };
}

/**
 * A signal to the own process is delivered to any of its threads, and this one may run on until that one has died: by
 * then it would have written that it is over.
 */
export function holdForOwnSignals(crumbs: Breadcrumbs, host: NodeJS.Process = process): void {
  const { kill } = host;
  host.kill = (pid, signal) => {
    // 0 and less are groups, as a rule this one's.
    if (signal !== 0 && (pid === host.pid || pid <= 0)) crumbs.hold();
    return kill.call(host, pid, signal);
  };
}

/** A pipe of that name would block the agent, a link could lead anywhere. */
function open(path: string): number | undefined {
  const { O_WRONLY, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  try {
    return openSync(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  } catch {
    return undefined;
  }
}
