/**
 * The table of all agents, printed once they have settled; fits the terminal by wrapping and by leaving columns out.
 * Reasons stand below it: a column of what is left of the width would cut the paths they name into pieces.
 */
import Table from 'cli-table3';
import type { AgentStatus } from '../fleet.ts';
import { plainText, textWidth } from './plain-text.ts';
import { agentModel, agentUrl } from './report.ts';

interface Column {
  readonly head: string;
  readonly text: (status: AgentStatus) => string;
  /** A column may be narrowed down to this many characters; absent: never. */
  readonly narrowest?: number;
  /** Columns that are left out when narrowing is not enough; the highest number goes first. */
  readonly optional?: number;
}

const COLUMNS: readonly Column[] = [
  { head: 'id', text: (status) => status.id },
  { head: 'name', text: (status) => status.name ?? '', narrowest: 10, optional: 1 },
  { head: 'state', text: (status) => status.state },
  { head: 'url', text: (status) => agentUrl(status) ?? '' },
  { head: 'model', text: agentModel, narrowest: 14 },
  { head: 'transport', text: (status) => status.transport ?? '', optional: 2 },
  { head: 'isolation', text: (status) => status.isolation ?? '', optional: 3 },
];

const GAP = '  ';
const INDENT = '    ';

export function agentTable(
  agents: readonly AgentStatus[],
  width: number,
  paintState: (state: string) => string,
): string {
  const cells = (column: Column): string[] => agents.map((status) => plainText(column.text(status)));
  const fitted = fit(
    COLUMNS.map((column) => ({
      column,
      cells: cells(column),
      width: Math.max(textWidth(column.head), ...cells(column).map(textWidth)),
    })),
    width,
  );
  const table = new Table({
    head: fitted.map(({ column }) => column.head),
    colWidths: fitted.map(({ width: columnWidth }) => columnWidth),
    wordWrap: true,
    wrapOnWordBoundary: true,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    chars: NO_BORDERS,
  });
  for (const [row] of agents.entries()) {
    table.push(
      fitted.map(({ column, cells: texts }) => {
        const text = texts[row] ?? '';
        return column.head === 'state' ? paintState(text) : text;
      }),
    );
  }
  const rows = table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
  const notes = agents.flatMap((status) => noteLines(status, width));
  return [...rows, ...(notes.length > 0 ? ['', ...notes] : [])].join('\n');
}

interface Fitted {
  readonly column: Column;
  readonly cells: readonly string[];
  width: number;
}

/** Narrows the columns that may be, last first; leaves out optional ones when that is not enough. */
function fit(columns: readonly Fitted[], width: number): readonly Fitted[] {
  const total = (list: readonly Fitted[]): number =>
    list.reduce((sum, column) => sum + column.width, 0) + GAP.length * (list.length - 1);
  const narrowed = columns.map((column) => ({ ...column }));
  for (const column of [...narrowed].reverse()) {
    const excess = total(narrowed) - width;
    const narrowest = column.column.narrowest;
    if (excess <= 0 || narrowest === undefined) continue;
    column.width = Math.max(Math.min(narrowest, column.width), column.width - excess);
  }
  if (total(narrowed) <= width) return narrowed;
  const [leastNeeded] = columns
    .filter(({ column }) => column.optional !== undefined)
    .sort((a, b) => (b.column.optional ?? 0) - (a.column.optional ?? 0));
  if (leastNeeded === undefined) return narrowed;
  return fit(
    columns.filter((column) => column !== leastNeeded),
    width,
  );
}

/** Why an agent is not as one would expect; the first line only, the whole stood on its own line before. */
function noteLines({ id, reason }: AgentStatus, width: number): readonly string[] {
  const note = reason?.message.split('\n', 1)[0];
  return note ? wrapped(plainText(`${id}: ${note}`), width) : [];
}

/** Between words only: a path that is copied must be whole, whatever its length. */
function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && textWidth(`${line} ${word}`) > width) {
      lines.push(line);
      line = `${INDENT}${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: GAP,
} as const;
