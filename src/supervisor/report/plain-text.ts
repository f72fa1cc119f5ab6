/**
 * Text from outside (directory names, configuration, agents' output) on its way to a terminal: without escape sequences
 * and control characters, which could repaint the screen or forge another agent's line.
 */
import { stripVTControlCharacters } from 'node:util';

export function plainText(text: string): string {
  return stripVTControlCharacters(text).replace(/(?!\t)\p{Cc}/gu, '\u{fffd}');
}

/** Columns a terminal gives the text: East Asian wide characters and emoji take two. */
export function textWidth(text: string): number {
  let width = 0;
  for (const character of text) width += (character.codePointAt(0) ?? 0) >= 0x1100 ? 2 : 1;
  return width;
}
