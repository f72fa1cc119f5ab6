/**
 * Asks the fleet each second, never twice at a time, and goes on asking while nobody answers: a fleet that comes back,
 * with whatever process id, is the same to who watches.
 */
import type { Clock, TimerHandle } from '../../contract/clock.ts';
import { AppError } from '../../contract/errors.ts';
import type { Fleet, FleetAgent } from '../../contract/fleet/schemas.ts';
import type { AgentAction } from '../command-options.ts';
import type { TopEvent } from './top-state.ts';

/** A fleet that may end and come back; each rejects while nobody answers. */
export interface TopSource {
  fleet(): Promise<Fleet>;
  agents(): Promise<readonly FleetAgent[]>;
  act(id: string, action: AgentAction): Promise<unknown>;
  close(): void;
}

export interface Watch {
  act(id: string, action: AgentAction): void;
  stop(): void;
}

const PERIOD_MS = 1_000;

export function watchFleet(source: TopSource, clock: Clock, tell: (event: TopEvent) => void): Watch {
  let timer: TimerHandle;
  let isStopped = false;
  let isAsking = false;
  /** An action was done while an answer from before it was on its way. */
  let isStale = false;

  const ask = async (): Promise<void> => {
    clock.clearTimeout(timer);
    if (isAsking) {
      isStale = true;
      return;
    }
    isAsking = true;
    const startMs = clock.monotonicMs();
    const event = await look(source, clock);
    isAsking = false;
    if (isStopped) return;
    tell(event);
    const waitMs = isStale ? 0 : Math.max(0, startMs + PERIOD_MS - clock.monotonicMs());
    isStale = false;
    timer = clock.setTimeout(() => void ask(), waitMs);
  };

  const act = async (id: string, action: AgentAction): Promise<void> => {
    const event = await request(source, id, action, clock);
    if (isStopped) return;
    tell(event);
    await ask();
  };

  void ask();
  return {
    act: (id, action) => void act(id, action),
    stop() {
      isStopped = true;
      clock.clearTimeout(timer);
      source.close();
    },
  };
}

async function look(source: TopSource, clock: Clock): Promise<TopEvent> {
  try {
    const [fleet, agents] = await Promise.all([source.fleet(), source.agents()]);
    return { kind: 'seen', fleet, agents, nowMs: clock.wallMs() };
  } catch (error) {
    return { kind: 'lost', reason: messageOf(error), nowMs: clock.wallMs() };
  }
}

async function request(source: TopSource, id: string, action: AgentAction, clock: Clock): Promise<TopEvent> {
  try {
    await source.act(id, action);
    return { kind: 'acted', id, action, nowMs: clock.wallMs() };
  } catch (error) {
    return { kind: 'refused', message: messageOf(error), nowMs: clock.wallMs() };
  }
}

/** Foreseen ones are written for people; of others the message is the best there is. */
function messageOf(error: unknown): string {
  if (AppError.is(error) || error instanceof Error) return error.message;
  return String(error);
}
