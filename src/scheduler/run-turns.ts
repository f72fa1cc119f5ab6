/**
 * Runs on their way: each is submitted as a turn until it is accepted, and its outcome is written until it is on disk.
 * Whatever a crash leaves of it is submitted again at the next start under the same id, which the journal knows.
 */
import type { Clock, TimerHandle } from '../contract/clock.ts';
import type { WireError } from '../contract/errors.ts';
import type { Log } from '../logging/log.ts';
import type { NewRun, RunOutcome } from './task-record.ts';
import type { TaskStore } from './task-store.ts';

export interface RunListener {
  ended(outcome: RunOutcome): void;
  /** It is no turn: full queues, a full disk, an agent that stops. */
  refused(error: WireError): void;
}

/** How a run becomes a turn. */
export interface RunTurns {
  /** However often it is called for a run, the turn happens once, and each call hears of its end. */
  submit(run: NewRun, listener: RunListener): void;
}

export interface RunsOptions {
  readonly store: TaskStore;
  readonly turns: RunTurns;
  readonly clock: Clock;
  readonly log: Log;
  /** The outcome is on disk. */
  onEnd(run: NewRun, outcome: RunOutcome): void;
}

const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 30_000;
const TEXT_CHARS = 2_000;

export class Runs {
  readonly #options: RunsOptions;
  readonly #timers = new Set<TimerHandle>();
  #isStopped = false;

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  submit(run: NewRun, attempt = 1): void {
    if (this.#isStopped) return;
    const { turns, log } = this.#options;
    let isOver = false;
    const once = (work: () => void) => {
      if (isOver) return;
      isOver = true;
      work();
    };
    turns.submit(run, {
      ended: (outcome) => once(() => this.#end(run, outcome, 1)),
      refused: (error) =>
        once(() => {
          if (error.code === 'message.id_reused') {
            const { code, message: text } = error;
            return this.#end(run, { state: 'failed', code, text, turnId: undefined }, 1);
          }
          log.warn('task.waits', { task_id: run.taskId, run: run.id, code: error.code });
          // The next start submits it again.
          if (error.code === 'agent.stopping') return;
          this.#later(() => this.submit(run, attempt + 1), attempt);
        }),
    });
  }

  /** Nothing is written from here on. */
  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) this.#options.clock.clearTimeout(timer);
    this.#timers.clear();
  }

  #end(run: NewRun, outcome: RunOutcome, attempt: number): void {
    if (this.#isStopped) return;
    const { store, clock, log, onEnd } = this.#options;
    const kept = { ...outcome, text: outcome.text.slice(0, TEXT_CHARS) };
    try {
      store.endRun(run, kept, clock.wallMs());
    } catch (error) {
      log.warn('task.outcome_unwritten', { task_id: run.taskId, run: run.id, error });
      return this.#later(() => this.#end(run, outcome, attempt + 1), attempt);
    }
    onEnd(run, kept);
  }

  #later(work: () => void, attempt: number): void {
    const { clock } = this.#options;
    const timer = clock.setTimeout(
      () => {
        this.#timers.delete(timer);
        work();
      },
      Math.min(RETRY_MS_MIN * 2 ** (attempt - 1), RETRY_MS_MAX),
    );
    this.#timers.add(timer);
  }
}
