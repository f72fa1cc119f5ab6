/**
 * Writes lines on the screen: only those that changed, each at its place, all in one go. Clearing the screen and writing
 * it anew flickers; counting on where the cursor was left breaks with another window size.
 */
import type { ScreenSize } from './layout.ts';
import { type Line, lineWidth, type Span } from './style.ts';

export interface Painter {
  /** `isNew`: nothing that stands there can be relied on. */
  paint(lines: readonly Line[], size: ScreenSize, isNew?: boolean): void;
}

/** Terminals that know them show what comes between at once. */
const BEGIN = '\x1b[?2026h';
const END = '\x1b[?2026l';
const CLEAR = '\x1b[2J';
const ERASE_REST = '\x1b[K';
const RESET = '\x1b[0m';

const COLOR_CODES = { red: 31, green: 32, yellow: 33, magenta: 35, cyan: 36 } as const;

export function createPainter(write: (text: string) => unknown, hasColors: boolean): Painter {
  let painted: readonly string[] = [];
  let paintedColumns = 0;

  return {
    paint(lines, size, isNew = false) {
      const next = Array.from({ length: size.rows }, (_, at) => lineAnsi(lines[at] ?? [], size.columns));
      const isOther = isNew || next.length !== painted.length || size.columns !== paintedColumns;
      const changed = next.flatMap((text, at) =>
        isOther || text !== painted[at] ? `\x1b[${at + 1};1H${text}` : [],
      );
      painted = next;
      paintedColumns = size.columns;
      if (changed.length > 0) write(BEGIN + (isOther ? CLEAR : '') + changed.join('') + END);
    },
  };

  /** A full line leaves the cursor on its last character: erasing from there would take that away. */
  function lineAnsi(line: Line, columns: number): string {
    const text = line.map((span) => spanAnsi(span, hasColors)).join('');
    return lineWidth(line) >= columns ? text : text + ERASE_REST;
  }
}

/** Without colours the rest stays: it is not by colour alone that the selected line is found. */
function spanAnsi({ text, color, bold, dim, underline, inverse }: Span, hasColors: boolean): string {
  const codes = [
    ...(bold ? [1] : []),
    ...(dim ? [2] : []),
    ...(underline ? [4] : []),
    ...(inverse ? [7] : []),
    ...(color && hasColors ? [COLOR_CODES[color]] : []),
  ];
  return codes.length === 0 || text === '' ? text : `\x1b[${codes.join(';')}m${text}${RESET}`;
}
