/** What each key does. `docs/top.md` and the page behind `?` explain them to people. */
import type { AgentAction } from '../command-options.ts';
import { sortKeyOf } from './columns.ts';
import { shareRows } from './layout.ts';
import { nextSort } from './order.ts';
import { arrange, bringIntoView, notify, selectedAgent, selectedIndex, type TopState } from './top-state.ts';

/** What cannot be done by changing what is shown. */
export type Effect =
  | { readonly kind: 'act'; readonly action: AgentAction; readonly id: string }
  | { readonly kind: 'repaint' }
  | { readonly kind: 'suspend' }
  | { readonly kind: 'quit' };

export interface Pressed {
  readonly state: TopState;
  readonly effect?: Effect;
}

const FILTER_CHARS_MAX = 100;

/** `key`: a character, or the name of a key that has none (see `keys.ts`). */
export function pressKey(state: TopState, key: string): Pressed {
  if (key === 'ctrl-c') return { state, effect: { kind: 'quit' } };
  if (key === 'ctrl-z') return { state, effect: { kind: 'suspend' } };
  if (key === 'ctrl-l') return { state, effect: { kind: 'repaint' } };
  if (state.asking?.kind === 'filter') return { state: editFilter(state, state.asking.before, key) };
  if (state.asking?.kind === 'confirm') return answer(state, state.asking, key);
  const { notice: _, ...rest } = state;
  const told: TopState = { ...rest, notice: undefined };
  if (key === 'q') return { state: told, effect: { kind: 'quit' } };
  return told.page === 'help' ? { state: turnHelp(told, key) } : pressInTable(told, key);
}

function pressInTable(state: TopState, key: string): Pressed {
  const moved = move(state, key);
  if (moved !== undefined) return { state: moved };
  const sortKey = sortKeyOf(key);
  if (sortKey !== undefined) {
    // Who sorts wants to see what comes first, and to act on it.
    const sorted = arrange({ ...state, sort: nextSort(state.sort, sortKey), first: 0 });
    return { state: { ...sorted, selected: sorted.shown[0]?.id } };
  }
  switch (key) {
    case '?':
      return { state: { ...state, page: 'help', helpFirst: 0 } };
    case '/':
      return { state: { ...state, asking: { kind: 'filter', before: state.filter } } };
    case 'escape':
      return { state: bringIntoView(arrange({ ...state, filter: '' })) };
    case 'enter':
      return { state: bringIntoView({ ...state, hasDetail: !state.hasDetail }) };
    case 'r':
      return ask(state, 'restart');
    case 's':
      return ask(state, selectedAgent(state)?.state === 'stopped' ? 'start' : 'stop');
    case 'R':
      return ask(state, 'release');
    default:
      return { state };
  }
}

function move(state: TopState, key: string): TopState | undefined {
  const page = Math.max(1, shareRows(state.size, state.agents.length, state.hasDetail).agents - 1);
  const steps: Readonly<Record<string, number>> = {
    ...{ up: -1, k: -1, down: 1, j: 1, pageup: -page, 'ctrl-b': -page, pagedown: page, 'ctrl-f': page },
    ...{ home: -state.shown.length, g: -state.shown.length, end: state.shown.length, G: state.shown.length },
  };
  const step = steps[key];
  if (step === undefined) return undefined;
  const at = Math.min(Math.max(0, selectedIndex(state) + step), state.shown.length - 1);
  return bringIntoView({ ...state, selected: state.shown[at]?.id });
}

/** Stopping takes an agent away from its users: that is asked first. */
function ask(state: TopState, action: AgentAction): Pressed {
  const id = selectedAgent(state)?.id;
  if (id === undefined) return { state: notify(state, 'plain', 'no agent is selected') };
  if (state.lost !== undefined) return { state: notify(state, 'bad', 'no fleet answers: nobody to ask') };
  if (action === 'stop') return { state: { ...state, asking: { kind: 'confirm', action, id } } };
  return { state, effect: { kind: 'act', action, id } };
}

function answer(
  state: TopState,
  { action, id }: { readonly action: AgentAction; readonly id: string },
  key: string,
): Pressed {
  const answered: TopState = { ...state, asking: undefined };
  if (key === 'y' || key === 'Y') return { state: answered, effect: { kind: 'act', action, id } };
  return { state: notify(answered, 'plain', `${id} stays as it is`) };
}

function editFilter(state: TopState, before: string, key: string): TopState {
  switch (key) {
    case 'enter':
      return bringIntoView({ ...state, asking: undefined });
    case 'escape':
      return bringIntoView(arrange({ ...state, asking: undefined, filter: before }));
    case 'backspace':
      return arrange({ ...state, filter: [...state.filter].slice(0, -1).join('') });
    case 'ctrl-u':
      return arrange({ ...state, filter: '' });
    default:
      // Names of keys are longer than a character.
      if ([...key].length !== 1) return move(state, key) ?? state;
      if (state.filter.length >= FILTER_CHARS_MAX) return state;
      return arrange({ ...state, filter: state.filter + key, first: 0 });
  }
}

function turnHelp(state: TopState, key: string): TopState {
  const page = Math.max(1, state.size.rows - 2);
  switch (key) {
    case 'up':
    case 'k':
      return { ...state, helpFirst: Math.max(0, state.helpFirst - 1) };
    case 'pageup':
      return { ...state, helpFirst: Math.max(0, state.helpFirst - page) };
    case 'down':
    case 'j':
      return { ...state, helpFirst: state.helpFirst + 1 };
    case 'pagedown':
      return { ...state, helpFirst: state.helpFirst + page };
    default:
      return { ...state, page: 'agents' };
  }
}
