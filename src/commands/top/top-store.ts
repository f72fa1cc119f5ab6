/** Holds the state, tells the screen when it changed, and carries out what keys ask for. */
import type { AgentAction } from '../command-options.ts';
import type { ScreenSize } from './layout.ts';
import { type Effect, pressKey } from './press-key.ts';
import { initialState, reduce, type TopEvent, type TopState } from './top-state.ts';

export interface TopStore {
  state(): TopState;
  tell(event: TopEvent): void;
  press(key: string): void;
}

export interface Effects {
  readonly changed: () => void;
  readonly act: (id: string, action: AgentAction) => void;
  readonly repaint: () => void;
  readonly suspend: () => void;
  readonly quit: () => void;
}

export function createTopStore(size: ScreenSize, effects: Effects): TopStore {
  let state = initialState(size);
  const change = (next: TopState): void => {
    if (next === state) return;
    state = next;
    effects.changed();
  };
  const carryOut = (effect: Effect): void => {
    if (effect.kind === 'act') effects.act(effect.id, effect.action);
    else effects[effect.kind]();
  };
  return {
    state: () => state,
    tell: (event) => change(reduce(state, event)),
    press(key) {
      const pressed = pressKey(state, key);
      change(pressed.state);
      if (pressed.effect) carryOut(pressed.effect);
    },
  };
}
