/**
 * Text from outside (ids, messages, configuration) on its way into a cell of a terminal: nothing in it may move the
 * cursor, paint, or turn the line's direction, and every part of the program must agree on how many columns it takes.
 */
import { stripVTControlCharacters } from 'node:util';

export const ELLIPSIS = '\u{2026}';

/**
 * Invisible characters, among them those that join emoji or turn the direction: terminals disagree on the width of what
 * they join. Without them each character stands alone, and all terminals give it the same room.
 */
const INVISIBLE = /\p{Default_Ignorable_Code_Point}|\p{Cf}|\p{Emoji_Modifier}/gu;
const UNPRINTABLE = /[\p{Cc}\p{Co}\p{Cs}\p{Cn}\u{2028}\u{2029}]/gu;

/** One line, whatever it was; what cannot be shown stands as U+FFFD. */
export function lineText(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/[\t\r\n]+/g, ' ')
    .normalize('NFC')
    .replace(INVISIBLE, '')
    .replace(UNPRINTABLE, '\u{fffd}');
}

const ZERO_WIDTH = /^[\p{Mn}\p{Me}]$/u;
const EMOJI = /^\p{Emoji_Presentation}$/u;

/** As Unicode's East Asian Width says (W and F), by blocks. */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2e80, 0x303e],
  [0x3041, 0x33ff],
  [0x3400, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff00, 0xff60],
  [0xffe0, 0xffe6],
  [0x17000, 0x18cff],
  [0x1b000, 0x1b2ff],
  [0x20000, 0x3fffd],
];

function characterWidth(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x300) return 1;
  if (ZERO_WIDTH.test(character)) return 0;
  if (WIDE.some(([from, to]) => code >= from && code <= to)) return 2;
  return EMOJI.test(character) && !isFlagLetter(code) ? 2 : 1;
}

/** Two of them make a flag, which takes two columns like the letters do. */
function isFlagLetter(code: number): boolean {
  return code >= 0x1f1e6 && code <= 0x1f1ff;
}

/** Columns a terminal gives a text that `lineText` gave. */
export function textWidth(text: string): number {
  let width = 0;
  for (const character of text) width += characterWidth(character);
  return width;
}

/** Cut to at most so many columns, the last of them an ellipsis if anything is missing. */
export function cutText(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  if (columns <= 0) return '';
  let kept = '';
  let width = 0;
  for (const character of text) {
    width += characterWidth(character);
    if (width > columns - 1) break;
    kept += character;
  }
  return `${kept}${ELLIPSIS}`;
}

/** Exactly so many columns: cut or filled with spaces, on the left for figures. */
export function fitText(text: string, columns: number, align: 'left' | 'right' = 'left'): string {
  const cut = cutText(text, columns);
  const filling = ' '.repeat(Math.max(0, columns - textWidth(cut)));
  return align === 'left' ? `${cut}${filling}` : `${filling}${cut}`;
}

/** Lines of at most so many columns, broken between words where that is possible. */
export function wrapText(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  const room = Math.max(1, columns);
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (textWidth(longer) <= room) {
      line = longer;
      continue;
    }
    if (line !== '') lines.push(line);
    line = word;
    while (textWidth(line) > room) {
      const part = columnsOf(line, room);
      lines.push(part);
      line = line.slice(part.length);
    }
  }
  return [...lines, line];
}

/** The beginning of it that has room in so many columns; at least one character. */
function columnsOf(text: string, columns: number): string {
  let part = '';
  let width = 0;
  for (const character of text) {
    width += characterWidth(character);
    if (width > columns && part !== '') break;
    part += character;
  }
  return part;
}
