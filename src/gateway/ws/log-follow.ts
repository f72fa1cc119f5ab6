/**
 * A client that follows the log (`logs {follow: true}`). Its entries are gathered for a moment and sent together. Who
 * reads too slowly misses entries and is told how many; neither the log nor any other client waits for it.
 */
import type { Clock, TimerHandle } from '../../contract/clock.ts';
import type { Limits } from '../../contract/limits.ts';
import type { LogLevel } from '../../contract/worker-protocol.ts';
import type { LogFollower } from '../../logging/event-log.ts';

export interface LogFilter {
  /** The beginning of the event's name. */
  readonly event: string;
  /** The least of what is sent. */
  readonly level: LogLevel;
}

/** The client's socket. */
export interface LogWire {
  send(frame: string): boolean;
  /** Sent, and not taken yet. */
  bufferedBytes(): number;
}

export interface LogFollows {
  /** What is given back ends it. Undefined: too many follow already. */
  start(wire: LogWire, filter: LogFilter): (() => void) | undefined;
}

export interface LogFollowsOptions {
  readonly clock: Clock;
  readonly limits: Pick<Limits, 'logFollowers' | 'logFollowBytes'>;
  readonly follow: (follower: LogFollower) => () => void;
}

const GATHER_MS = 100;
const RANK = { debug: 0, info: 1, warn: 2, error: 3 } as const satisfies Record<LogLevel, number>;

export function createLogFollows(options: LogFollowsOptions): LogFollows {
  let count = 0;
  return {
    start(wire, filter) {
      if (count >= options.limits.logFollowers) return undefined;
      count += 1;
      const gathered = new GatheredLines(wire, options);
      const unfollow = options.follow((line, event, level) => {
        if (event.startsWith(filter.event) && RANK[level] >= RANK[filter.level]) gathered.add(line);
      });
      let isOver = false;
      return () => {
        if (isOver) return;
        isOver = true;
        count -= 1;
        unfollow();
        gathered.stop();
      };
    },
  };
}

class GatheredLines {
  readonly #wire: LogWire;
  readonly #options: LogFollowsOptions;
  #lines: string[] = [];
  #bytes = 0;
  #dropped = 0;
  #timer: TimerHandle | undefined;

  constructor(wire: LogWire, options: LogFollowsOptions) {
    this.#wire = wire;
    this.#options = options;
  }

  add(line: string): void {
    // Those before it stay: what a reader misses is one gap, with its length.
    if (this.#dropped > 0 || this.#bytes + line.length > this.#options.limits.logFollowBytes)
      this.#dropped += 1;
    else {
      this.#lines.push(line);
      this.#bytes += line.length;
    }
    this.#arm();
  }

  stop(): void {
    this.#options.clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer ??= this.#options.clock.setTimeout(() => {
      this.#timer = undefined;
      this.#send();
    }, GATHER_MS);
  }

  #send(): void {
    if (this.#wire.bufferedBytes() > this.#options.limits.logFollowBytes) return this.#arm();
    // The lines are JSON already.
    const dropped = this.#dropped > 0 ? `,"dropped":${this.#dropped}` : '';
    const frame = `{"type":"log","entries":[${this.#lines.map((line) => line.trimEnd()).join(',')}]${dropped}}`;
    this.#lines = [];
    this.#bytes = 0;
    this.#dropped = 0;
    this.#wire.send(frame);
  }
}
