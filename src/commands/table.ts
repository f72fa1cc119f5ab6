/**
 * A table of one line a row that fits the terminal: columns that may be are cut, and those that are needed least are
 * left out. Without a width everything stands there whole.
 */
import { fitText, lineText, textWidth } from './terminal-text.ts';

export interface TableColumn<Row> {
  readonly head: string;
  readonly align?: 'right';
  readonly text: (row: Row) => string;
  readonly paint?: (text: string, row: Row) => string;
  /** It may be cut to this many characters; absent: never. */
  readonly narrowest?: number;
  /** It may be left out; the greatest goes first. */
  readonly optional?: number;
  /** It is left out where it would be empty. */
  readonly onlyIfAny?: true;
}

export interface Table<Row> {
  readonly head: string;
  readonly lines: readonly string[];
  /** Not everything of this row is to be seen. */
  readonly isCut: (row: Row) => boolean;
}

interface Placed<Row> {
  readonly column: TableColumn<Row>;
  readonly cells: readonly string[];
  readonly natural: number;
  width: number;
}

const GAP = '  ';
/** At the very least: where not even the columns that are always there have room. */
const CELL_COLUMNS_MIN = 4;

export function layTable<Row>(
  columns: readonly TableColumn<Row>[],
  rows: readonly Row[],
  width: number | undefined,
): Table<Row> {
  const all = columns.map((column) => place(column, rows)).filter(isWanted);
  const placed = width === undefined ? all : fit(all, width);
  const cut = new Set<Row>();
  for (const [at, row] of rows.entries()) {
    if (placed.some((each) => textWidth(each.cells[at] ?? '') > each.width)) cut.add(row);
  }
  const left = all.filter((each) => !placed.includes(each) && each.column.onlyIfAny === true);
  for (const [at, row] of rows.entries()) if (left.some((each) => each.cells[at] !== '')) cut.add(row);
  return {
    head: line(placed, (each) => each.column.head),
    lines: rows.map((row, at) =>
      line(
        placed,
        (each) => each.cells[at] ?? '',
        (text, each) => each.column.paint?.(text, row) ?? text,
      ),
    ),
    isCut: (row) => cut.has(row),
  };
}

function place<Row>(column: TableColumn<Row>, rows: readonly Row[]): Placed<Row> {
  const cells = rows.map((row) => lineText(column.text(row)));
  const natural = Math.max(textWidth(column.head), ...cells.map(textWidth));
  return { column, cells, natural, width: natural };
}

function isWanted<Row>({ column, cells }: Placed<Row>): boolean {
  return column.onlyIfAny !== true || cells.some((cell) => cell !== '');
}

function fit<Row>(placed: readonly Placed<Row>[], width: number): readonly Placed<Row>[] {
  const least = ({ natural, column }: Placed<Row>): number => Math.min(natural, column.narrowest ?? natural);
  const gaps = GAP.length * (placed.length - 1);
  let free = width - gaps - placed.reduce((sum, each) => sum + least(each), 0);
  if (free < 0) {
    const rank = ({ column }: Placed<Row>): number => column.optional ?? Number.NEGATIVE_INFINITY;
    const most = Math.max(...placed.map(rank));
    if (Number.isFinite(most))
      return fit(
        placed.filter((each) => rank(each) !== most),
        width,
      );
  }
  for (const each of placed) {
    const wanted = Math.max(0, Math.min(each.natural - least(each), free));
    each.width = least(each) + wanted;
    free -= wanted;
  }
  if (free < 0) squeeze(placed, -free);
  return placed;
}

/** No column is left that could go: the widest ones are cut, as far as it takes. */
function squeeze<Row>(placed: readonly Placed<Row>[], excess: number): void {
  let left = excess;
  for (const each of [...placed].sort((a, b) => b.width - a.width)) {
    const taken = Math.max(0, Math.min(left, each.width - CELL_COLUMNS_MIN));
    each.width -= taken;
    left -= taken;
  }
}

/** Filled up first and painted then: colours have no width. The last column needs no filling. */
function line<Row>(
  placed: readonly Placed<Row>[],
  textOf: (each: Placed<Row>) => string,
  paint: (text: string, each: Placed<Row>) => string = (text) => text,
): string {
  const cells = placed.map((each, at) => {
    const fitted = fitText(textOf(each), each.width, each.column.align);
    const text = at === placed.length - 1 ? fitted.trimEnd() : fitted;
    const bare = text.trim();
    return bare === '' ? text : text.replace(bare, () => paint(bare, each));
  });
  return cells.join(GAP).trimEnd();
}
