/**
 * All that `top` knows and shows, and how events change it: pure, so that every key can be tested without a terminal.
 * What has to be done besides (ask the fleet for something, end) is handed back as an effect.
 */
import type { Fleet, FleetAgent } from '../../contract/fleet/schemas.ts';
import type { AgentAction } from '../command-options.ts';
import { type ScreenSize, scrollTo, shareRows } from './layout.ts';
import { filterAgents, type Sort, sortAgents } from './order.ts';

export interface Notice {
  readonly tone: 'good' | 'bad' | 'plain';
  readonly text: string;
  readonly untilMs: number;
}

/** A line that is being typed, or a question that waits for its answer. */
export type Asking =
  | { readonly kind: 'filter'; readonly before: string }
  | { readonly kind: 'confirm'; readonly action: AgentAction; readonly id: string };

export interface TopState {
  readonly size: ScreenSize;
  readonly fleet: Fleet | undefined;
  /** As the fleet told last, in its order. */
  readonly agents: readonly FleetAgent[];
  readonly seenMs: number;
  readonly nowMs: number;
  /** Why nobody answers; undefined while somebody does. */
  readonly lost: string | undefined;
  readonly sort: Sort;
  readonly filter: string;
  /** Those that pass the filter, in the order of the table. */
  readonly shown: readonly FleetAgent[];
  readonly selected: string | undefined;
  /** The agent on the first line of the table, as an index of `shown`. */
  readonly first: number;
  readonly hasDetail: boolean;
  readonly page: 'agents' | 'help';
  /** The first line of the page that explains everything. */
  readonly helpFirst: number;
  readonly asking: Asking | undefined;
  readonly notice: Notice | undefined;
}

export type TopEvent =
  | {
      readonly kind: 'seen';
      readonly fleet: Fleet;
      readonly agents: readonly FleetAgent[];
      readonly nowMs: number;
    }
  | { readonly kind: 'lost'; readonly reason: string; readonly nowMs: number }
  | { readonly kind: 'resized'; readonly size: ScreenSize }
  /** The fleet took what was asked for, or said why not. */
  | { readonly kind: 'acted'; readonly id: string; readonly action: AgentAction; readonly nowMs: number }
  | { readonly kind: 'refused'; readonly message: string; readonly nowMs: number };

const NOTICE_MS = 6_000;

export function initialState(size: ScreenSize): TopState {
  return {
    size,
    ...{ fleet: undefined, agents: [], shown: [], seenMs: 0, nowMs: 0, lost: undefined },
    ...{ sort: { by: 'state', descending: false }, filter: '', selected: undefined, first: 0 },
    ...{ hasDetail: true, page: 'agents', helpFirst: 0, asking: undefined, notice: undefined },
  };
}

export function reduce(state: TopState, event: TopEvent): TopState {
  switch (event.kind) {
    case 'seen': {
      const { fleet, agents, nowMs } = event;
      const seen = { ...state, fleet, agents, nowMs, seenMs: nowMs, lost: undefined };
      return arrange(withoutOldNotice(noticeNewFleet(seen, state.fleet)));
    }
    case 'lost':
      return withoutOldNotice({ ...state, nowMs: event.nowMs, lost: event.reason });
    case 'resized':
      return bringIntoView({ ...state, size: event.size, helpFirst: 0 });
    case 'acted':
      return notify({ ...state, nowMs: event.nowMs }, 'good', ACTED[event.action](event.id));
    case 'refused':
      return notify({ ...state, nowMs: event.nowMs }, 'bad', event.message);
  }
}

/** Not what it is by now: that stands in its row, and changes there. */
const ACTED: Readonly<Record<AgentAction, (id: string) => string>> = {
  start: (id) => `asked ${id} to start`,
  stop: (id) => `asked ${id} to stop`,
  restart: (id) => `asked ${id} to restart`,
  release: (id) => `released ${id}`,
};

function noticeNewFleet(state: TopState, before: Fleet | undefined): TopState {
  if (before === undefined || before.pid === state.fleet?.pid) return state;
  return notify(state, 'plain', `a new fleet answers, process ${state.fleet?.pid}; it was ${before.pid}`);
}

export function notify(state: TopState, tone: Notice['tone'], text: string): TopState {
  return { ...state, notice: { tone, text, untilMs: state.nowMs + NOTICE_MS } };
}

function withoutOldNotice(state: TopState): TopState {
  return state.notice && state.notice.untilMs <= state.nowMs ? { ...state, notice: undefined } : state;
}

/** After a change of agents, order or filter. The selection stays with its agent, or its line if that one is gone. */
export function arrange(state: TopState): TopState {
  const shown = sortAgents(filterAgents(state.agents, state.filter), state.sort);
  const before = selectedIndex(state);
  const isThere = shown.some(({ id }) => id === state.selected);
  const selected = isThere ? state.selected : shown[Math.min(Math.max(0, before), shown.length - 1)]?.id;
  const { agents } = shareRows(state.size, state.agents.length, state.hasDetail);
  return { ...state, shown, selected, first: scrollTo(state.first, -1, agents, shown.length) };
}

export function selectedIndex({ shown, selected }: TopState): number {
  return shown.findIndex(({ id }) => id === selected);
}

export function selectedAgent(state: TopState): FleetAgent | undefined {
  return state.shown[selectedIndex(state)];
}

/** Only when the user moves or asks: a table that scrolls by itself under the eyes cannot be read. */
export function bringIntoView(state: TopState): TopState {
  const { agents } = shareRows(state.size, state.agents.length, state.hasDetail);
  return { ...state, first: scrollTo(state.first, selectedIndex(state), agents, state.shown.length) };
}
