/** What a line of the screen is made of: pieces of text, each with how it looks. */
import { cutText, textWidth } from '../terminal-text.ts';

export type Color = 'green' | 'yellow' | 'red' | 'cyan' | 'magenta';

export interface Style {
  readonly color?: Color | undefined;
  readonly bold?: boolean;
  readonly dim?: boolean;
  readonly underline?: boolean;
  readonly inverse?: boolean;
}

export interface Span extends Style {
  readonly text: string;
}

export type Line = readonly Span[];

export function lineWidth(line: Line): number {
  return line.reduce((width, { text }) => width + textWidth(text), 0);
}

/** Cut to so many columns. A longer line would be broken by the terminal, and everything below it would be one off. */
export function cutLine(line: Line, columns: number): Line {
  if (lineWidth(line) <= columns) return line;
  const cut: Span[] = [];
  let left = columns;
  for (const span of line) {
    const text = cutText(span.text, left);
    cut.push({ ...span, text });
    left -= textWidth(text);
    if (text !== span.text || left <= 0) break;
  }
  return cut;
}

/** `left` gives way where both have no room. */
export function spread(left: Line, right: Line, columns: number): Line {
  const room = columns - lineWidth(right);
  if (lineWidth(right) === 0 || room < 10) return cutLine(left, columns);
  const shown = cutLine(left, room - 2);
  return [...shown, { text: ' '.repeat(room - lineWidth(shown)) }, ...right];
}
