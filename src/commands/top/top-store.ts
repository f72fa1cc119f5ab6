/** Holds the state, tells the screen when it changed, and carries out what keys ask for. */
import type { AgentAction } from '../command-options.ts';
import type { ScreenSize } from './layout.ts';
import { type Effect, pressKey } from './press-key.ts';
import { initialState, reduce, type TopEvent, type TopState } from './top-state.ts';

export interface TopStore {
  state(): TopState;
  subscribe(listener: () => void): () => void;
  tell(event: TopEvent): void;
  press(keys: readonly string[]): void;
}

export interface Effects {
  readonly act: (id: string, action: AgentAction) => void;
  readonly repaint: () => void;
  readonly suspend: () => void;
  readonly quit: () => void;
}

export function createTopStore(size: ScreenSize, effects: Effects): TopStore {
  let state = initialState(size);
  const listeners = new Set<() => void>();
  const change = (next: TopState): void => {
    if (next === state) return;
    state = next;
    for (const listener of listeners) listener();
  };
  const carryOut = (effect: Effect): void => {
    if (effect.kind === 'act') effects.act(effect.id, effect.action);
    else effects[effect.kind]();
  };
  return {
    state: () => state,
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    tell: (event) => change(reduce(state, event)),
    press(keys) {
      let next = state;
      const wanted: Effect[] = [];
      for (const key of keys) {
        const pressed = pressKey(next, key);
        next = pressed.state;
        if (pressed.effect) wanted.push(pressed.effect);
      }
      change(next);
      for (const effect of wanted) carryOut(effect);
    },
  };
}
