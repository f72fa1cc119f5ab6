/**
 * What comes of an action: a line for each agent when it is decided, and in a terminal one more below them that says
 * what is still waited for.
 */
import type { FleetAgent } from '../../contract/fleet/schemas.ts';
import { type Colors, colorsOf, paintState } from '../colors.ts';
import type { CommandContext } from '../command-context.ts';
import { formatMs } from '../format.ts';
import { quoted } from '../next-step.ts';
import { cutText, fitText, lineText, textWidth } from '../terminal-text.ts';
import { widthOf } from '../with-fleet.ts';
import { wrapWords } from '../wrap-words.ts';

export interface Result {
  /** The agent's id; of one that could not be added, its directory. */
  readonly label: string;
  readonly ok: boolean;
  readonly text: string;
  readonly agent?: FleetAgent;
  /** Undefined: nothing was waited for. */
  readonly tookMs?: number;
  readonly code?: string;
  /** Names of what was written down about it. */
  readonly incident?: string;
  readonly next?: string;
}

export interface Progress {
  waiting(agents: readonly FleetAgent[]): void;
  result(result: Result): void;
  close(): void;
}

const ID_COLUMNS_MAX = 32;
const INDENT = '    ';
const CLEAR_LINE = '\r\u001b[2K';

/** `labels`: of all results to come, so that columns line up. */
export function createProgress(
  action: string,
  labels: readonly string[],
  json: boolean,
  context: CommandContext,
): Progress {
  const { out, env } = context;
  if (json) {
    const line = (result: Result): unknown => out.write(`${JSON.stringify(toRecord(action, result))}\n`);
    return { waiting: () => {}, result: line, close: () => {} };
  }
  const colors = colorsOf(out, env);
  const isLive = out.isTTY === true && env.TERM !== 'dumb';
  const widths = labels.map((label) => textWidth(lineText(label)));
  const columns = Math.min(ID_COLUMNS_MAX, Math.max(0, ...widths));
  let live = '';
  const showLive = (text: string): void => {
    if (!isLive || text === live) return;
    live = text;
    out.write(`${CLEAR_LINE}${text}`);
  };
  return {
    waiting: (agents) => showLive(liveLine(agents, out.columns ?? 80, colors)),
    result(result) {
      showLive('');
      out.write(resultText(result, columns, { colors, width: widthOf(context) }));
    },
    close: () => showLive(''),
  };
}

function liveLine(agents: readonly FleetAgent[], width: number, colors: Colors): string {
  if (agents.length === 0) return '';
  const words = agents.map(({ id, state }) => `${lineText(id)} ${state}`).join(', ');
  const start = agents.length === 1 ? 'waiting: ' : `waiting for ${agents.length}: `;
  return colors.dim(cutText(start + words, width - 1));
}

interface Look {
  readonly colors: Colors;
  readonly width: number | undefined;
}

function resultText(
  { label, ok, text, agent, ...rest }: Result,
  columns: number,
  { colors, width }: Look,
): string {
  const took = rest.tookMs === undefined ? '' : ` (${formatMs(rest.tookMs)})`;
  const lines = text.split('\n').map((line, at) => lineText(line) + (at === 0 ? took : ''));
  if (rest.incident !== undefined) {
    lines.push(`incident: openagent-supervisor incidents show ${quoted(label)} ${rest.incident}`);
  }
  if (rest.next !== undefined) lines.push(`next: ${lineText(rest.next)}`);
  const name = columns < textWidth(lineText(label)) ? lineText(label) : fitText(lineText(label), columns);
  const start = `${ok ? '✓' : '✗'} ${name}  `;
  const [head = '', ...more] = lines.flatMap((line, at) =>
    wrapWords(at === 0 ? start + line : INDENT + line, width, INDENT),
  );
  const words = head.slice(start.length);
  const said =
    agent !== undefined && words.startsWith(agent.state)
      ? paintState(agent.state, agent.state, colors) + words.slice(agent.state.length)
      : words;
  const sign = (ok ? colors.green : colors.red)(start.slice(0, 1));
  return [`${sign}${start.slice(1)}${said}`, ...more, ''].join('\n');
}

function toRecord(action: string, { label, ok, text, agent, tookMs, ...rest }: Result): object {
  return {
    action,
    agent: agent?.id ?? label,
    ok,
    state: agent?.state,
    port: agent?.port ?? undefined,
    ...(ok ? { text } : { error: text }),
    ms: tookMs === undefined ? undefined : Math.round(tookMs),
    code: rest.code,
    incident: rest.incident,
    next: rest.next,
  };
}
