/**
 * The logs that somebody follows. One tail per agent, however many follow it, and a look at all of them four times a
 * second for as long as anybody does: nothing is read for nobody. inotify would tell of each line by itself, and a busy
 * agent writes thousands.
 */
import { join } from 'node:path';
import type { Clock, TimerHandle } from '../../contract/clock.ts';
import type { FleetLimits } from '../../contract/fleet/fleet-limits.ts';
import type { LogPlace } from './log-entries.ts';
import { type LogLine, LogTail } from './log-tail.ts';

export type LogListener = (agent: string, lines: readonly LogLine[]) => void;

export interface Following {
  /** Everything that is written from when this resolves is told. */
  readonly isReady: Promise<void>;
  stop(): void;
}

export interface LogTails {
  /** `wants`: asked at each look, so that agents may come and go. */
  follow(wants: (agent: string) => boolean, listener: LogListener): Following;
  /** There is another agent: what it writes from now on belongs to those who follow all. */
  agentAdded(): void;
  /** At once; resolves when what was written until now is told. */
  lookAgain(): Promise<void>;
  /** Ends all of it; resolves when no file is open. */
  close(): Promise<void>;
}

export interface LogTailsOptions {
  readonly clock: Clock;
  readonly limits: Pick<FleetLimits, 'tailBytes' | 'tailLineBytes' | 'tailMs'>;
  readonly places: () => readonly LogPlace[];
  readonly onDefect: (error: unknown, where: string) => void;
}

interface Follower {
  readonly wants: (agent: string) => boolean;
  readonly listener: LogListener;
}

interface OpenTail {
  readonly dir: string;
  readonly tail: LogTail;
}

export function createLogTails(options: LogTailsOptions): LogTails {
  return new Tails(options);
}

class Tails implements LogTails {
  readonly #options: LogTailsOptions;
  readonly #followers = new Set<Follower>();
  readonly #tails = new Map<string, OpenTail>();
  /** Agents whose log failed at the last look: told once. */
  readonly #failing = new Set<string>();
  #waiting: (() => void)[] = [];
  #timer: TimerHandle;
  #looking: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: LogTailsOptions) {
    this.#options = options;
  }

  follow(wants: (agent: string) => boolean, listener: LogListener): Following {
    const follower = { wants, listener };
    this.#followers.add(follower);
    const isReady = new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#lookIn(0);
    return { isReady, stop: () => void this.#followers.delete(follower) };
  }

  agentAdded(): void {
    if (this.#followers.size > 0) this.#lookIn(0);
  }

  async lookAgain(): Promise<void> {
    if (this.#followers.size === 0) return;
    await this.#looking;
    this.#options.clock.clearTimeout(this.#timer);
    this.#looking ??= this.#look();
    await this.#looking;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#followers.clear();
    this.#options.clock.clearTimeout(this.#timer);
    await this.#looking;
    for (const ready of this.#waiting.splice(0)) ready();
    await this.#keepOnly(new Map());
  }

  #lookIn(delayMs: number): void {
    if (this.#looking || this.#isClosed) return;
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = this.#options.clock.setTimeout(() => {
      this.#looking = this.#look();
    }, delayMs);
  }

  async #look(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    try {
      await this.#lookAtAll();
    } catch (error) {
      this.#options.onDefect(error, 'log tails');
    }
    for (const ready of waiting) ready();
    this.#looking = undefined;
    // Who came meanwhile waits for a look that begins now.
    if (this.#waiting.length > 0) this.#lookIn(0);
    else if (this.#tails.size > 0 || this.#followers.size > 0) this.#lookIn(this.#options.limits.tailMs);
  }

  async #lookAtAll(): Promise<void> {
    const wanted = new Map<string, string>();
    for (const { agent, dir } of this.#options.places()) {
      if (!wanted.has(agent) && this.#isWanted(agent)) wanted.set(agent, dir);
    }
    await this.#keepOnly(wanted);
    for (const [agent, dir] of wanted) {
      const open = this.#tails.get(agent) ?? this.#openTail(agent, dir);
      const lines = await this.#lookAt(open.tail, agent);
      if (lines.length === 0) continue;
      for (const { wants, listener } of this.#followers) if (wants(agent)) listener(agent, lines);
    }
  }

  async #lookAt(tail: LogTail, agent: string): Promise<readonly LogLine[]> {
    try {
      const lines = await tail.look();
      this.#failing.delete(agent);
      return lines;
    } catch (error) {
      // The disk of one agent must not silence the others; it is tried again.
      if (!this.#failing.has(agent)) this.#options.onDefect(error, `log of ${agent}`);
      this.#failing.add(agent);
      return [];
    }
  }

  #isWanted(agent: string): boolean {
    return [...this.#followers].some(({ wants }) => wants(agent));
  }

  #openTail(agent: string, dir: string): OpenTail {
    const tail = new LogTail(join(dir, 'logs', 'events.jsonl'), this.#options.limits);
    const open = { dir, tail };
    this.#tails.set(agent, open);
    return open;
  }

  /** `wanted`: agents with their directories. */
  async #keepOnly(wanted: ReadonlyMap<string, string>): Promise<void> {
    for (const [agent, { dir, tail }] of this.#tails) {
      if (wanted.get(agent) === dir) continue;
      this.#tails.delete(agent);
      await tail.close();
    }
  }
}
