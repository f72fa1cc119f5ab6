/** The main page as lines: title, counts, table, details of the selected agent, and what the keys do. */
import type { FleetAgent } from '../../contract/fleet/schemas.ts';
import { formatBytes, formatDuration, formatPercent } from '../format.ts';
import { fitText, lineText, wrapText } from '../terminal-text.ts';
import { type Column, isSortKey, SORTINGS } from './columns.ts';
import { detailPane } from './detail-pane.ts';
import { GAP_COLUMNS, MARKER_COLUMNS, type PlacedColumn, placeColumns, shareRows } from './layout.ts';
import type { Sort } from './order.ts';
import { STATES_WORST_FIRST, styleOfState } from './state-look.ts';
import { cutLine, type Line, type Span, type Style, spread } from './style.ts';
import { selectedAgent, type TopState } from './top-state.ts';

const GAP = ' '.repeat(GAP_COLUMNS);

export function agentsPage(state: TopState): readonly Line[] {
  const { columns } = state.size;
  const areas = shareRows(state.size, state.agents.length, state.hasDetail);
  const placed = placeColumns(state.agents, columns);
  const rows = state.shown
    .slice(state.first, state.first + areas.agents)
    .map((agent) => agentRow(agent, placed, state));
  const none = rows.length === 0 ? [emptyRow(state)] : [];
  const table = [...rows, ...none].slice(0, areas.agents);
  const blank = Array.from({ length: Math.max(0, areas.agents - table.length) }, (): Line => []);
  const body = [
    titleLine(state),
    countsLine(state, areas.agents),
    headRow(placed, state.sort),
    ...table,
    ...blank,
    ...(areas.detail > 0 ? detailPane(selectedAgent(state), state, areas.detail) : []),
  ];
  const below = footer(state);
  const above = body.slice(0, Math.max(0, state.size.rows - below.length));
  return [...above, ...below].map((line) => cutLine(line, columns));
}

export function titleLine({ fleet, agents, lost, nowMs, seenMs, size }: TopState): Line {
  if (lost !== undefined) {
    const since = formatDuration(Math.max(0, nowMs - seenMs) / 1000);
    const text = `no answer for ${since}, trying again: ${lineText(lost)}`;
    return [{ text: fitText(text, size.columns), color: 'red', inverse: true }];
  }
  if (fleet === undefined) return [{ text: 'openagent-supervisor', bold: true }];
  const upSeconds = Math.max(0, nowMs / 1000 - fleet.started_at);
  const left: Line = [
    { text: 'openagent-supervisor', bold: true },
    { text: ` ${lineText(fleet.version)}  pid ${fleet.pid}  up ${formatDuration(upSeconds)}` },
  ];
  const total = (value: (agent: FleetAgent) => number | null): number =>
    agents.reduce((sum, agent) => sum + (value(agent) ?? 0), 0);
  const cpu = formatPercent(total(({ cpu_percent }) => cpu_percent));
  const heap = formatBytes(total(({ heap_bytes }) => heap_bytes));
  return spread(left, [{ text: `cpu ${cpu}%  heap ${heap}` }], size.columns);
}

function countsLine(state: TopState, rows: number): Line {
  const { agents, shown, filter, first, size } = state;
  const counts = STATES_WORST_FIRST.flatMap((name): Span[] => {
    const count = agents.filter((agent) => agent.state === name).length;
    return count === 0 ? [] : [{ text: GAP }, { text: `${count} ${name}`, ...styleOfState(name) }];
  });
  const left: Line = [{ text: `${agents.length} ${agents.length === 1 ? 'agent' : 'agents'}` }, ...counts];
  const right: Span[] = [];
  if (filter !== '') right.push({ text: `${shown.length} match "${lineText(filter)}"`, color: 'yellow' });
  if (shown.length > rows && rows > 0) {
    const last = Math.min(shown.length, first + rows);
    right.push({ text: `${right.length > 0 ? GAP : ''}${first + 1}-${last} of ${shown.length}`, dim: true });
  }
  return spread(left, right, size.columns);
}

function headRow(placed: readonly PlacedColumn[], sort: Sort): Line {
  const cells = placed.flatMap(({ column, width }, at) => {
    if (at === 0) return headCell(column, width, sort);
    // The arrow before a head on the right may stand in the gap.
    if (column.align === 'right') return headCell(column, width + GAP_COLUMNS, sort);
    return [{ text: GAP }, ...headCell(column, width, sort)];
  });
  return [{ text: ' '.repeat(MARKER_COLUMNS) }, ...cells];
}

/** The arrow says whether the table goes down or up from its first line; the letter that sorts is underlined. */
function headCell({ name, head, align }: Column, width: number, { by, descending }: Sort): readonly Span[] {
  const style: Style = by === name ? { bold: true, color: 'cyan' } : { bold: true };
  if (!isSortKey(name)) return [{ text: fitText(head, width, align), ...style }];
  const arrow = by === name ? (descending ? '\u{25bc}' : '\u{25b2}') : '';
  const whole = fitText(align === 'left' ? head + arrow : arrow + head, width, align);
  const at = whole.toLowerCase().indexOf(SORTINGS[name].key);
  if (at < 0) return [{ text: whole, ...style }];
  return [
    { text: whole.slice(0, at), ...style },
    { text: whole.charAt(at), ...style, underline: true },
    { text: whole.slice(at + 1), ...style },
  ].filter(({ text }) => text !== '');
}

function agentRow(agent: FleetAgent, placed: readonly PlacedColumn[], state: TopState): Line {
  const isSelected = agent.id === state.selected;
  const line: Span[] = [{ text: isSelected ? '> ' : '  ' }];
  for (const [at, { column, width }] of placed.entries()) {
    const text = fitText(column.text(agent), width, column.align);
    line.push({ text: at > 0 ? GAP : '' }, { text, ...column.style?.(agent) });
  }
  if (isSelected)
    return [{ text: fitText(line.map(({ text }) => text).join(''), state.size.columns), inverse: true }];
  // What is shown is no longer so.
  return merge(state.lost === undefined ? line : line.map(({ text }) => ({ text, dim: true })));
}

/** Neighbours that look the same become one: fewer pieces to lay out each second. */
function merge(line: readonly Span[]): Line {
  const merged: Span[] = [];
  for (const span of line) {
    const last = merged.at(-1);
    const { text, ...style } = span;
    const { text: before, ...lastStyle } = last ?? { text: '' };
    if (last !== undefined && (text.trim() === '' || JSON.stringify(style) === JSON.stringify(lastStyle))) {
      merged[merged.length - 1] = { ...lastStyle, text: before + text };
    } else merged.push(span);
  }
  return merged;
}

function emptyRow({ agents, filter, fleet }: TopState): Line {
  if (fleet === undefined) return [{ text: '  asking the fleet', dim: true }];
  if (agents.length === 0) return [{ text: '  no agents', dim: true }];
  return [{ text: `  no agent matches "${lineText(filter)}"; Esc shows all`, dim: true }];
}

const TONES = { good: 'green', bad: 'red', plain: undefined } as const;

/** Lines a message may take; it covers what stands above. */
const NOTICE_ROWS_MAX = 4;

function footer(state: TopState): readonly Line[] {
  const { asking, notice, size } = state;
  if (asking !== undefined) return [asking.kind === 'filter' ? filterLine(state) : questionLine(asking.id)];
  if (notice === undefined) return [hintsLine(state)];
  return wrapText(lineText(notice.text), size.columns)
    .slice(0, NOTICE_ROWS_MAX)
    .map((text): Line => [{ text, color: TONES[notice.tone] }]);
}

function filterLine({ filter }: TopState): Line {
  return [
    { text: 'filter: ', bold: true },
    { text: lineText(filter) },
    { text: ' ', inverse: true },
    { text: '  Enter keeps it, Esc takes it back', dim: true },
  ];
}

function questionLine(id: string): Line {
  return [
    { text: `Stop ${lineText(id)}?`, bold: true, color: 'yellow' },
    { text: ' y/n ', bold: true },
    { text: ' running turns may end first', dim: true },
  ];
}

function hintsLine(state: TopState): Line {
  const isStopped = selectedAgent(state)?.state === 'stopped';
  return keyHints([
    ['\u{2191}\u{2193}', 'select'],
    ['r', 'restart'],
    ['s', isStopped ? 'start' : 'stop'],
    ['R', 'release'],
    ['/', 'filter'],
    ['Enter', state.hasDetail ? 'less' : 'more'],
    ['?', 'help'],
    ['q', 'quit'],
  ]);
}

export function keyHints(hints: readonly (readonly [key: string, what: string])[]): Line {
  return hints.flatMap(([key, what], at): Span[] => [
    { text: `${at > 0 ? GAP : ''}${key}`, bold: true, color: 'cyan' },
    { text: ` ${what}`, dim: true },
  ]);
}
