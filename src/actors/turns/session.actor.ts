/**
 * One conversation: one turn runs, the others wait in order of acceptance. The actor lives as long as its session is in
 * use; turns are events to it, not actors of their own.
 */
import { type ActorRefFrom, fromTransition } from 'xstate';
import type { Turn } from './turn.ts';

export interface SessionState {
  readonly running: Turn | undefined;
  readonly waiting: readonly Turn[];
}

export type SessionEvent =
  | { readonly type: 'turn.accepted'; readonly turn: Turn }
  | { readonly type: 'turn.ended'; readonly turn: Turn }
  | { readonly type: 'turn.withdrawn'; readonly turn: Turn };

export interface SessionEffects {
  /** False while the agent drains: turns are kept, none begins. */
  mayStart(): boolean;
  /** Must not throw, and must not end the turn before it returns. */
  start(turn: Turn): void;
  /** The turn has to wait; `position` counts what is ahead of it, the running turn included, and is at least 1. */
  announceWait(turn: Turn, position: number): void;
}

const EMPTY: SessionState = { running: undefined, waiting: [] };

export function createSessionLogic(effects: SessionEffects) {
  function begin(turn: Turn, waiting: readonly Turn[]): SessionState {
    effects.start(turn);
    return { running: turn, waiting };
  }

  return fromTransition<SessionState, SessionEvent, never, undefined>((state, event) => {
    switch (event.type) {
      case 'turn.accepted': {
        if (!state.running && state.waiting.length === 0 && effects.mayStart()) return begin(event.turn, []);
        const ahead = state.waiting.length + (state.running ? 1 : 0);
        effects.announceWait(event.turn, Math.max(1, ahead));
        return { running: state.running, waiting: [...state.waiting, event.turn] };
      }
      case 'turn.ended': {
        if (state.running !== event.turn) return state;
        const [next, ...rest] = state.waiting;
        if (next && effects.mayStart()) return begin(next, rest);
        return state.waiting.length === 0 ? EMPTY : { running: undefined, waiting: state.waiting };
      }
      case 'turn.withdrawn':
        return { running: state.running, waiting: state.waiting.filter((turn) => turn !== event.turn) };
    }
  }, EMPTY);
}

export type SessionActor = ActorRefFrom<ReturnType<typeof createSessionLogic>>;
