/** Which columns have room side by side and how wide each is, and how the screen's lines are shared out. */
import type { FleetAgent } from '../../contract/fleet/schemas.ts';
import { lineText, textWidth } from '../terminal-text.ts';
import { COLUMNS, type Column } from './columns.ts';

export const MARKER_COLUMNS = 2;
export const GAP_COLUMNS = 2;
/** An id that is longer is always cut; the pane has it whole. */
const ID_COLUMNS_MAX = 32;
/** Ids are cut to this for the sake of columns of at least that rank; others are left out before. */
const ID_COLUMNS_LEAST = 15;
const RANK_ABOVE_ID = 70;

export interface PlacedColumn {
  readonly column: Column;
  readonly width: number;
}

export function placeColumns(agents: readonly FleetAgent[], columns: number): readonly PlacedColumn[] {
  // Its head, with the arrow of the column that sorts.
  const idWidth = Math.max(3, ...agents.map(({ id }) => textWidth(lineText(id))));
  let placed = COLUMNS.map((column) => ({
    column,
    width: column.name === 'id' ? Math.min(column.width, idWidth) : column.width,
  }));
  const room = (): number => columns - tableWidth(placed);
  while (room() < 0 && placed.length > 1) {
    const [least] = [...placed].sort((one, other) => one.column.rank - other.column.rank);
    const spare = widthOf(placed, 'id') - ID_COLUMNS_LEAST;
    if (spare > 0 && least !== undefined && least.column.rank >= RANK_ABOVE_ID) {
      placed = widen(placed, 'id', -Math.min(spare, -room()));
    } else placed = placed.filter((each) => each !== least);
  }
  placed = widen(placed, 'id', Math.min(room(), Math.min(idWidth, ID_COLUMNS_MAX) - widthOf(placed, 'id')));
  return widen(placed, 'problem', room());
}

type Placed = { readonly column: Column; readonly width: number }[];

function tableWidth(placed: Placed): number {
  const widths = placed.reduce((sum, { width }) => sum + width, 0);
  return MARKER_COLUMNS + widths + GAP_COLUMNS * (placed.length - 1);
}

function widthOf(placed: Placed, name: string): number {
  return placed.find(({ column }) => column.name === name)?.width ?? 0;
}

/** By a negative number as well: where even the id alone has no room. */
function widen(placed: Placed, name: string, by: number): Placed {
  return placed.map(({ column, width }) => ({
    column,
    width: column.name === name ? Math.max(1, width + by) : width,
  }));
}

export interface ScreenSize {
  readonly columns: number;
  readonly rows: number;
}

export interface Areas {
  /** Lines of agents. */
  readonly agents: number;
  /** Lines of the pane below them, with its title; 0: there is none. */
  readonly detail: number;
}

/** Title, counts, head of the table, and the line that explains the keys. */
const FIXED_ROWS = 4;
const DETAIL_ROWS_MIN = 6;
const AGENT_ROWS_MIN = 3;

/** The pane gets a quarter, and what the agents leave; it is left out where hardly any agents had room beside it. */
export function shareRows({ rows }: ScreenSize, agents: number, hasDetail: boolean): Areas {
  const free = Math.max(0, rows - FIXED_ROWS);
  const wanted = Math.max(DETAIL_ROWS_MIN, Math.floor(rows / 4), free - agents);
  const detail = Math.min(wanted, free - Math.min(AGENT_ROWS_MIN, Math.max(1, agents)));
  if (!hasDetail || detail < DETAIL_ROWS_MIN) return { agents: free, detail: 0 };
  return { agents: free - detail, detail };
}

/** The first line to show, so that `selected` is among the `shown` ones and no line stays empty without need. */
export function scrollTo(first: number, selected: number, shown: number, total: number): number {
  const last = Math.max(0, total - shown);
  const down = selected < 0 ? first : Math.max(first, selected - shown + 1);
  const up = selected < 0 ? down : Math.min(down, selected);
  return Math.max(0, Math.min(up, last));
}
