/** All there is to know of the selected agent, in the lines there are: where it is, what it does, what is wrong. */
import type { FleetAgent } from '../../contract/fleet/schemas.ts';
import { formatBytes, formatDuration, formatMs } from '../format.ts';
import { ELLIPSIS, lineText, textWidth, wrapText } from '../terminal-text.ts';
import { styleOfState } from './state-look.ts';
import type { Line, Span, Style } from './style.ts';
import type { TopState } from './top-state.ts';

const LABEL_COLUMNS = 8;
const RULE = '\u{2500}';

export function detailPane(agent: FleetAgent | undefined, state: TopState, rows: number): readonly Line[] {
  const { columns } = state.size;
  if (agent === undefined) return fill([rule([], columns)], rows);
  const title: Line = [
    { text: lineText(agent.id), bold: true },
    ...(agent.name === null || agent.name === agent.id ? [] : [{ text: ` (${lineText(agent.name)})` }]),
    { text: ' ' },
    { text: stateText(agent), ...styleOfState(agent.state) },
  ];
  const lines = [
    ...labelled('at', place(agent), columns),
    ...labelled('work', work(agent), columns),
    ...problems(agent, state.nowMs).flatMap(([label, text, style]) => labelled(label, text, columns, style)),
    ...labelled('dir', agent.dir, columns),
  ];
  return fill([rule(title, columns), ...lines], rows);
}

function stateText({ state, restart_in_ms, silent_ms }: FleetAgent): string {
  if (state === 'backoff' && restart_in_ms !== null) return `backoff, starts in ${formatMs(restart_in_ms)}`;
  const isSilent = state === 'hung' || state === 'stalled';
  return isSilent && silent_ms !== null ? `${state}, silent for ${formatMs(silent_ms)}` : state;
}

function place({ host, port, transport, isolation, model }: FleetAgent): string {
  const address =
    port === null ? 'not listening' : `${host?.includes(':') ? `[${host}]` : (host ?? '')}:${port}`;
  const parts = [address, transport, isolation, model === null ? null : `model ${model}`];
  return parts.filter((part) => part !== null).join('  ');
}

function work({ turns, sockets, children, hangs, incarnation, external_bytes }: FleetAgent): string {
  const counts = [
    ...(turns === null ? [] : [`${turns.running} running, ${turns.waiting} waiting`]),
    ...(turns === null ? [] : [`${turns.done} done, ${turns.failed} failed`]),
    ...(sockets ? [plural(sockets, 'socket')] : []),
    ...(children === 0 ? [] : [plural(children, 'program')]),
    ...(external_bytes === null ? [] : [`${formatBytes(external_bytes)} external`]),
    ...(hangs === 0 ? [] : [plural(hangs, 'hang')]),
  ];
  if (incarnation > 0) counts.push(incarnation === 1 ? 'started once' : `started ${incarnation} times`);
  return counts.join(', ');
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

type Problem = readonly [label: string, text: string, style: Style];

function problems({ reason, config, last_error }: FleetAgent, nowMs: number): readonly Problem[] {
  const ago = (atSeconds: number): string => formatDuration(Math.max(0, nowMs / 1000 - atSeconds));
  const found: Problem[] = [];
  if (reason !== null) found.push(['reason', `${reason.code}: ${reason.message}`, { color: 'red' }]);
  if (config.problem !== null) {
    const when = config.changed_at === null ? 'refused' : `refused ${ago(config.changed_at)} ago`;
    found.push(['config', `${when}: ${config.problem.message}`, { color: 'yellow' }]);
  } else if (config.state === 'restarting') {
    found.push(['config', 'changed: restarting with it', { color: 'cyan' }]);
  }
  if (last_error !== null && last_error.message !== reason?.message) {
    found.push(['error', `${ago(last_error.at)} ago, ${last_error.code}: ${last_error.message}`, {}]);
  }
  return found;
}

/** The label stands before the first line alone. */
function labelled(label: string, text: string, columns: number, style: Style = {}): readonly Line[] {
  if (text === '') return [];
  const room = Math.max(10, columns - LABEL_COLUMNS);
  return wrapText(lineText(text), room).map((line, at): Line => {
    const before: Span = { text: (at === 0 ? label : '').padEnd(LABEL_COLUMNS), dim: true };
    return [before, { text: line, ...style }];
  });
}

function rule(title: Line, columns: number): Line {
  const used = title.reduce((sum, { text }) => sum + textWidth(text), 0);
  const start: Span = { text: RULE.repeat(2), dim: true };
  if (title.length === 0) return [{ text: RULE.repeat(columns), dim: true }];
  const rest = Math.max(0, columns - used - 4);
  return [start, { text: ' ' }, ...title, { text: ' ' }, { text: RULE.repeat(rest), dim: true }];
}

/** Exactly so many lines; what is missing is said by an ellipsis. */
function fill(lines: readonly Line[], rows: number): readonly Line[] {
  if (lines.length <= rows) return [...lines, ...Array.from({ length: rows - lines.length }, (): Line => [])];
  const kept = lines.slice(0, rows);
  return [...kept.slice(0, -1), [...(kept.at(-1) ?? []), { text: ELLIPSIS }]];
}
