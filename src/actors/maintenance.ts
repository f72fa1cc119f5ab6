/**
 * What the journal needs now and then: lazy marks written within a second, frames that nobody came back for let go, the
 * WAL checkpointed when the agent rests, payloads older than 30 days cut to their outcome, sessions of one request removed
 * that a crash or a restart left behind. Small steps, so that no turn waits behind them.
 */
import type { Clock } from '../contract/clock.ts';
import type { Vitals } from '../contract/vitals.ts';
import type { Log } from '../logging/log.ts';
import type { Journal } from '../storage/journal.ts';
import type { SessionRecords } from '../storage/session-records.ts';
import type { TurnEngine } from './turns/turn-engine.ts';

const TICK_MS = 1_000;
/** Ticks without any work before the WAL is checkpointed. */
const REST_TICKS = 3;
const EXPIRE_EVERY_TICKS = 60;
const SWEEP_EVERY_TICKS = 60;
const TRIM_EVERY_TICKS = 3_600;
const TRIM_ROWS = 500;
const PAYLOAD_DAYS = 30;
const DAY_MS = 86_400_000;

export function startMaintenance(options: {
  readonly journal: Journal;
  readonly turns: TurnEngine;
  readonly sessions: Pick<SessionRecords, 'oneOffs' | 'remove'>;
  readonly clock: Clock;
  readonly log: Log;
  readonly vitals: Vitals;
}): { stop(): void } {
  const { journal, turns, sessions, clock, log, vitals } = options;
  let seen = vitals.progressCount();
  let restTicks = 0;
  let ticks = 0;
  let isTrimming = true;
  let timer = clock.setTimeout(tick, TICK_MS);

  function tick(): void {
    timer = clock.setTimeout(tick, TICK_MS);
    ticks += 1;
    try {
      work();
    } catch (error) {
      // A full disk or another program's lock: the next tick tries again.
      log.warn('journal.maintenance_failed', { error });
    }
  }

  function work(): void {
    if (ticks % EXPIRE_EVERY_TICKS === 0) turns.expireUndelivered();
    if (!journal.isIdle()) journal.flush();
    // Not before what the start has ended is remembered: that would bring them back unmarked.
    if (ticks % SWEEP_EVERY_TICKS === 1 && journal.isIdle()) sweepOneOffs();
    const progress = vitals.progressCount();
    restTicks = progress === seen && turns.counts().running === 0 ? restTicks + 1 : 0;
    seen = progress;
    if (restTicks === REST_TICKS) journal.checkpoint();
    if (ticks % TRIM_EVERY_TICKS === 0) isTrimming = true;
    if (isTrimming && restTicks > 0) {
      isTrimming = journal.trim(clock.wallMs() - PAYLOAD_DAYS * DAY_MS, TRIM_ROWS);
    }
  }

  function sweepOneOffs(): void {
    for (const sessionId of sessions.oneOffs()) if (!turns.hasTurns(sessionId)) sessions.remove(sessionId);
  }

  return { stop: () => clock.clearTimeout(timer) };
}
